"""Reads for one merchant: a payment, or a page of payments with the sums of those that match.

Every query here names the merchant. Values are bound; only our own words are in the SQL.

A list is read along one index: by any id that is given, of held payments (`payments_held`), of a status that few have
(`payments_not_completed`), or of all (`payments_listed`). The last two have all that a list filters by, so only the
payments on a page are read. At most MOST_SEEN of the index are looked at for a page, and MOST_SUMMED for the sums,
however few of them match. So a page may be short, or empty, and is not the last while it has a `next`.
"""

from __future__ import annotations

import math
from datetime import datetime
from time import monotonic
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from schemas.payments import Payment
from schemas.requests import ListQuery
from schemas.responses import Summary
from schemas.words import Status
from worker.postgres.database import Connection, Reads
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.reads.find import ACCOUNTS, MOST_FOUND, find_payments

Position = tuple[datetime, str]
"""Where a page ends: `opened_at` and id of its last payment."""

MOST_SEEN, MOST_SUMMED = 20_000, 50_000

_SEEN = """
    SELECT id, opened_at, status, hold, amount, account, provider FROM payments WHERE {seen}
    ORDER BY opened_at DESC, id DESC LIMIT {most}
"""
_PAGE = f"""
    SELECT {PAYMENT} FROM (
        SELECT id FROM ({_SEEN}) AS seen WHERE {{fits}} ORDER BY opened_at DESC, id DESC LIMIT {{limit}}) AS page
    JOIN payments p USING (id) ORDER BY p.opened_at DESC, p.id DESC
"""  # noqa: S608 - our own words, values are bound
_END = f"SELECT opened_at, id FROM ({_SEEN}) AS seen ORDER BY opened_at DESC, id DESC OFFSET {{most}} - 1"  # noqa: S608
_SUMMARY = f"""
    SELECT count(*) AS seen, count(*) FILTER (WHERE {{fits}}) AS count,
        count(*) FILTER (WHERE status = 'completed' AND hold IS NULL AND {{fits}}) AS completed_count,
        count(*) FILTER (WHERE status = 'failed' AND {{fits}}) AS failed_count,
        coalesce(sum(amount) FILTER (WHERE status = 'completed' AND hold IS NULL AND {{fits}}), 0) AS completed_amount,
        min(opened_at) AS oldest
    FROM ({_SEEN}) AS seen
"""  # noqa: S608
_CAME = """
    SELECT coalesce(sum(accepted_amount - amount), 0) FROM payments
    WHERE {seen} AND {fits} AND accepted_amount IS NOT NULL AND status = 'completed' AND hold IS NULL
        AND opened_at >= ${place}
"""
"""How much more came than was asked for, by what people accepted. payments_accepted finds these few payments."""


_OF_KEY = (
    f"id = ANY(ARRAY(SELECT k.payment_id FROM {{table}} k WHERE k.account = ANY(ARRAY({ACCOUNTS})) AND k.{{key}} = $$))"  # noqa: S608
)
"""The payments with a key: the shown transaction or session, and former ones."""


class Look(Struct, frozen=True):
    """A list in SQL: `seen` are the payments of an index that are looked at, and `fits` those of them that match.

    `seen` has the first `bound` of the values.
    """

    seen: str
    fits: str
    values: list[Any]
    bound: int


class Page(Struct, frozen=True, kw_only=True):
    """`next` is where the next page begins; None on the last page.

    `looked_until`: the page is short, as MOST_SEEN payments were looked at, the last of them opened then.
    """

    payments: list[Payment]
    next: Position | None
    looked_until: datetime | None = None


class PageWithSummary(Page, frozen=True, kw_only=True):
    summary: Summary


async def read_payment(database: Reads, merchant: str, payment_id: str) -> Payment | None:
    sql = f"SELECT {PAYMENT} FROM payments p WHERE id = $1 AND merchant = $2"  # noqa: S608 - our own names
    rows = await database.fetch(sql, payment_id, merchant)
    return payment_of(rows[0]) if rows else None


async def read_page(
    database: Reads,
    merchant: str,
    query: ListQuery,
    after: Position | None,
    *,
    most_seen: int = MOST_SEEN,
    most_summed: int = MOST_SUMMED,
) -> PageWithSummary:
    """The payments that match, newest first, behind position `after`. Page and summary are of one moment."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await found_by_id(connection, merchant, query)
        look = looking(merchant, query, found)
        page = await _page(connection, looking(merchant, query, found, after), query.limit, most_seen)
        summary = _SUMMARY.format(seen=look.seen, fits=look.fits, most=most_summed)
        sums = await connection.fetchrow(summary, *look.values)
        assert sums is not None, "an aggregate has one row"
        completed = sums["completed_amount"]
        if sums["completed_count"]:
            came = _CAME.format(seen=look.seen, fits=look.fits, place=len(look.values) + 1)
            completed += await connection.fetchval(came, *look.values, sums["oldest"])
    return PageWithSummary(
        payments=page.payments,
        next=page.next,
        looked_until=page.looked_until,
        summary=Summary(
            count=sums["count"],
            completed_count=sums["completed_count"],
            failed_count=sums["failed_count"],
            completed_amount=f"{completed:.2f}",
            capped=sums["seen"] == most_summed or (found is not None and len(found) >= MOST_FOUND),
        ),
    )


async def read_whole_page(
    database: Reads,
    merchant: str,
    query: ListQuery,
    after: Position | None = None,
    *,
    seconds: float = math.inf,
    most_seen: int = MOST_SEEN,
) -> PageWithSummary:
    """The same page, which goes on looking while it is short, for so many seconds. Each part is of its own moment."""
    until = monotonic() + seconds
    page = await read_page(database, merchant, query, after, most_seen=most_seen)
    while page.looked_until is not None and (wanted := query.limit - len(page.payments)) > 0 and monotonic() < until:
        part = await read_part(database, merchant, replace(query, limit=wanted), page.next, most_seen=most_seen)
        page = replace(page, payments=page.payments + part.payments, next=part.next, looked_until=part.looked_until)
    return page


async def read_part(
    database: Reads, merchant: str, query: ListQuery, after: Position | None, *, most_seen: int = MOST_SEEN
) -> Page:
    """The same page without sums, for a list that is read to its end."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        look = looking(merchant, query, await found_by_id(connection, merchant, query), after)
        return await _page(connection, look, query.limit, most_seen)


async def found_by_id(connection: Connection[asyncpg.Record], merchant: str, query: ListQuery) -> list[str] | None:
    """The payments that the `q` of the query finds; None without one."""
    if query.q is None:
        return None
    return [one.id for one in await find_payments(connection, query.q, [merchant], thorough=False)]


async def _page(connection: Connection[asyncpg.Record], look: Look, limit: int, most: int) -> Page:
    shape = {"seen": look.seen, "fits": look.fits, "most": most}
    rows = await connection.fetch(_PAGE.format(**shape, limit=limit + 1), *look.values)
    payments = [payment_of(row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(payments=payments, next=(payments[-1].opened_at, payments[-1].id))
    end = await connection.fetchrow(_END.format(**shape), *look.values[: look.bound])
    if end is None:
        return Page(payments=payments, next=None)
    return Page(payments=payments, next=(end["opened_at"], end["id"]), looked_until=end["opened_at"])


def looking(merchant: str, query: ListQuery, ids: list[str] | None = None, after: Position | None = None) -> Look:
    """The query in SQL. Values are numbered from $1. `ids`: the payments that the `q` of the query has found."""
    values: list[Any] = []

    def bound(given: list[tuple[str, Any]]) -> list[str]:
        parts = []
        for words, value in given:
            if value is not None:
                values.append(value)
                parts.append(_condition(words, len(values)))
        return parts

    named = bound(
        [
            ("reference =", query.reference),
            ("order_ref =", query.order),
            (_OF_KEY.format(table="transactions", key="transaction_id"), query.transaction_id),
            (_OF_KEY.format(table="sessions", key="session_id"), query.session_id),
            ("id = ANY", ids),
        ]
    )
    seen = named + bound([("merchant =", merchant), ("opened_at >=", query.since), ("opened_at <", query.until)])
    if after is not None:
        seen.append(f"(opened_at, id) < (${len(values) + 1}, ${len(values) + 2})")
        values += after
    of_seen = len(values)
    fits = bound(
        [
            ("provider =", query.provider),
            ("account =", query.account),
            ("amount >=", query.amount_min),
            ("amount <=", query.amount_max),
            ("hold =", None if query.hold in ("any", "none") else query.hold),
        ]
    )
    if query.reference is not None and query.account is None:
        seen.append(f"account = ANY(ARRAY({ACCOUNTS}))")  # references are found by their account
    held = query.hold not in (None, "none")
    if held:
        seen.append("hold IS NOT NULL")
    elif query.hold == "none":
        fits.append("hold IS NULL")
    if query.status is not None:
        few = query.status != Status.COMPLETED and not held
        # A plan for any status could not use payments_not_completed.
        (seen if few else fits).append(f"status = '{Status(query.status)}'")
    if named:  # an id has few payments, and an index of its own finds them
        seen, fits, of_seen = seen + fits, [], len(values)
    return Look(" AND ".join(seen), " AND ".join(fits) or "true", values, of_seen)


def _condition(words: str, place: int) -> str:
    return words.replace("$$", f"${place}") if "$$" in words else f"{words} (${place})"
