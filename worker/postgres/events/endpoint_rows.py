"""The rows of endpoints. `place` is the position in the event log up to which an endpoint has its deliveries.

It moves in the transaction that writes the deliveries. So a process that dies in between skips no event. The query for
the events after it has the form that `event_log.py` explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
from msgspec import Struct

from consumers.webhook_policy import Health
from worker.postgres.database import Connection, Database

SUCCESS_NOTED_EVERY = timedelta(seconds=10)

_BEGIN = """
    INSERT INTO endpoints (id, merchant, url, place)
    SELECT e.id, e.merchant, e.url, (SELECT coalesce(max(place), 0) FROM events)
    FROM unnest($1::text[], $2::text[], $3::text[]) AS e (id, merchant, url) ORDER BY 1
    ON CONFLICT (id) DO NOTHING
"""
_LOCK = "SELECT place, failures, shut_until, disabled_at FROM endpoints WHERE id = $1 FOR NO KEY UPDATE"
_ENQUEUE = """
    WITH batch AS (
        SELECT id, place, type FROM events
        WHERE (merchant, place) > ($2, $3) AND (merchant, place) <= ($2, 9223372036854775807) AND place IS NOT NULL
        ORDER BY merchant, place LIMIT $4),
    written AS (
        INSERT INTO deliveries (endpoint, event_id, place, next_at)
        SELECT $1, id, place, $6 FROM batch WHERE type = ANY($5) ON CONFLICT DO NOTHING)
    SELECT count(*) AS events, max(place) AS place FROM batch
"""
_LIST = """
    SELECT e.id, e.merchant, e.url, e.failures, e.shut_until, e.disabled_at, e.delivered_at,
        (SELECT count(*) FROM deliveries d WHERE d.endpoint = e.id AND d.next_at IS NOT NULL) AS waiting,
        (SELECT count(*) FROM deliveries d WHERE d.endpoint = e.id AND d.given_up_at IS NOT NULL) AS given_up,
        (SELECT count(*) FROM events v WHERE (v.merchant, v.place) > (e.merchant, e.place)
             AND v.merchant = e.merchant AND v.place IS NOT NULL) AS ahead
    FROM endpoints e ORDER BY e.merchant, e.id
"""


class LockedEndpoint(Struct, frozen=True):
    """An endpoint whose row this transaction holds."""

    place: int
    health: Health


class EndpointOverview(Struct, frozen=True, kw_only=True):
    """An endpoint with its counts of deliveries: `waiting` are to be sent, `given_up` are not sent any more.

    `ahead`: how many of the merchant's events have no deliveries yet, as when the endpoint is disabled.
    """

    id: str
    merchant: str
    url: str
    health: Health
    delivered_at: datetime | None
    waiting: int
    given_up: int
    ahead: int


async def begin_endpoints(database: Database, endpoints: Sequence[tuple[str, str, str]]) -> None:
    """Make rows for new endpoints, given as (id, merchant, url). They get the events that come from now on."""
    await database.execute(_BEGIN, *map(list, zip(*endpoints, strict=True))) if endpoints else None


async def lock_endpoint(connection: Connection[asyncpg.Record], endpoint: str) -> LockedEndpoint:
    """Lock the endpoint's row until the transaction ends, so that the workers of all processes take turns."""
    row = await connection.fetchrow(_LOCK, endpoint)
    assert row is not None, "endpoints begin before their workers do"
    return LockedEndpoint(row["place"], _health(row))


async def enqueue_new_events(
    connection: Connection[asyncpg.Record],
    endpoint: str,
    merchant: str,
    types: Sequence[str],
    place: int,
    most: int,
    now: datetime,
) -> int:
    """Make deliveries of the merchant's next events after `place`, and move the endpoint's place behind them.

    `types` are the event types that the endpoint wants. Returns how many events were read, wanted or not.
    """
    row = await connection.fetchrow(_ENQUEUE, endpoint, merchant, place, most, list(types), now)
    assert row is not None, "an aggregate has one row"
    if row["events"]:
        await connection.execute("UPDATE endpoints SET place = $2 WHERE id = $1", endpoint, row["place"])
    passed: int = row["events"]
    return passed


async def save_health(connection: Connection[asyncpg.Record], endpoint: str, health: Health) -> None:
    await connection.execute(
        "UPDATE endpoints SET failures = $2, shut_until = $3, disabled_at = $4 WHERE id = $1",
        endpoint,
        health.failures,
        health.shut_until,
        health.disabled_at,
    )


async def note_success(connection: Connection[asyncpg.Record], endpoint: str, now: datetime) -> None:
    """Note when the endpoint last took a delivery, at most once in SUCCESS_NOTED_EVERY."""
    await connection.execute(
        "UPDATE endpoints SET delivered_at = $2 WHERE id = $1 AND (delivered_at IS NULL OR delivered_at < $3)",
        endpoint,
        now,
        now - SUCCESS_NOTED_EVERY,
    )


async def enable_endpoint(database: Database, endpoint: str, now: datetime) -> Health | None:
    """Enable the endpoint, and make all its waiting deliveries due. Returns its former health; None if unknown."""
    async with database.connection() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, endpoint)
        if row is None:
            return None
        await save_health(connection, endpoint, Health())
        await connection.execute(
            "UPDATE deliveries SET next_at = $2 WHERE endpoint = $1 AND next_at > $2", endpoint, now
        )
    return _health(row)


async def list_endpoints(database: Database) -> list[EndpointOverview]:
    return [
        EndpointOverview(
            **{name: row[name] for name in ("id", "merchant", "url", "delivered_at", "waiting", "given_up", "ahead")},
            health=_health(row),
        )
        for row in await database.fetch(_LIST)
    ]


def _health(row: asyncpg.Record) -> Health:
    return Health(failures=row["failures"], shut_until=row["shut_until"], disabled_at=row["disabled_at"])
