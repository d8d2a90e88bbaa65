"""Which payments the sweep looks at next: taken with SKIP LOCKED, so that any number of sweeps share the work.

The sweep takes no more payments than can be asked about. Without a bound it would queue the same due payments again and
again, ahead of new callbacks. An account whose breaker is open gets none until it may be probed. An account with a call
budget gets three quarters of it, so that a quarter is there for callbacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import asyncpg

from consumers.checks.limits import ACCOUNT_BREAKER
from consumers.pacing import TokenBucket
from worker.postgres.database import Connection, Database
from worker.postgres.watermark import Watermarks

POLL_SECONDS = 5.0
"""The sweep looks for due payments at least so often, even without a wakeup."""

SWEPT_SECONDS = 30
JITTER_SECONDS = 5
MOST_WAITING = 50
"""The sweep queues nothing for a gateway with so many claims waiting. Its due payments stay due.

A new callback waits behind these claims, so they are few: a fraction of a second's work."""

PROBING = 20
"""How many payments are taken at a time of an account whose gateway is silent.

One of them probes the gateway. Those whose schedule has ended are given up."""

SHARE = 0.75
SWEEP_BURST_SECONDS = 2.0
"""How many seconds' worth of the sweep's share may be saved up, and used at once."""

_SHARES = """
    INSERT INTO allowances (account, at, sweep_calls, swept_at)
    SELECT account, clock_timestamp(), burst, clock_timestamp()
    FROM unnest($1::text[], $2::float8[]) AS a (account, burst) ORDER BY 1
    ON CONFLICT (account) DO NOTHING
"""
_REFILL = """
    UPDATE allowances a SET swept_at = clock_timestamp(),
        sweep_calls = least(r.burst, a.sweep_calls + r.rate * greatest(0,
            extract(epoch FROM clock_timestamp() - coalesce(a.swept_at, clock_timestamp()))::float8))
    FROM unnest($1::text[], $2::float8[], $3::float8[]) AS r (account, burst, rate)
    WHERE a.account = r.account AND a.account IN (
        SELECT account FROM allowances WHERE account = ANY($1) ORDER BY account FOR UPDATE SKIP LOCKED)
    RETURNING a.account, a.sweep_calls
"""
_SILENT = """
    SELECT account, coalesce(shut_until > clock_timestamp(), false) AS shut
    FROM allowances WHERE account = ANY($1) AND (troubles >= $2 OR shut_until > clock_timestamp())
"""
_DUE = """
    SELECT due.* FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS a (account, most, since) CROSS JOIN LATERAL (
        SELECT p.id, p.account, p.next_check_at FROM payments p
        WHERE p.account = a.account AND p.next_check_at >= a.since AND p.next_check_at <= statement_timestamp()
        ORDER BY p.next_check_at LIMIT a.most FOR UPDATE SKIP LOCKED) AS due
"""
"""By clock_timestamp() no index can be searched: where few payments are due, all that are due later would be read."""

_NEXT = """
    SELECT min(due.at) AS at FROM unnest($1::text[], $2::timestamptz[]) AS a (account, since) CROSS JOIN LATERAL (
        SELECT p.next_check_at AS at FROM payments p
        WHERE p.account = a.account AND p.next_check_at >= a.since ORDER BY p.next_check_at LIMIT 1) AS due
"""
_TAKE = f"""
    UPDATE payments SET next_check_at = clock_timestamp()
        + make_interval(secs => {SWEPT_SECONDS} + {JITTER_SECONDS} * random())
    WHERE id = ANY($1) RETURNING id, account, provider
"""  # noqa: S608 - the numbers are our own


def sweep_bucket(rate: float) -> TokenBucket:
    """The sweep's share of an account that may be asked `rate` times a second; `_REFILL` refills it."""
    return TokenBucket.of_seconds(rate * SHARE, SWEEP_BURST_SECONDS)


async def take_due(
    database: Database, most: int, accounts: Mapping[str, float | None], marks: Watermarks | None = None
) -> list[tuple[str, str, str]]:
    """Take due payments of these accounts. Returns them as (payment id, account, provider), in no certain order.

    `accounts` has the budget of each account in calls per second, None for no budget. Of each account at most `most`
    payments are taken, those that wait longest. A taken payment is due again after SWEPT_SECONDS, if its claim is lost.
    `marks` are the watermarks of the accounts, kept from look to look; None: look from the start.
    """
    marks = Watermarks() if marks is None else marks
    now = database.clock.now()
    async with database.connection() as connection, connection.transaction():
        allowed = await _allowed(connection, most, accounts)
        bounds = {account: marks[account].bound(now) for account in allowed}
        found = await connection.fetch(_DUE, list(allowed), list(allowed.values()), list(bounds.values()))
        # By ids, and not in one statement: a planner that expects more rows would read the whole table.
        # An empty list might be looked for in any index.
        rows = await connection.fetch(_TAKE, [row["id"] for row in found]) if found else []
        taken = [(row["id"], row["account"], row["provider"]) for row in rows]
        used = {account: sum(taken_of == account for _, taken_of, _ in taken) for account in allowed}
        budgeted = [account for account, rate in accounts.items() if rate is not None and used.get(account)]
        if budgeted:
            await connection.execute(
                """UPDATE allowances a SET sweep_calls = a.sweep_calls - u.calls
                   FROM unnest($1::text[], $2::int[]) AS u (account, calls) WHERE a.account = u.account""",
                budgeted,
                [used[account] for account in budgeted],
            )
    for account, bound in bounds.items():
        due = [row["next_check_at"] for row in found if row["account"] == account]
        marks[account].saw(bound, min(due, default=None), now)
    return taken


async def _allowed(
    connection: Connection[asyncpg.Record], most: int, accounts: Mapping[str, float | None]
) -> dict[str, int]:
    """How many payments of each account may be taken now. Accounts that may have none now are absent.

    An account whose row another sweep has locked is left to that sweep.
    """
    shares = {account: sweep_bucket(rate) for account, rate in accounts.items() if rate is not None}
    allowed = {account: most for account, rate in accounts.items() if rate is None}
    if shares:
        bursts, rates = [share.burst for share in shares.values()], [share.rate for share in shares.values()]
        await connection.execute(_SHARES, list(shares), bursts)
        rows = await connection.fetch(_REFILL, list(shares), bursts, rates)
        allowed |= {row["account"]: min(most, int(row["sweep_calls"])) for row in rows}
    for row in await connection.fetch(_SILENT, list(allowed), ACCOUNT_BREAKER.threshold):
        allowed[row["account"]] = 0 if row["shut"] else min(allowed[row["account"]], PROBING)
    return {account: allowed[account] for account in sorted(allowed) if allowed[account] > 0}


async def next_due_at(
    database: Database, accounts: Mapping[str, float | None], marks: Watermarks | None = None
) -> datetime | None:
    """When the next payment of these accounts is due; None if none has a next check. `marks`: see `take_due`.

    It is in the past if due payments are locked or must wait.
    """
    marks, now = Watermarks() if marks is None else marks, database.clock.now()
    rows = await database.fetch(_NEXT, list(accounts), [marks[account].near(now) for account in accounts])
    at: datetime | None = rows[0]["at"]
    return at
