"""CSV, TSV and the like as numbered rows.

A row is a record and not a line: a cell in quotes may hold line breaks, and a quote that is never closed swallows the
text after it. So any doubt about the end of a row ends the reading of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from schemas.statements import Unread
from worker.reconciliation.statements.decoding import DecodingError, decode_lines, encoding_of
from worker.reconciliation.statements.tables import HEAD, Rows, StatementError, Table, TableRow, unread

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def separated_tables(path: Path) -> tuple[Table, ...]:
    """The file cut at each delimiter. The right table is the one that shows the headers, which the caller knows."""
    return tuple(_table(path, delimiter, name) for delimiter, name in DELIMITERS.items())


def _table(path: Path, delimiter: str, name: str) -> Table:
    head: list[TableRow | Unread] = []
    trouble = None
    try:
        head.extend(islice(_rows(path, delimiter), HEAD))
    except StatementError as error:
        trouble = error
    return Table(name=f"the text cut at {name}", head=tuple(head), trouble=trouble, rows=lambda: _rows(path, delimiter))


def _rows(path: Path, delimiter: str) -> Rows:
    with path.open("rb") as file:
        encoding = encoding_of(file.read(4))
        file.seek(0)
        lines = _Counted(decode_lines(file, encoding))
        records = csv.reader(lines, delimiter=delimiter, strict=True)
        number = 0
        while True:
            number += 1
            before = lines.count
            try:
                cells = next(records, None)
            except DecodingError as error:
                raise StatementError(f"row {number}: {error}") from None
            except csv.Error as error:
                yield _refused(number, error, lines, lines.count - before)
                continue
            if cells is None:
                return
            yield number, cells


class _Counted:
    """Lines, with their count and the last of them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.count = 0
        self.last = ""
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            self.last = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.count += 1
        return self.last


def _refused(number: int, error: csv.Error, lines: _Counted, span: int) -> Unread:
    """The row, unreadable, where its quotes do not pair.

    Raises StatementError where that leaves the row's end in doubt.
    """
    if lines.ended:
        raise StatementError(f"row {number}: a quote opened in this row is never closed; the file is cut off") from None
    if "field larger" in str(error):
        raise StatementError(
            f"row {number}: a cell holds more than {csv.field_size_limit():,} characters; "
            "a quote opened in this row is perhaps never closed"
        ) from None
    if "new-line" in str(error):
        raise StatementError(
            f"row {number}: a carriage return stands in the middle of a line; save the file again with usual line ends"
        ) from None
    if span != 1:
        raise StatementError(
            f"row {number}: a quote opened in this row is closed lines below and something follows it; "
            "where the rows in between end cannot be told"
        ) from None
    return unread(number, "its quotes do not pair", [lines.last.rstrip("\r\n")])
