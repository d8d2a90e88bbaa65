"""What a person who opens the console wants to know first: held money, waiting events, and how each gateway does.

No look counts without a bound: sums are of the newest payments, and come from the index `payments_listed` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import asyncpg
from msgspec import Struct

from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Connection, Reads
from worker.postgres.events.endpoint_reads import EndpointState, read_endpoints
from worker.runtime.zone import DHAKA

DAYS = 7
MOST_SUMMED = 50_000
MOST_HELD = 10_000
TIMED = 50
"""Of so many of an account's newest completed payments the time from callback to outcome is measured."""

_HELD = f"""
    SELECT count(*) AS count,
        coalesce(sum(coalesce(accepted_amount, amount)) FILTER (WHERE currency = 'BDT'), 0) AS amount,
        min(opened_at) AS oldest
    FROM (
        SELECT amount, accepted_amount, currency, opened_at FROM payments WHERE merchant = ANY($1) AND hold IS NOT NULL
        ORDER BY merchant, opened_at LIMIT {MOST_HELD}) AS held
"""  # noqa: S608 - the bound is our own number
_DAYS = f"""
    SELECT account, (opened_at AT TIME ZONE 'Asia/Dhaka')::date AS day, count(*) AS opened,
        count(*) FILTER (WHERE status = 'completed' AND hold IS NULL) AS paid,
        coalesce(sum(amount) FILTER (WHERE status = 'completed' AND hold IS NULL), 0) AS amount
    FROM (
        SELECT account, opened_at, status, hold, amount FROM payments WHERE merchant = $1 AND opened_at >= $2
        ORDER BY opened_at DESC, id DESC LIMIT {MOST_SUMMED}) AS newest
    GROUP BY account, day
"""  # noqa: S608
_CAME = """
    SELECT account, (opened_at AT TIME ZONE 'Asia/Dhaka')::date AS day, sum(accepted_amount - amount) AS more
    FROM payments
    WHERE merchant = $1 AND opened_at >= $2 AND accepted_amount IS NOT NULL AND status = 'completed' AND hold IS NULL
    GROUP BY account, day
"""
_OUTCOME = f"""
    SELECT a.account, (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM v.time - c.at))::float8
        FROM (
            SELECT id FROM payments WHERE account = a.account AND completed_at IS NOT NULL
            ORDER BY completed_at DESC LIMIT {TIMED}) AS p
        JOIN events v ON v.payment_id = p.id AND v.type = 'payment.completed'
        CROSS JOIN LATERAL (
            SELECT min(e.at) AS at FROM entries e WHERE e.payment_id = p.id AND e.kind = 'claim') AS c
        WHERE c.at <= v.time) AS seconds
    FROM unnest($1::text[]) AS a (account)
"""  # noqa: S608
_CALLBACKS = """
    SELECT p.account, count(*) AS count
    FROM (
        SELECT id, account FROM payments WHERE merchant = ANY($1) AND opened_at >= $2
        ORDER BY merchant, opened_at DESC LIMIT 2000) AS p
    JOIN claims c ON c.payment_id = p.id AND c.received_at >= $3
    GROUP BY p.account
"""


class HeldMoney(Struct, frozen=True, kw_only=True):
    """Held payments: how many, worth how many taka, and when the oldest was opened. Counted up to MOST_HELD."""

    count: int
    amount: Decimal
    oldest: datetime | None


class DayOfAccount(Struct, frozen=True, kw_only=True):
    """The payments of an account that were opened on a day in Dhaka: how many, how many are paid, and their taka.

    Paid: completed and not held. Their taka are what came, where a person accepted another amount.
    """

    account: str
    day: date
    opened: int
    paid: int
    amount: Decimal


class WaitingEndpoint(Struct, frozen=True, kw_only=True):
    """An endpoint that does not have all of its events. `oldest`: age in seconds of the oldest event that waits."""

    endpoint: Endpoint
    disabled: bool
    waiting: int
    oldest: float


class NowState(Struct, frozen=True, kw_only=True):
    """`days` are the last DAYS in Dhaka, without those of which only a part was counted.

    `outcome`: the median time in seconds from the first callback to the outcome, by account.
    """

    held: HeldMoney
    days: Sequence[DayOfAccount]
    since: date
    waiting: Sequence[WaitingEndpoint]
    outcome: dict[str, float]


async def read_now(
    database: Reads, merchants: Collection[str], accounts: Collection[str], endpoints: Sequence[Endpoint], now: datetime
) -> NowState:
    """The state of these merchants, with their accounts and endpoints."""
    async with database.connection() as connection:
        held = await connection.fetchrow(_HELD, list(merchants))
        assert held is not None, "an aggregate has one row"
        days, since = await _days(connection, merchants, now)
        outcomes = await connection.fetch(_OUTCOME, list(accounts))
        return NowState(
            held=HeldMoney(**held),
            days=days,
            since=since,
            waiting=await _waiting(connection, endpoints, now),
            outcome={row["account"]: row["seconds"] for row in outcomes if row["seconds"] is not None},
        )


async def read_callbacks(database: Reads, merchants: Collection[str], now: datetime) -> dict[str, int]:
    """How many callbacks came within the hour, by account: about the newest 2,000 payments of the last three hours."""
    hour = timedelta(hours=1)
    rows = await database.fetch(_CALLBACKS, list(merchants), now - 3 * hour, now - hour)
    return {row["account"]: row["count"] for row in rows}


async def _days(
    connection: Connection[asyncpg.Record], merchants: Collection[str], now: datetime
) -> tuple[list[DayOfAccount], date]:
    today = now.astimezone(DHAKA).date()
    since = today - timedelta(days=DAYS - 1)
    midnight = datetime.combine(since, datetime.min.time(), DHAKA)
    found: list[DayOfAccount] = []
    for merchant in merchants:
        came = {(row["account"], row["day"]): row["more"] for row in await connection.fetch(_CAME, merchant, midnight)}
        rows = [
            DayOfAccount(**{**dict(row), "amount": row["amount"] + came.get((row["account"], row["day"]), 0)})
            for row in await connection.fetch(_DAYS, merchant, midnight)
        ]
        found += rows
        if sum(row.opened for row in rows) == MOST_SUMMED:
            since = min(today, max(since, min(row.day for row in rows) + timedelta(days=1)))
    return [row for row in found if row.day >= since], since


async def _waiting(
    connection: Connection[asyncpg.Record], endpoints: Sequence[Endpoint], now: datetime
) -> list[WaitingEndpoint]:
    return [
        WaitingEndpoint(
            endpoint=one.endpoint,
            disabled=one.state is EndpointState.BLOCKED,
            waiting=one.waiting,
            oldest=(now - one.oldest_waiting).total_seconds() if one.oldest_waiting else 0.0,
        )
        for one in await read_endpoints(connection, endpoints)
        if one.waiting or one.state is EndpointState.BLOCKED
    ]
