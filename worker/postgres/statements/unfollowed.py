"""Rows of a run that are still to be followed up (asked about, recorded or held), and the marks of those that were.

A row is followed up once, however often its line is exported. It is marked after its follow-up is durable. A process
that dies in between does it again, which does no harm: a claim that is published twice is taken once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from asyncpg import Record
from msgspec import Struct

from schemas.statements import Line
from schemas.words import Status
from worker.postgres.database import Database

_TO_FOLLOW = """
    SELECT r.* FROM statement_rows r
    WHERE r.statement = $1 AND r.outcome IN ('missing_here', 'amount_differs', 'status_differs') AND r.row > $3
        AND r.next IN ('asked', 'recorded', 'held') AND r.line IS NOT NULL
        AND NOT EXISTS (SELECT FROM followed f WHERE f.account = $2 AND f.line = r.line)
    ORDER BY r.row LIMIT $4
"""
_REFUNDS = """
    WITH located AS (
        SELECT r.*, coalesce(t.payment_id, s.payment_id, p.id) AS home
        FROM statement_rows r
        LEFT JOIN transactions t ON t.account = $2 AND t.transaction_id = r.transaction_id
        LEFT JOIN sessions s ON s.account = $2 AND s.session_id = r.session_id
        LEFT JOIN payments p ON p.account = $2 AND p.reference = r.reference
        WHERE r.statement = $1 AND r.outcome = 'missing_here' AND r.why = 'refund_unknown' AND r.payment_id IS NULL),
    named AS (
        UPDATE statement_rows r SET payment_id = l.home FROM located l
        WHERE r.statement = $1 AND r.outcome = 'missing_here' AND r.row = l.row AND l.home IS NOT NULL)
    SELECT DISTINCT ON (l.home) l.home, l.row, l.kind, l.status, l.word, l.amount, l.fee, l.at, l.transaction_id,
        l.session_id, l.reference, l.line, l.next, l.other_payment_id,
        sum(l.amount) OVER (PARTITION BY l.home) AS refunds
    FROM located l JOIN payments p ON p.id = l.home AND p.unexpected_at IS NOT NULL AND p.adopted_at IS NULL
    ORDER BY l.home, l.at DESC NULLS LAST, l.row DESC
"""
_MARK = """
    INSERT INTO followed (account, line, statement, at)
    SELECT $2, line, $1, $4 FROM unnest($3::text[]) AS f (line) ON CONFLICT DO NOTHING
"""
_NAME = """
    UPDATE statement_rows r SET payment_id = f.payment_id FROM unnest($2::int[], $3::text[]) AS f (row, payment_id)
    WHERE r.statement = $1 AND r.row = f.row
"""


class Following(Struct, frozen=True, kw_only=True):
    """A row to follow up, by its step `next`.

    `mark`: a digest of the line's content, equal in every export. `refunded`: for a refund, the sum of all refunds of
    its payment in the statement. `other_payment_id`: another payment that an id of the line names.
    """

    line: Line
    next: str
    mark: str
    payment_id: str | None
    other_payment_id: str | None
    refunded: Decimal | None


async def to_follow(database: Database, run: str, account: str, after: int, most: int) -> list[Following]:
    """The next rows behind row `after` that were never followed up, in order, `most` at most."""
    rows = await database.fetch(_TO_FOLLOW, run, account, after, most)
    return [_following(row, row["payment_id"]) for row in rows]


async def refunds_of_found(database: Database, run: str, account: str) -> list[Following]:
    """The refunds of payments that were recorded since this run was judged: for each payment the newest line.

    Writes the payment's id into their rows.
    """
    return [_following(row, row["home"]) for row in await database.fetch(_REFUNDS, run, account)]


async def mark_followed(
    database: Database, run: str, account: str, rows: Sequence[Following], began_at: datetime
) -> None:
    """Mark these rows as followed up. `began_at` is a time before the follow-up: later answers count as its result."""
    await database.execute(_MARK, run, account, [row.mark for row in rows], began_at)


async def name_payments(database: Database, run: str, found: Mapping[int, str]) -> None:
    """Write the ids of payments into the rows from which they were recorded; `found` has them by row."""
    await database.execute(_NAME, run, list(found), list(found.values()))


async def finish(database: Database, run: str) -> None:
    """Note that the run has ended: judged and followed up."""
    await database.execute("UPDATE statements SET finished_at = clock_timestamp() WHERE id = $1", run)


def _following(row: Record, payment_id: str | None) -> Following:
    line = Line(
        row=row["row"],
        kind=row["kind"],
        status=Status(row["status"]),
        word=row["word"],
        amount=row["amount"],
        transaction_id=row["transaction_id"],
        session_id=row["session_id"],
        reference=row["reference"],
        fee=row["fee"],
        at=row["at"],
    )
    return Following(
        line=line,
        next=row["next"],
        mark=row["line"] or "",
        payment_id=payment_id,
        other_payment_id=row["other_payment_id"],
        refunded=row["refunds"],
    )
