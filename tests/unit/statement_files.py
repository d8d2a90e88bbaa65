"""Statement files as tests write them, and the rows read from them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from schemas.statements import Line, StatementMap, Unread
from schemas.words import Status
from worker.reconciliation.statements import open_statement, read_lines

COLUMNS = StatementMap(
    amount="Amount",
    transaction_id="Trx ID",
    reference="Order ID",
    at="Date",
    fee="Fee",
    status="Status",
    date_format="%d/%m/%Y %H:%M:%S",
    completed=("Success",),
    failed=("Failed",),
)
HEADERS = "Date,Trx ID,Order ID,Amount,Fee,Status\r\n"
ROW = "03/04/2026 10:20:30,T1,order-1,1500.50,22.5,Success\r\n"
LINE = Line(
    row=2,
    kind="payment",
    status=Status.COMPLETED,
    word="Success",
    amount=Decimal("1500.50"),
    transaction_id="T1",
    reference="order-1",
    fee=Decimal("22.5"),
    at=datetime(2026, 4, 3, 4, 20, 30, tzinfo=UTC),
)
"""The line that ROW makes."""


def read(folder: Path, content: bytes | str, columns: StatementMap = COLUMNS) -> list[Line | Unread]:
    path = folder / "statement"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_lines(open_statement(path), columns))


def whys(lines: list[Line | Unread]) -> dict[int, str]:
    return {line.row: line.why for line in lines if isinstance(line, Unread)}


def rows(lines: list[Line | Unread]) -> list[int]:
    return [line.row for line in lines if isinstance(line, Line)]
