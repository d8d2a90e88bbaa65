"""The parts of a statement file: tables of rows, each row with the number that a spreadsheet shows for it.

A file may raise `StatementError` at any row, the last one included: only its end shows that a file is truncated. So
nothing of a statement is applied before all of it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from schemas.statements import Unread

HEAD = 30
"""The headers must be within so many rows: portals write titles, periods and account names above them."""

TableRow = tuple[int, list[str]]
"""A row's number, counted from 1, and its cells as text."""
Rows = Iterator[TableRow | Unread]


class Bounds(Struct, frozen=True):
    """What the process that reads a workbook may use: bytes of memory, and seconds of processor time."""

    memory: int
    seconds: int


WHOLE_FILE = Bounds(1536 << 20, 120)
"""To read a statement to its end."""

FIRST_ROWS = Bounds(192 << 20, 20)
"""To look at its first rows beside other work: it fits beside a process in 512 MiB."""


class StatementError(Exception):
    """The file as a whole cannot be read. The message is for an accountant and names the place."""


class DateCell(str):
    """A cell that holds a real date instead of text: here in ISO 8601, without a zone."""

    __slots__ = ()


class Table(Struct, frozen=True, kw_only=True):
    """One way to read the file: a sheet of a workbook, or the text cut at one of the delimiters.

    `head` is the first `HEAD` rows; `trouble` says why it ends early. `rows` reads all rows, from the first on.
    """

    name: str
    head: tuple[TableRow | Unread, ...]
    trouble: StatementError | None = None
    rows: Callable[[], Rows]


class StatementFile(Struct, frozen=True, kw_only=True):
    """An opened file. Which of its `tables` is the statement is known when the headers of a map are found."""

    path: Path
    form: Literal["CSV", "XLSX", "XLS"]
    tables: tuple[Table, ...]


def unread(row: int, why: str, cells: list[str]) -> Unread:
    return Unread(row=row, why=why, text=cells_text(cells))


def cells_text(cells: list[str]) -> str:
    """The cells as one line of text, shortened, without characters that could move a terminal's cursor."""
    text = " | ".join(cell[:60] for cell in cells[:20])[:300]
    return "".join(sign if sign.isprintable() else " " for sign in text)


def column_name(index: int) -> str:
    """The letters a spreadsheet shows above the column: A, B, … Z, AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
