"""Reading runs over statements: the runs with their sums, and their rows as a report shows them.

A run may have a million rows, so they come through a cursor, a few thousand at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from asyncpg import Record

from consumers.reconciliation.verdicts import Verdict, VerdictFields, sentence
from schemas.report import Next, OutcomeSum, Row, Run
from schemas.statements import LineOutcome
from worker.postgres.database import Database, Reads

PREFETCH = 2_000
_ROW = (
    "row, outcome, why, next, kind, status, amount, fee, at, transaction_id, session_id, reference, payment_id, "
    "other_payment_id, first_row, refunds, status_here, amount_here, refunded_here, fee_due, words"
)
_FOUND = VerdictFields.__struct_fields__


async def read_run(database: Reads, run: str) -> Run | None:
    rows = await database.fetch("SELECT * FROM statements WHERE id = $1", run)
    return _run(rows[0]) if rows else None


async def read_runs(database: Database, account: str | None = None, *, most: int = 100) -> list[Run]:
    """The newest `most` runs, newest first, of one account or of all."""
    rows = await database.fetch(
        """SELECT * FROM statements WHERE $1::text IS NULL OR account = $1
           ORDER BY started_at DESC, id DESC LIMIT $2""",
        account,
        most,
    )
    return [_run(row) for row in rows]


async def read_rows(database: Database, run: str, outcome: LineOutcome | None = None) -> AsyncIterator[Row]:
    """Yield the run's rows in the statement's order, then the payments that are missing in the statement.

    `outcome`: only rows with this outcome. A caller that stops early has to close the iterator.
    """
    sql = f"""SELECT {_ROW} FROM statement_rows WHERE statement = $1
              {"" if outcome is None else "AND outcome = $2"} ORDER BY row, at, payment_id"""  # noqa: S608 - our own words
    values = (run,) if outcome is None else (run, outcome.value)
    async with database.connection() as connection, connection.transaction(readonly=True):
        # The reader may be slow: a person at a pager, a slow disk.
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        async for row in connection.cursor(sql, *values, prefetch=PREFETCH):
            yield _row(row)


def _run(row: Record) -> Run:
    sums = {
        LineOutcome(name): OutcomeSum(rows=sum_["rows"], amount=Decimal(sum_["amount"]), fee=Decimal(sum_["fee"]))
        for name, sum_ in row["sums"].items()
    }
    return Run(**{**dict(row), "sums": {outcome: sums[outcome] for outcome in LineOutcome if outcome in sums}})


def _row(row: Record) -> Row:
    known: dict[str, Any] = dict(row)
    return Row(
        outcome=LineOutcome(row["outcome"]),
        row=row["row"],
        kind=row["kind"],
        at=row["at"],
        there=row["amount"],
        here=row["amount_here"],
        status_there=row["status"],
        status_here=row["status_here"],
        fee=row["fee"],
        fee_expected=row["fee_due"],
        transaction_id=row["transaction_id"],
        session_id=row["session_id"],
        reference=row["reference"],
        payment_id=row["payment_id"],
        why=sentence(Verdict(row["why"]), VerdictFields(**{name: known[name] for name in _FOUND})),
        next=Next(row["next"]),
    )
