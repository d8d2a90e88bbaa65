"""The rows of endpoints. `place` is the position in the event log up to which an endpoint has its deliveries.

It moves in the transaction that writes the deliveries. So a process that dies in between skips no event. The query for
the events after it has the form that `event_log.py` explains.

`worker.config.webhook_endpoints` says which row is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
from msgspec import Struct

from consumers.timing import TIMING
from consumers.webhook_policy import Health
from schemas.audit import AuditRecord
from worker.config.webhook_endpoints import Endpoint, EndpointRow, identified
from worker.postgres.audit_rows import add_record
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Connection, Database
from worker.postgres.wakeups import Wakeup

SUCCESS_NOTED_EVERY = timedelta(seconds=10)
BEGINNING_LOCK = 7_242_020
"""Processes that begin at the same time take turns, so that an endpoint gets one row."""

PORTION = 2_000
MOST_PORTIONS = 500
"""A million deliveries are made due by a person who enables an endpoint; further ones keep their time."""

_ROWS = "SELECT id, merchant, configured_id FROM endpoints"
_GIVEN = "unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS c (id, merchant, url, configured_id)"
_BEGIN = f"""
    INSERT INTO endpoints (id, merchant, url, configured_id, place)
    SELECT c.id, c.merchant, c.url, c.configured_id, (SELECT coalesce(max(place), 0) FROM events)
    FROM {_GIVEN} ORDER BY 1 ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - our own words
_NAME = f"""
    UPDATE endpoints e SET configured_id = c.configured_id FROM {_GIVEN}
    WHERE e.id = c.id AND e.configured_id IS DISTINCT FROM c.configured_id AND c.configured_id IS NOT NULL
"""  # noqa: S608
_MOVE = f"""
    UPDATE endpoints e SET url = c.url, failures = 0, shut_until = NULL, disabled_at = NULL FROM {_GIVEN}
    WHERE e.id = c.id AND e.url <> c.url RETURNING e.id
"""  # noqa: S608
_DUE_NOW = "UPDATE deliveries SET next_at = $2 WHERE endpoint = ANY($1) AND next_at > $2"
_PORTION_DUE = """
    UPDATE deliveries SET next_at = $2 WHERE endpoint = $1 AND event_id IN (
        SELECT event_id FROM deliveries WHERE endpoint = $1 AND next_at > $3 ORDER BY next_at, place LIMIT $4)
"""
_LOCK = "SELECT place, url, failures, shut_until, disabled_at FROM endpoints WHERE id = $1 FOR NO KEY UPDATE"
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
_HEALTH = """
    UPDATE endpoints SET failures = $2, shut_until = $3, disabled_at = $4,
        answered_at = coalesce($5, answered_at), answer = coalesce($6, answer) WHERE id = $1
"""
_SUCCESS = """
    UPDATE endpoints SET delivered_at = $2, answered_at = $4, answer = $5
    WHERE id = $1 AND (delivered_at IS NULL OR delivered_at < $3)
"""
_LIST = """
    SELECT e.id, e.configured_id, e.merchant, e.url, e.failures, e.shut_until, e.disabled_at, e.delivered_at,
        (SELECT count(*) FROM deliveries d WHERE d.endpoint = e.id AND d.next_at IS NOT NULL) AS waiting,
        (SELECT count(*) FROM deliveries d WHERE d.endpoint = e.id AND d.given_up_at IS NOT NULL) AS given_up,
        (SELECT count(*) FROM events v WHERE (v.merchant, v.place) > (e.merchant, e.place)
             AND v.merchant = e.merchant AND v.place IS NOT NULL) AS ahead
    FROM endpoints e ORDER BY e.merchant, e.id
"""


class LastAnswer(Struct, frozen=True):
    """What the last attempt at an endpoint brought, in words."""

    at: datetime
    words: str


class LockedEndpoint(Struct, frozen=True):
    """An endpoint whose row this transaction holds. `url` is that of the process that began last."""

    place: int
    url: str
    health: Health


class EndpointOverview(Struct, frozen=True, kw_only=True):
    """An endpoint with its counts of deliveries: `waiting` are to be sent, `given_up` are not sent any more.

    `ahead`: how many of the merchant's events have no deliveries yet, as when the endpoint is disabled.
    """

    id: str
    configured_id: str | None
    merchant: str
    url: str
    health: Health
    delivered_at: datetime | None
    waiting: int
    given_up: int
    ahead: int


async def begin_endpoints(database: Database, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Make rows for new endpoints. They get the events that come from now on. Returns the endpoints with their ids.

    What waits for an endpoint whose URL has changed is due to the new URL at once, though the old one was failing.
    """
    if not endpoints:
        return ()
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", BEGINNING_LOCK)
        found = await known_endpoints(connection, endpoints)
        given = [
            list(column) for column in zip(*((e.id, e.merchant, e.url, e.configured_id) for e in found), strict=True)
        ]
        await connection.execute(_BEGIN, *given)
        await connection.execute(_NAME, *given)
        moved = [row["id"] for row in await connection.fetch(_MOVE, *given)]
        await connection.execute(_DUE_NOW, moved, database.clock.now())
    return found


async def known_endpoints(
    connection: Connection[asyncpg.Record] | Database, endpoints: Sequence[Endpoint]
) -> tuple[Endpoint, ...]:
    """The endpoints with the ids of their rows, as `begin_endpoints` found or would make them."""
    return identified(endpoints, [EndpointRow(**dict(row)) for row in await connection.fetch(_ROWS)])


async def lock_endpoint(connection: Connection[asyncpg.Record], endpoint: str) -> LockedEndpoint:
    """Lock the endpoint's row until the transaction ends, so that the workers of all processes take turns."""
    row = await connection.fetchrow(_LOCK, endpoint)
    assert row is not None, "endpoints begin before their workers do"
    return LockedEndpoint(row["place"], row["url"], _health(row))


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


async def save_health(
    connection: Connection[asyncpg.Record], endpoint: str, health: Health, answer: LastAnswer | None = None
) -> None:
    """Write the endpoint's health, and the answer that led to it."""
    await connection.execute(
        _HEALTH,
        endpoint,
        health.failures,
        health.shut_until,
        health.disabled_at,
        answer.at if answer else None,
        answer.words if answer else None,
    )


async def note_success(
    connection: Connection[asyncpg.Record], endpoint: str, now: datetime, answer: LastAnswer
) -> None:
    """Note when the endpoint last took a delivery, and its last answer, at most once in SUCCESS_NOTED_EVERY."""
    await connection.execute(_SUCCESS, endpoint, now, now - SUCCESS_NOTED_EVERY, answer.at, answer.words)


async def enable_endpoint(database: Database, endpoint: str, now: datetime, record: AuditRecord) -> Health | None:
    """Enable the endpoint, and make its waiting deliveries due. Returns its former health; None if unknown.

    `record` is written with the first portion.

    They are made due in portions, each in a short transaction, and sent meanwhile. So behind the first portion no
    delivery is touched that may be under way: those whose time is within a lease come by themselves.
    """
    async with database.connection() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, endpoint)
        if row is None:
            return None
        await save_health(connection, endpoint, Health())
        await add_record(connection, record)
        done = rows_changed(await connection.execute(_PORTION_DUE, endpoint, now, now, PORTION))
    for _ in range(MOST_PORTIONS - 1):
        if done < PORTION:
            break
        database.notify(Wakeup(placed=True))
        async with database.connection() as connection, connection.transaction():
            await lock_endpoint(connection, endpoint)
            at = database.clock.now()
            bound = at + TIMING.delivery_lease
            done = rows_changed(await connection.execute(_PORTION_DUE, endpoint, at, bound, PORTION))
    return _health(row)


async def list_endpoints(database: Database) -> list[EndpointOverview]:
    return [
        EndpointOverview(
            **{name: row[name] for name in EndpointOverview.__struct_fields__ if name != "health"},
            health=_health(row),
        )
        for row in await database.fetch(_LIST)
    ]


def _health(row: asyncpg.Record) -> Health:
    return Health(failures=row["failures"], shut_until=row["shut_until"], disabled_at=row["disabled_at"])
