"""A statement's rows as lines, by an account's map.

A row that is not read exactly becomes `Unread`. It is never dropped, because it may stand for money. Only rows without
any text are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from schemas.statements import Line, StatementMap, Unread
from schemas.words import Status
from worker.reconciliation.statements.cells import Unclear, blank, read_id, read_money, read_time
from worker.reconciliation.statements.headers import Headers, find_headers, mapped_headers, normalized
from worker.reconciliation.statements.tables import StatementFile, unread

LONGEST_CELL = 10_000
_NO_ID = "no transaction id, session id or reference"
_TAKA = frozenset(("bdt", "tk", "tk.", "taka", "৳"))
_IDS = ("transaction_id", "session_id", "reference")


def read_lines(statement: StatementFile, columns: StatementMap) -> Iterator[Line | Unread]:
    """Every row below the headers, in order and as it is read: memory does not grow with the file.

    Raises StatementError at once where the headers cannot be found, and later where the rest of the file cannot be
    read. So apply nothing before the last line was read.
    """
    return _lines(find_headers(statement, columns), _Reader(columns))


def _lines(headers: Headers, reader: _Reader) -> Iterator[Line | Unread]:
    places, width = headers.columns, headers.width
    for row in headers.table.rows():
        if isinstance(row, Unread):
            if row.row > headers.row:
                yield row
            continue
        number, cells = row
        if number <= headers.row:
            continue
        if len(cells) != width:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                yield unread(number, f"has {_counted(len(cells))}, and the headers are {width}", cells)
                continue
        taken = {key: cells[place] for key, place in places.items()}
        try:
            yield reader.line(number, taken, cells)
        except _Empty:
            continue
        except Unclear as error:
            yield unread(number, str(error), cells)


def _counted(cells: int) -> str:
    return "1 cell" if cells == 1 else f"{cells} cells"


class _Empty(Exception):
    """The row has no text at all."""


class _Reader:
    """Reads rows by one map."""

    def __init__(self, columns: StatementMap) -> None:
        self._map = columns
        self._headers = mapped_headers(columns)
        self._zone: tzinfo = ZoneInfo(columns.time_zone)
        self._statuses = {normalized(word): status for status in Status for word in getattr(columns, status.value)}
        self._refunds = frozenset(map(normalized, columns.refunds))
        self._payments = frozenset(map(normalized, columns.payments))

    def line(self, number: int, taken: dict[str, str], cells: list[str]) -> Line:
        """The line of a row. Raises Unclear with the reason, and _Empty for a row without text."""
        ids = {key: self._id(key, cell) for key in _IDS if (cell := taken.get(key)) is not None}
        if not any(ids.values()):
            if not any(cell.strip() for cell in cells):
                raise _Empty
            raise Unclear(_NO_ID)
        if max(map(len, cells)) > LONGEST_CELL:
            raise Unclear(f"has a cell of more than {LONGEST_CELL:,} characters")
        kind, amount = self._money(taken)
        status, word = self._status(taken, kind)
        return Line(
            row=number,
            kind=kind,
            status=status,
            word=word,
            amount=amount,
            transaction_id=ids.get("transaction_id"),
            session_id=ids.get("session_id"),
            reference=ids.get("reference"),
            fee=self._fee(taken),
            at=self._at(taken),
        )

    def _id(self, key: str, cell: str) -> str | None:
        if blank(cell):
            return None
        try:
            return read_id(cell)
        except Unclear as error:
            raise self._named(key, error, cell) from None

    def _money(self, taken: dict[str, str]) -> tuple[Literal["payment", "refund"], Decimal]:
        amount = self._amount("amount", taken["amount"], 2)
        currency = taken.get("currency")
        if currency is not None and normalized(currency) not in _TAKA:
            raise Unclear(f'the currency is "{currency.strip()[:20]}" and not BDT')
        if not amount:
            raise Unclear("the amount is zero")
        if amount < 0 and not self._map.signed_amounts:
            raise Unclear("the amount is negative, and the map does not say signed_amounts")
        said = normalized(taken.get("kind", ""))
        if said in self._refunds:
            return "refund", abs(amount)
        if self._payments and said not in self._payments:
            raise Unclear(f'the {self._header("kind")} "{said[:60]}" is in neither list of the map')
        if amount < 0:
            if self._payments:
                raise Unclear(f'the amount of the payment "{said[:60]}" is negative')
            return "refund", -amount
        return "payment", amount

    def _status(self, taken: dict[str, str], kind: str) -> tuple[Status, str | None]:
        cell = taken.get("status")
        if cell is None:
            return (Status.REFUNDED if kind == "refund" else Status.COMPLETED), None
        word = cell.strip()
        status = self._statuses.get(normalized(cell))
        if status is None:
            said = f'"{word[:60]}" is in no list of the map' if word else "is empty"
            raise Unclear(f"the {self._header('status')} {said}")
        if kind == "refund":
            if not status.paid:
                raise Unclear(
                    f'a refund whose {self._header("status")} is "{word[:60]}": nothing says that money went back'
                )
            return Status.REFUNDED, word
        return status, word

    def _fee(self, taken: dict[str, str]) -> Decimal | None:
        cell = taken.get("fee")
        if cell is None or blank(cell):
            return None
        fee = self._amount("fee", cell, 4)
        if fee < 0:
            raise Unclear("the fee is negative")
        return fee

    def _amount(self, key: str, cell: str, places: int) -> Decimal:
        try:
            return read_money(cell, places)
        except Unclear as error:
            if blank(cell):
                raise Unclear(f"the {self._header(key)} is empty") from None
            raise self._named(key, error, cell) from None

    def _at(self, taken: dict[str, str]) -> datetime | None:
        cell = taken.get("at")
        if cell is None or blank(cell):
            return None
        try:
            return read_time(cell, self._map.date_format, self._zone)
        except Unclear as error:
            raise self._named("at", error, cell) from None

    def _named(self, key: str, error: Unclear, cell: str) -> Unclear:
        return Unclear(f'the {self._header(key)} "{cell.strip()[:60]}" {error}')

    def _header(self, key: str) -> str:
        """The column's name in messages: our word, with the statement's where it is another."""
        ours = {"at": "time"}.get(key, key.replace("_", " "))
        theirs = self._headers[key].strip()
        return ours if normalized(theirs) == ours else f"{ours} ({theirs})"
