"""The cells of a sheet that hold no value of their own: formulas that were never calculated, and errors.

The library that reads workbooks gives an empty cell for both, and an empty fee would be no fee. So they are found in
the sheet's own XML, and their text is put back.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from worker.reconciliation.statements.tables import StatementError
from worker.reconciliation.statements.zip_archive import entries, inflate

FORMULA = "="
_OVERLAP = 1 << 14
_HOLLOW = re.compile(rb'</f>\s*(?:<v\s*/>|<v></v>)?\s*</c>|<f[^>]*/>\s*(?:<v\s*/>|<v></v>)?\s*</c>| t="e"[^>]*>')
_REFERENCE = re.compile(rb'<c [^>]*?r="([A-Z]{1,3})([0-9]{1,7})"')
_ERROR = re.compile(rb"<v>(#[A-Z0-9/!?]{1,12})</v>")

Hollow = dict[int, dict[int, str]]
"""The text that the cell shows, by row, from 1, and column, from 0."""


def hollow_cells(path: Path, sheet: str) -> Hollow:
    """The hollow cells of the sheet with this name.

    Raises StatementError where the sheet's file is not in the archive: without it the hollow cells are unknown.
    """
    files = {one.filename.lower(): one for one in entries(path)}
    with path.open("rb") as file:

        def content(name: str) -> bytes:
            return b"".join(inflate(file, files[name])) if name in files else b""

        part = _part(content("xl/workbook.xml"), content("xl/_rels/workbook.xml.rels"), sheet)
        if part not in files:
            raise StatementError(f'the workbook is damaged: the sheet "{sheet}" is nowhere in it')
        return _find(inflate(file, files[part]))


def _part(workbook: bytes, relations: bytes, sheet: str) -> str | None:
    """The file of the archive that holds the sheet of this name; None where it is not found."""
    try:
        named = next(one for one in ET.fromstring(workbook).iterfind(".//{*}sheet") if one.get("name") == sheet)  # noqa: S314
        relation = next(value for key, value in named.items() if key.endswith("}id"))
        target = next(one.get("Target", "") for one in ET.fromstring(relations) if one.get("Id") == relation)  # noqa: S314
    except (ET.ParseError, StopIteration):
        return None
    return posixpath.normpath(posixpath.join("/xl", target)).lstrip("/").lower()


def _find(chunks: Iterable[bytes]) -> Hollow:
    found: Hollow = {}
    for window in _windows(chunks):
        for match in _HOLLOW.finditer(window):
            start = window.rfind(b"<c ", 0, match.end())
            cell = _REFERENCE.match(window, start) if start >= 0 else None
            if cell is None:
                continue
            error = _ERROR.search(window, start, match.end() + 40) if match[0].startswith(b" t") else None
            shown = FORMULA if not match[0].startswith(b" t") else error[1].decode() if error else "#ERROR!"
            found.setdefault(int(cell[2]), {})[_column(cell[1])] = shown
    return found


def _windows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, each with the end of the one before it, so that no cell is cut."""
    before = b""
    for chunk in chunks:
        window = before + chunk
        yield window
        before = window[-_OVERLAP:]


def _column(letters: bytes) -> int:
    place = 0
    for letter in letters:
        place = place * 26 + letter - ord("A") + 1
    return place - 1
