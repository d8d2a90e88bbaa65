"""Reads for one merchant: a payment, or a page of payments with the sums of those that match.

Every query here names the merchant. Values are bound; only our own words are in the SQL.

The index `payments_listed` has all that a list filters by, and `payments_not_completed` the same for a status that few
payments have. The reference, the order and the keys have indexes of their own.
So a page is found in an index, and only the payments on it are read; and sums read no payment at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from schemas.payments import Payment
from schemas.requests import ListQuery
from schemas.responses import Summary
from schemas.words import Status
from worker.postgres.database import Connection, Reads
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.reads.find import ACCOUNTS, find_payments

Position = tuple[datetime, str]
"""Where a page ends: `opened_at` and id of its last payment."""

MOST_SUMMED = 50_000

_SUMMARY = """
    SELECT count(*) AS count,
        count(*) FILTER (WHERE status = 'completed' AND hold IS NULL) AS completed_count,
        count(*) FILTER (WHERE status = 'failed') AS failed_count,
        coalesce(sum(amount) FILTER (WHERE status = 'completed' AND hold IS NULL), 0) AS completed_amount
    FROM (
        SELECT status, hold, amount FROM payments WHERE {where} ORDER BY opened_at DESC, id DESC LIMIT {most}) AS newest
"""


_OF_KEY = (
    f"id = ANY(ARRAY(SELECT k.payment_id FROM {{table}} k WHERE k.account = ANY(ARRAY({ACCOUNTS})) AND k.{{key}} = $$))"  # noqa: S608
)
"""The payments with a key: the shown transaction or session, and former ones."""


class PageWithSummary(Struct, frozen=True, kw_only=True):
    """`next` is where the next page begins; None on the last page."""

    payments: list[Payment]
    next: Position | None
    summary: Summary


async def read_payment(database: Reads, merchant: str, payment_id: str) -> Payment | None:
    sql = f"SELECT {PAYMENT} FROM payments p WHERE id = $1 AND merchant = $2"  # noqa: S608 - our own names
    rows = await database.fetch(sql, payment_id, merchant)
    return payment_of(rows[0]) if rows else None


async def read_page(
    database: Reads, merchant: str, query: ListQuery, after: Position | None, *, most_summed: int = MOST_SUMMED
) -> PageWithSummary:
    """The payments that match, newest first, behind position `after`. Page and summary are of one moment."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        where, values = await conditions(connection, merchant, query)
        paged, bound = where, [*values]
        if after is not None:
            paged += f" AND (opened_at, id) < (${len(bound) + 1}, ${len(bound) + 2})"
            bound += after
        rows = await connection.fetch(_page_sql(paged, query.limit + 1), *bound)
        sums = await connection.fetchrow(_SUMMARY.format(where=where, most=most_summed), *values)
    assert sums is not None, "an aggregate has one row"
    payments = [payment_of(row) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return PageWithSummary(
        payments=payments,
        next=(payments[-1].opened_at, payments[-1].id) if more else None,
        summary=Summary(
            count=sums["count"],
            completed_count=sums["completed_count"],
            failed_count=sums["failed_count"],
            completed_amount=f"{sums['completed_amount']:.2f}",
            capped=sums["count"] == most_summed,
        ),
    )


async def read_rows(database: Reads, merchant: str, query: ListQuery) -> list[Payment]:
    """The newest payments that match, without sums; `limit` of the query at most."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        where, values = await conditions(connection, merchant, query)
        rows = await connection.fetch(_page_sql(where, query.limit), *values)
    return [payment_of(row) for row in rows]


async def conditions(connection: Connection[asyncpg.Record], merchant: str, query: ListQuery) -> tuple[str, list[Any]]:
    """As `matching`, with the payments that `q` finds."""
    found = None if query.q is None else await find_payments(connection, query.q, [merchant], thorough=False)
    return matching(merchant, query, None if found is None else [one.id for one in found])


def _page_sql(where: str, limit: int) -> str:
    return f"""
        SELECT {PAYMENT} FROM (
            SELECT id FROM payments WHERE {where} ORDER BY opened_at DESC, id DESC LIMIT {limit:d}) AS page
        JOIN payments p USING (id) ORDER BY p.opened_at DESC, p.id DESC
    """  # noqa: S608 - our own words, values are bound


def matching(merchant: str, query: ListQuery, ids: list[str] | None = None) -> tuple[str, list[Any]]:
    """The SQL conditions of a query, numbered from $1, and the values bound to them in order.

    `ids`: the payments that the `q` of the query has found.
    """
    given: list[tuple[str, Any]] = [
        ("merchant =", merchant),
        ("provider =", query.provider),
        ("account =", query.account),
        ("reference =", query.reference),
        ("order_ref =", query.order),
        ("opened_at >=", query.since),
        ("opened_at <", query.until),
        ("amount >=", query.amount_min),
        ("amount <=", query.amount_max),
        (_OF_KEY.format(table="transactions", key="transaction_id"), query.transaction_id),
        (_OF_KEY.format(table="sessions", key="session_id"), query.session_id),
        ("id = ANY", ids),
    ]
    if query.hold not in (None, "any", "none"):
        given.append(("hold =", query.hold))
    bound = [(condition, value) for condition, value in given if value is not None]
    parts = [_condition(words, place) for place, (words, _) in enumerate(bound, start=1)]
    if query.reference is not None and query.account is None:
        parts.append(f"account = ANY(ARRAY({ACCOUNTS}))")  # references are found by their account
    if query.status is not None:
        parts.append(f"status = '{Status(query.status)}'")  # a plan for any status could not use payments_not_completed
    if query.hold in ("any", "none"):
        parts.append("hold IS NOT NULL" if query.hold == "any" else "hold IS NULL")
    return " AND ".join(parts), [value for _, value in bound]


def _condition(words: str, place: int) -> str:
    return words.replace("$$", f"${place}") if "$$" in words else f"{words} (${place})"
