"""Reads for one merchant: a payment, or a page of payments with the sums of all that match.

Every query here names the merchant. Values are bound; only our own words are in the SQL.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from schemas.payments import Payment
from schemas.requests import ListQuery
from schemas.responses import Summary
from worker.postgres.database import Database
from worker.postgres.ledger.rows import PAYMENT, payment_of

Position = tuple[datetime, str]
"""Where a page ends: `opened_at` and id of its last payment."""

_SUMMARY = """
    SELECT count(*) AS count,
        count(*) FILTER (WHERE status = 'completed' AND hold IS NULL) AS completed_count,
        count(*) FILTER (WHERE status = 'failed') AS failed_count,
        coalesce(sum(amount) FILTER (WHERE status = 'completed' AND hold IS NULL), 0) AS completed_amount
    FROM payments WHERE
"""


class PageWithSummary(Struct, frozen=True, kw_only=True):
    """`next` is where the next page begins; None on the last page."""

    payments: list[Payment]
    next: Position | None
    summary: Summary


async def read_payment(database: Database, merchant: str, payment_id: str) -> Payment | None:
    sql = f"SELECT {PAYMENT} FROM payments p WHERE id = $1 AND merchant = $2"  # noqa: S608 - our own names
    rows = await database.fetch(sql, payment_id, merchant)
    return payment_of(rows[0]) if rows else None


async def read_page(database: Database, merchant: str, query: ListQuery, after: Position | None) -> PageWithSummary:
    """The payments that match, newest first, behind position `after`. Page and summary are of one moment."""
    where, values = matching(merchant, query)
    paged, bound = where, [*values]
    if after is not None:
        paged += f" AND (opened_at, id) < (${len(bound) + 1}, ${len(bound) + 2})"
        bound += after
    sql = f"SELECT {PAYMENT} FROM payments p WHERE {paged} ORDER BY opened_at DESC, id DESC LIMIT {query.limit + 1:d}"  # noqa: S608 - our own words, values are bound
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(sql, *bound)
        sums = await connection.fetchrow(_SUMMARY + where, *values)
    assert sums is not None, "an aggregate has one row"
    payments = [payment_of(row) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return PageWithSummary(
        payments=payments,
        next=(payments[-1].opened_at, payments[-1].id) if more else None,
        summary=Summary(**{**dict(sums), "completed_amount": f"{sums['completed_amount']:.2f}"}),
    )


def matching(merchant: str, query: ListQuery) -> tuple[str, list[Any]]:
    """The SQL conditions of a query, numbered from $1, and the values bound to them in order."""
    given: list[tuple[str, Any]] = [
        ("merchant =", merchant),
        ("status =", query.status),
        ("provider =", query.provider),
        ("account =", query.account),
        ("reference =", query.reference),
        ("order_ref =", query.order),
        ("opened_at >=", query.since),
        ("opened_at <", query.until),
        ("amount >=", query.amount_min),
        ("amount <=", query.amount_max),
    ]
    if query.hold not in (None, "any", "none"):
        given.append(("hold =", query.hold))
    bound = [(condition, value) for condition, value in given if value is not None]
    parts = [f"{condition} ${place}" for place, (condition, _) in enumerate(bound, start=1)]
    if query.hold in ("any", "none"):
        parts.append("hold IS NOT NULL" if query.hold == "any" else "hold IS NULL")
    return " AND ".join(parts), [value for _, value in bound]
