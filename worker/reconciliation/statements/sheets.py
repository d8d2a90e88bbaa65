"""The program that reads one workbook for its parent, bounded by the kernel: `sheets PATH FORM MEMORY SECONDS [SHEET]`.

A file of two cells, A1 and the last of the sheet, makes any reader of workbooks ask for hundreds of gigabytes, and die.
So this runs as a process of its own, and only this process dies.

It writes frames of msgpack, each after its length in four bytes: `{"error": words}`, or without SHEET one `{"heads":
[[index, name, rows], …]}`, or with it `{"rows": rows}` until `{"end": true}`. Dates are timestamps in UTC.
"""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from worker.reconciliation.statements.hollow import Hollow, hollow_cells
from worker.reconciliation.statements.tables import HEAD, StatementError
from worker.reconciliation.statements.zip_archive import check_workbook

_BATCH = 500
PASSWORD = "the workbook is protected by a password; save it without one"  # noqa: S105 - words for a person
DAMAGED = "the workbook is damaged and cannot be read; fetch it again, or save it as CSV"

Cell = str | datetime


def run_reader() -> None:
    path, form, memory, seconds, *sheet = sys.argv[1:]
    for limit, most in (
        (resource.RLIMIT_AS, int(memory)),
        (resource.RLIMIT_CPU, int(seconds)),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    with suppress(OSError):  # if memory ends all the same, this process goes before its parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    try:
        if sheet:
            _send_rows(Path(path), form, int(sheet[0]))
        else:
            _send_heads(Path(path), form)
    except StatementError as error:
        _send({"error": str(error)})
    except PasswordError:
        _send({"error": PASSWORD})
    except CalamineError:
        _send({"error": DAMAGED})


def _send_heads(path: Path, form: str) -> None:
    if form == "XLSX":
        check_workbook(path)
    with CalamineWorkbook.from_path(path) as workbook:
        heads = [
            [index, sheet.name, list(islice(_rows(workbook.get_sheet_by_index(index), {}), HEAD))]
            for index, sheet in enumerate(workbook.sheets_metadata)
            if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
        ]
    _send({"heads": heads})


def _send_rows(path: Path, form: str, index: int) -> None:
    with CalamineWorkbook.from_path(path) as workbook:
        hollow = hollow_cells(path, workbook.sheet_names[index]) if form == "XLSX" else {}
        rows = _rows(workbook.get_sheet_by_index(index), hollow)
        while batch := list(islice(rows, _BATCH)):
            _send({"rows": batch})
    _send({"end": True})


def _rows(sheet: CalamineSheet, hollow: Hollow) -> Iterator[list[Cell]]:
    """Rows from row 1 and column A on, also where the filled part of the sheet begins later."""
    if sheet.start is None:
        return
    left = [""] * sheet.start[1]
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = left + [cell if type(cell) is str else _text(cell) for cell in row]
        for place, shown in hollow.get(number, {}).items():
            if place < len(cells):
                cells[place] = shown
        yield cells


def _text(cell: Any) -> Cell:
    match cell:
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() | int():
            return number_text(cell)
        case datetime():
            return cell.replace(tzinfo=UTC)
        case date():
            return datetime.combine(cell, time(), UTC)
    return str(cell)


def number_text(value: float) -> str:
    """The number as a spreadsheet shows it.

    Fifteen digits are exact there; a longer number was rounded before we saw it.
    """
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return str(int(value)) if abs(value) < 1e15 else f"{value:.5E}"
    return format(Decimal(repr(value)), "f")


def _send(frame: dict[str, Any], write: Callable[[bytes], Any] = lambda some: sys.stdout.buffer.write(some)) -> None:
    content = msgspec.msgpack.encode(frame)
    write(len(content).to_bytes(4, "big"))
    write(content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    run_reader()
