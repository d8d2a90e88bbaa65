"""XLSX and XLS workbooks as tables of rows, read by a bounded process (`sheets`).

A caller may stop in the middle of the rows. Closing the generator ends the process.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from worker.reconciliation.statements.tables import WHOLE_FILE, Bounds, DateCell, Rows, StatementError, Table

_OUR_PACKAGES = str(Path(__file__).resolve().parents[3])
_TOO_MUCH = "the workbook takes more memory or time than a statement may, or is damaged; save its sheet as CSV"
_PASSWORD = "the workbook is protected by a password; save it without one"  # noqa: S105 - words for a person
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def workbook_tables(path: Path, *, form: str, bounds: Bounds = WHOLE_FILE) -> tuple[Table, ...]:
    """The visible sheets. Raises StatementError."""
    if form == "XLS" and _is_encrypted(path):
        raise StatementError(_PASSWORD)
    heads = next((frame["heads"] for frame in _frames(path, form, bounds) if "heads" in frame), None)
    if not heads:
        raise StatementError("the workbook has no visible sheet" if heads == [] else _TOO_MUCH)
    return tuple(
        Table(
            name=f'the sheet "{name}"',
            head=tuple(enumerate(map(_cells, rows), start=1)),
            rows=partial(_rows, path, form, bounds, index),
        )
        for index, name, rows in heads
    )


def _rows(path: Path, form: str, bounds: Bounds, index: int) -> Rows:
    number = 0
    for frame in _frames(path, form, bounds, str(index)):
        if "end" in frame:
            return
        for row in frame["rows"]:
            number += 1
            yield number, _cells(row)
    raise StatementError(_TOO_MUCH)


def _cells(row: list[Any]) -> list[str]:
    return [cell if type(cell) is str else _moment(cell) for cell in row]


def _moment(cell: datetime) -> DateCell:
    return DateCell(cell.replace(tzinfo=None).isoformat())


def _frames(path: Path, form: str, bounds: Bounds, *sheet: str) -> Iterator[dict[str, Any]]:
    """Yield the frames of the process until it ends. A cut frame means that the process died, and ends them too."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "worker.reconciliation.statements.sheets",
        str(path.absolute()),
        form,
        str(bounds.memory),
        str(bounds.seconds),
        *sheet,
    ]
    found = os.pathsep.join(filter(None, (_OUR_PACKAGES, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(  # noqa: S603
        command,
        env=os.environ | {"PYTHONPATH": found},  # before a shop's modules of the same names
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        while (content := _frame(process.stdout)) is not None:
            frame = msgspec.msgpack.decode(content)
            if "error" in frame:
                raise StatementError(frame["error"])
            yield frame
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _frame(pipe: IO[bytes]) -> bytes | None:
    length = pipe.read(4)
    if len(length) < 4:
        return None
    content = pipe.read(size := int.from_bytes(length, "big"))
    return content if len(content) == size else None


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_ENCRYPTED) >= 0
