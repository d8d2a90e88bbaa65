"""Payments that are too young to be missed: completed here within the grace at the end of what a statement covers.

A gateway may not have exported them yet, so no row is written for them: see KEEP_ABSENT in `verdict_sql.py`. They are
counted when the report is read. So a payment whose answer came after the run is counted too.
"""

from __future__ import annotations

from datetime import timedelta

from schemas.report import Run, Sum
from worker.postgres.database import Database

_YOUNG = """
    SELECT count(*) AS rows, coalesce(sum(coalesce(p.accepted_amount, p.amount)), 0) AS money
    FROM payments p
    WHERE p.account = $2 AND p.completed_at >= $3 AND p.completed_at > $4 AND p.completed_at <= $5
        AND p.status IN ('completed', 'refunded') AND p.transaction_id IS NOT NULL
        AND p.id NOT IN (SELECT r.payment_id FROM statement_rows r
                         WHERE r.statement = $1 AND r.payment_id IS NOT NULL AND r.kind = 'payment'
                             AND r.why IS DISTINCT FROM 'other_attempt')
        AND p.id NOT IN (SELECT r.other_payment_id FROM statement_rows r
                         WHERE r.statement = $1 AND r.other_payment_id IS NOT NULL)
"""


async def read_young(database: Database, run: Run, grace: float) -> Sum:
    """The number and the money of these payments. `grace` in seconds."""
    if run.since is None or run.until is None:
        return Sum()
    after = run.until - timedelta(seconds=grace)
    (row,) = await database.fetch(_YOUNG, run.id, run.account, run.since, after, run.until)
    return Sum(rows=row["rows"], money=row["money"], here=row["money"])
