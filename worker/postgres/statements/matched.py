"""The sums of a run's matched rows, day by day, without reading the rows, which may be a million.

`worker/reconciliation/report/gathering.py` adds rows up one by one when it reads them for a CSV. Both must give equal
sums.
"""

from __future__ import annotations

from schemas.report import Matched, Next
from worker.postgres.database import Database

_MATCHED = """
    SELECT (at AT TIME ZONE $2)::date AS day, next, count(*) AS rows,
        coalesce(sum(coalesce(amount, amount_here)), 0) AS money,
        coalesce(sum(amount) FILTER (WHERE paid), 0) AS there,
        coalesce(sum(amount_here) FILTER (WHERE paid AND status_here IN ('completed', 'refunded')), 0) AS here,
        coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunds,
        coalesce(sum(fee) FILTER (WHERE kind = 'payment'), 0) AS fees,
        sum(fee_due) FILTER (WHERE kind = 'payment' AND fee IS NOT NULL) AS fees_expected
    FROM (SELECT *, kind = 'payment' AND status IN ('completed', 'refunded') AS paid
          FROM statement_rows WHERE statement = $1 AND outcome = 'matched') m
    GROUP BY 1, 2
"""


async def read_matched(database: Database, run: str, zone: str) -> list[Matched]:
    """The sums of the run's matched rows, by day of the time zone and by next step."""
    rows = await database.fetch(_MATCHED, run, zone)
    return [Matched(**{**dict(row), "next": Next(row["next"])}) for row in rows]
