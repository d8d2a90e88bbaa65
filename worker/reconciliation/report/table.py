"""The CSV of every row with its outcome: UTF-8, a comma between cells, one line for each row, columns that stay.

    row, outcome, why, next, kind, at, amount_there, amount_here, status_there, status_here, fee, fee_expected,
    transaction_id, session_id, reference, payment_id

`row` is empty for a payment of ours that has no line. Amounts have a point and no groups, times are UTC in ISO 8601,
and later versions add columns at the end only.

A text cell that a spreadsheet would run gets an apostrophe before it: see worker/runtime/csv_cells.py.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from schemas.report import Row
from worker.reconciliation.report.amounts import plain_amount
from worker.runtime.csv_cells import harmless, utc_text

COLUMNS = (
    "row",
    "outcome",
    "why",
    "next",
    "kind",
    "at",
    "amount_there",
    "amount_here",
    "status_there",
    "status_here",
    "fee",
    "fee_expected",
    "transaction_id",
    "session_id",
    "reference",
    "payment_id",
)


@contextmanager
def table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write the file row by row, by the function that this yields.

    A byte order mark says UTF-8 to spreadsheets that would guess.
    """
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)

        def write(row: Row) -> None:
            writer.writerow(cells(row))

        yield write


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells under COLUMNS, every text made harmless."""
    at = "" if row.at is None else utc_text(row.at)
    return (
        "" if row.row is None else str(row.row),
        row.outcome.value,
        harmless(row.why),
        row.next.value,
        row.kind or "",
        at,
        *(_amount(amount) for amount in (row.there, row.here)),
        harmless(row.status_there),
        harmless(row.status_here),
        *(_amount(amount) for amount in (row.fee, row.fee_expected)),
        *(harmless(text) for text in (row.transaction_id, row.session_id, row.reference, row.payment_id)),
    )


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else plain_amount(amount)
