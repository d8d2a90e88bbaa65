"""Deliveries in Postgres: leased, recorded and expedited. The caller holds the lock of their endpoint's row.

A worker takes a delivery by setting `next_at` to the end of its lease. So the deliveries of a process that dies become
due again. A result names the lease of its attempt, and does not change a delivery that was taken again meanwhile; only
a success always counts.

A timeline entry needs a lock on its payment's row, and another process may hold that row. Attempts whose payments are
locked are recorded in a later cycle. So nothing here waits, and no deadlock is possible.

`mark` is the endpoint's watermark in this process, kept from look to look: see worker/postgres/watermark.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from consumers.timing import TIMING
from consumers.webhook_policy import MAX_EXPEDITED
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Connection
from worker.postgres.watermark import Watermark

_DUE = """
    SELECT event_id, next_at FROM deliveries WHERE endpoint = $1 AND next_at >= $4 AND next_at <= $2
    ORDER BY next_at, place LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_EARLY = """
    UPDATE deliveries SET next_at = $2, step = greatest(step - 1, 0) WHERE endpoint = $1 AND event_id = (
        SELECT event_id FROM deliveries WHERE endpoint = $1 AND next_at >= $4 AND attempts - step < $3
        ORDER BY next_at, place LIMIT 1 FOR UPDATE SKIP LOCKED)
"""
_TAKE = """
    UPDATE deliveries SET next_at = $3, attempts = attempts + 1 WHERE endpoint = $1 AND event_id = ANY($2)
    RETURNING event_id, attempts, step, place
"""
_GIVE_UP = """
    UPDATE deliveries SET next_at = NULL, given_up_at = $3, answer = $4 WHERE endpoint = $1 AND event_id = ANY($2)
"""
_RECORD = """
    UPDATE deliveries d SET step = s.step, next_at = s.next_at, delivered_at = s.delivered_at,
        given_up_at = s.given_up_at, answer = s.answer, last_attempt = s.last_attempt
    FROM unnest($2::text[], $3::timestamptz[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
        $8::text[], $9::jsonb[]) AS s (event_id, lease, step, next_at, delivered_at, given_up_at, answer, last_attempt)
    WHERE d.endpoint = $1 AND d.event_id = ANY($2) AND d.event_id = s.event_id
        AND (d.next_at = s.lease OR (s.delivered_at IS NOT NULL AND d.delivered_at IS NULL))
"""
_FREE = "SELECT id FROM payments WHERE id = ANY($1) ORDER BY id FOR KEY SHARE SKIP LOCKED"
_THERE = "SELECT id FROM payments WHERE id = ANY($1)"
_EVENTS = """
    SELECT id, payment_id, type, account, body, (SELECT since FROM servers) AS since FROM events WHERE id = ANY($1)
"""
_TELL = """
    INSERT INTO entries (payment_id, at, kind, data)
    SELECT payment_id, at, 'delivery', data
    FROM unnest($1::text[], $2::timestamptz[], $3::jsonb[]) AS e (payment_id, at, data) ORDER BY payment_id, at
"""
_EXPEDITE = """
    UPDATE deliveries SET next_at = $2::timestamptz + $3::interval * random(), step = greatest(step - 1, 0)
    WHERE endpoint = $1 AND next_at > $2::timestamptz + $3::interval AND attempts - step < $4
"""
_NEXT = "SELECT next_at FROM deliveries WHERE endpoint = $1 AND next_at >= $2 ORDER BY next_at LIMIT 1"

GONE = "not sent: the event is deleted, as its retention has ended"
"""The answer of a delivery that a replay made due while its event was deleted."""


class LeasedDelivery(Struct, frozen=True, kw_only=True):
    """A delivery that this worker has until `lease`. `probe`: it is sent alone, to see whether the endpoint is back.

    `since`: see consumers.ports.readings.Reading.
    """

    event_id: str
    payment_id: str
    type: str
    account: str
    since: datetime | None
    body: bytes
    attempt: int
    step: int
    lease: datetime
    probe: bool


class AttemptResult(Struct, frozen=True, kw_only=True):
    """The result of an attempt. Exactly one of `next_at`, `delivered_at` and `given_up_at` is given.

    `told` is its entry in the payment's timeline. `at`: when the attempt ended. `last_attempt` is what people are shown
    of it: the headers that were sent, the status, and how the answer began.
    """

    taken: LeasedDelivery
    at: datetime
    step: int
    answer: str
    told: dict[str, Any]
    last_attempt: dict[str, Any]
    next_at: datetime | None = None
    delivered_at: datetime | None = None
    given_up_at: datetime | None = None


async def lease_deliveries(
    connection: Connection[asyncpg.Record], endpoint: str, most: int, now: datetime, mark: Watermark, *, probe: bool
) -> list[LeasedDelivery]:
    """Take at most `most` due deliveries, those that wait longest. Returns them in the order of the event log."""
    bound = mark.bound(now)
    rows = await connection.fetch(_DUE, endpoint, now, most, bound)
    mark.saw(bound, min((row["next_at"] for row in rows), default=None), now)
    due = [row["event_id"] for row in rows]
    if not due:
        return []
    # By ids, and not in one statement: a planner that expects more rows would read a whole table.
    lease = now + TIMING.delivery_lease
    taken = await connection.fetch(_TAKE, endpoint, due, lease)
    found = await connection.fetch(_EVENTS, due)
    events = {row["id"]: row for row in found}
    if gone := [event_id for event_id in due if event_id not in events]:
        await connection.execute(_GIVE_UP, endpoint, gone, now, GONE)
    return [
        LeasedDelivery(
            event_id=row["event_id"],
            payment_id=events[row["event_id"]]["payment_id"],
            type=events[row["event_id"]]["type"],
            account=events[row["event_id"]]["account"],
            since=events[row["event_id"]]["since"],
            body=events[row["event_id"]]["body"],
            attempt=row["attempts"],
            step=row["step"],
            lease=lease,
            probe=probe,
        )
        for row in sorted(taken, key=lambda row: row["place"])
        if row["event_id"] in events
    ]


async def lockable_payments(connection: Connection[asyncpg.Record], payments: Sequence[str]) -> set[str]:
    """Lock the payments that no other transaction holds, so that their timelines can be written. Returns their ids."""
    return {row["id"] for row in await connection.fetch(_FREE, list(payments))}


async def payments_here(connection: Connection[asyncpg.Record], payments: Sequence[str]) -> set[str]:
    """Those of the payments that the server has. One that took over may lack the last ones."""
    return {row["id"] for row in await connection.fetch(_THERE, list(payments))}


async def record_attempts(
    connection: Connection[asyncpg.Record], endpoint: str, results: Sequence[AttemptResult]
) -> None:
    """Record the results of attempts, with an entry in each payment's timeline."""
    await connection.execute(
        _RECORD,
        endpoint,
        [one.taken.event_id for one in results],
        [one.taken.lease for one in results],
        [one.step for one in results],
        [one.next_at for one in results],
        [one.delivered_at for one in results],
        [one.given_up_at for one in results],
        [one.answer for one in results],
        [one.last_attempt for one in results],
    )
    await connection.execute(
        _TELL,
        [one.taken.payment_id for one in results],
        [one.at for one in results],
        [one.told for one in results],
    )


async def expedite_deliveries(connection: Connection[asyncpg.Record], endpoint: str, now: datetime) -> int:
    """Make deliveries that wait longer than `expedite_spread` due within it, each MAX_EXPEDITED times at most.

    An early attempt does not count in the schedule. Returns how many deliveries were moved.
    """
    done = await connection.execute(_EXPEDITE, endpoint, now, TIMING.expedite_spread, MAX_EXPEDITED)
    return rows_changed(done)


async def expedite_one(connection: Connection[asyncpg.Record], endpoint: str, now: datetime, mark: Watermark) -> None:
    """Make the next delivery due now, as a probe. Does nothing if all were expedited MAX_EXPEDITED times."""
    await connection.execute(_EARLY, endpoint, now, MAX_EXPEDITED, mark.near(now))


async def next_delivery_at(
    connection: Connection[asyncpg.Record], endpoint: str, now: datetime, mark: Watermark
) -> datetime | None:
    at: datetime | None = await connection.fetchval(_NEXT, endpoint, mark.near(now))
    return at
