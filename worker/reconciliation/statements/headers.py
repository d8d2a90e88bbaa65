"""Which table of a file is the statement, and at which place in it each mapped column is.

Nothing is guessed. The headers are the first row that has every mapped column. Exactly one sheet, or one delimiter,
must have such a row, and a mapped header may stand in it only once.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from schemas.statements import StatementMap, Unread
from worker.config.config_problems import suggestion
from worker.reconciliation.statements.tables import HEAD, StatementError, StatementFile, Table, TableRow, column_name

COLUMNS = ("transaction_id", "session_id", "reference", "amount", "currency", "fee", "at", "status", "kind")
"""The keys of a StatementMap that name a column."""


class Headers(Struct, frozen=True, kw_only=True):
    """The row of the headers.

    `columns` are the places, from 0, of the mapped keys; `width` is how many headers there are.
    """

    table: Table
    row: int
    width: int
    columns: Mapping[str, int]


def normalized(header: str) -> str:
    """A header or a word for comparing: in lower case, without spaces around it."""
    return header.strip(" \t\r\n\u00a0\u200b\ufeff").casefold()


def mapped_headers(columns: StatementMap) -> dict[str, str]:
    """The headers that the map names, by its keys."""
    named = {key: getattr(columns, key) for key in COLUMNS}
    return {key: header for key, header in named.items() if header is not None}


def find_headers(statement: StatementFile, columns: StatementMap) -> Headers:
    """Find the only table with a row of all mapped headers, among its first HEAD rows.

    Raises StatementError where no table has such a row, several have, or a mapped header stands twice in it.
    """
    names = mapped_headers(columns)
    found = [(table, row) for table in statement.tables if (row := _header_row(table, names)) is not None]
    if not found:
        raise next((table.trouble for table in statement.tables if table.trouble), None) or _missing(statement, names)
    if len(found) > 1:
        listed = " and ".join(f"row {row[0]} of {table.name}" for table, row in found)
        raise StatementError(f"the mapped headers stand in {listed}; only one of them can be the statement")
    ((table, (number, cells)),) = found
    _check_once(names, number, cells)
    headers = [normalized(cell) for cell in cells]
    places = {key: headers.index(normalized(header)) for key, header in names.items()}
    # In text a comma too many moves every cell after it. In a sheet nothing moves, and a note beside it does no harm.
    while statement.form == "CSV" and headers and not headers[-1]:
        headers.pop()
    return Headers(table=table, row=number, width=len(headers), columns=places)


def _header_row(table: Table, names: Mapping[str, str]) -> TableRow | None:
    needed = {normalized(header) for header in names.values()}
    for row in table.head:
        if not isinstance(row, Unread) and needed <= {normalized(cell) for cell in row[1]}:
            return row
    return None


def _check_once(names: Mapping[str, str], number: int, cells: list[str]) -> None:
    for header in dict.fromkeys(names.values()):
        places = [column_name(place) for place, cell in enumerate(cells) if normalized(cell) == normalized(header)]
        if len(places) > 1:
            listed = f"{', '.join(places[:-1])} and {places[-1]}"
            raise StatementError(
                f'row {number}: the header "{header}" stands in the columns {listed}; which is meant cannot be told'
            )


def _missing(statement: StatementFile, names: Mapping[str, str]) -> StatementError:
    """An error about the row that has most of the headers."""
    needed = {normalized(header): header for header in names.values()}
    best: tuple[int, str, str] | None = None
    for table in statement.tables:
        for row in table.head:
            if isinstance(row, Unread):
                continue
            seen = {normalized(cell) for cell in row[1] if cell.strip()}
            has = len(needed.keys() & seen)
            if has and (best is None or has > best[0]):
                lacking = ", ".join(
                    f'"{header}"{suggestion(key, seen - needed.keys())}'
                    for key, header in needed.items()
                    if key not in seen
                )
                best = has, f"row {row[0]} of {table.name}", lacking
    if best is None:
        listed = ", ".join(f'"{header}"' for header in needed.values())
        places = ", ".join(table.name for table in statement.tables) if statement.form != "CSV" else "the file"
        return StatementError(f"none of the first {HEAD} rows of {places} has the mapped headers {listed}")
    return StatementError(f"no row of the first {HEAD} has all mapped headers; {best[1]} lacks {best[2]}")
