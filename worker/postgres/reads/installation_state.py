"""The state of the database, for operators: counts and ages of waiting and held work.

Every process reads it every few seconds, also with a million payments and a hundred thousand waiting rows. So each part
ends at an index's first row, or counts no further than MOST. Looks for open work begin at a watermark; see
worker/postgres/watermark.py. That is why the queries have an ORDER BY: without it, a planner may read the whole table
for a few rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from consumers.account import Account
from consumers.webhook_policy import ENDPOINT_BREAKER
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Connection, Database
from worker.postgres.events.endpoint_rows import known_endpoints
from worker.postgres.events.publish_cursor import BROKER
from worker.postgres.lost_events import LOST
from worker.postgres.reads.account_state import AccountState, read_accounts
from worker.postgres.spent_bytes import ARCHIVE_BYTES
from worker.postgres.watermark import Watermarks

MOST = 10_000
"""No row is counted beyond this: more of them would be no more alarming."""


_HELD = f"""
    SELECT provider, hold, count(*) AS count
    FROM (
        SELECT provider, hold FROM payments WHERE hold IS NOT NULL ORDER BY merchant, opened_at LIMIT {MOST}) AS held
    GROUP BY provider, hold
"""  # noqa: S608 - the bound is our own number
_QUEUE = f"""
    SELECT g.provider, g.later, counted.*
    FROM unnest($1::text[], $2::bool[], $3::timestamptz[]) AS g (provider, later, since) CROSS JOIN LATERAL (
        SELECT count(*) AS waiting, min(available_at) AS oldest FROM (
            SELECT q.available_at FROM queue q
            WHERE q.provider = g.provider AND q.later = g.later AND q.available_at >= g.since
            ORDER BY q.available_at LIMIT {MOST}) AS next) AS counted
"""  # noqa: S608
_LOG = f"""
    SELECT
        extract(epoch FROM clock_timestamp() - (
            SELECT time FROM left_events(unplaced_since('60 s'), 'infinity', 1)))::float8 AS unsequenced,
        extract(epoch FROM (
            SELECT time FROM events WHERE place IS NOT NULL ORDER BY place DESC LIMIT 1))::float8 AS newest,
        extract(epoch FROM clock_timestamp() - (
            SELECT time FROM events WHERE place > r.place ORDER BY place LIMIT 1))::float8 AS unpublished,
        (SELECT count(*) FROM (SELECT FROM dead LIMIT {MOST}) AS counted) AS dead, oldest_snapshot() AS snapshot,
        (SELECT count(*) FROM ({LOST}) AS counted) AS lost
    FROM (SELECT (SELECT place FROM relays WHERE name = $1) AS place) AS r
"""  # noqa: S608
_STOPPED = f"""
    SELECT p.provider, count(*) AS count FROM (
        SELECT payment_id, last_at FROM failures WHERE stopped_at IS NOT NULL ORDER BY stopped_at LIMIT {MOST}) AS f
    JOIN payments p ON p.id = f.payment_id AND NOT coalesce(p.lease_until IS NULL AND p.asked_at > f.last_at, false)
    GROUP BY p.provider
"""  # noqa: S608
_DECISIONS = f"""
    WITH waiting AS (
        SELECT state, coalesce(decided_at, proposed_at) AS since FROM proposals
        WHERE state IN ('open', 'approved') ORDER BY payment_id LIMIT {MOST}),
    uploads AS (
        SELECT wanted_at, coalesce(beaten_at > clock_timestamp() - interval '1 min', false) AS at_work
        FROM statement_uploads WHERE wanted IS NOT NULL AND done_at IS NULL ORDER BY wanted_at LIMIT {MOST})
    SELECT
        extract(epoch FROM clock_timestamp() - min(since) FILTER (WHERE state = 'open'))::float8 AS open,
        extract(epoch FROM clock_timestamp() - min(since) FILTER (WHERE state = 'approved'))::float8 AS approved,
        (SELECT CASE WHEN NOT bool_or(at_work) THEN extract(epoch FROM clock_timestamp() - min(wanted_at)) END::float8
         FROM uploads) AS statement
    FROM waiting
"""  # noqa: S608
_RETENTION = "SELECT task, extract(epoch FROM succeeded_at)::float8 AS succeeded FROM retention_runs"
_ENDPOINTS = f"""
    SELECT e.id, e.failures, e.disabled_at IS NOT NULL AS disabled, due.waiting, due.due_since,
        (SELECT count(*) FROM (
            SELECT FROM deliveries d WHERE d.endpoint = e.id AND d.given_up_at IS NOT NULL
            ORDER BY d.place LIMIT {MOST}) AS lost
        ) AS given_up,
        extract(epoch FROM clock_timestamp() - least(
            (SELECT v.time FROM events v WHERE v.place = due.first),
            (SELECT v.time FROM events v WHERE (v.merchant, v.place) > (e.merchant, e.place)
                AND (v.merchant, v.place) <= (e.merchant, {2**63 - 1}) AND v.place IS NOT NULL
             ORDER BY v.merchant, v.place LIMIT 1)))::float8 AS oldest
    FROM unnest($1::text[], $2::timestamptz[]) AS wanted (id, since) JOIN endpoints e USING (id) CROSS JOIN LATERAL (
        SELECT count(*) AS waiting, min(place) AS first, min(next_at) AS due_since FROM (
            SELECT d.place, d.next_at FROM deliveries d WHERE d.endpoint = e.id AND d.next_at >= wanted.since
            ORDER BY d.next_at, d.place LIMIT {MOST}) AS next) AS due
"""  # noqa: S608
_ORPHANS = f"""
    SELECT e.id, due.waiting FROM endpoints e CROSS JOIN LATERAL (
        SELECT count(*) AS waiting FROM (
            SELECT FROM deliveries d WHERE d.endpoint = e.id AND d.next_at IS NOT NULL
            ORDER BY d.next_at, d.place LIMIT {MOST}) AS next) AS due
    WHERE e.id <> ALL($1) AND due.waiting > 0
"""  # noqa: S608


class EndpointState(Struct, frozen=True, kw_only=True):
    """Deliveries of one endpoint that wait or were given up. `oldest`: age in seconds of the oldest event to send."""

    endpoint: str
    disabled: bool
    breaker_open: bool
    waiting: int
    given_up: int
    oldest: float


class DatabaseState(Struct, frozen=True, kw_only=True):
    """One reading of the database. Counts end at MOST.

    `held`: payments by gateway and hold. By gateway: `stopped` are payments that failed by themselves, `queued` and
    `low_priority` are claims in Postgres. `unsequenced` and `unpublished`: age in seconds of the oldest event without a
    position, and of the oldest that is not at the broker yet. `newest`: Unix time of the newest event in the log.
    `dead`: dead letters. `archive_bytes`: the size of the archive on disk. `snapshot`: how many transactions have begun
    since the oldest snapshot that is still held. `lost`: events that a failover lost. `retention`: Unix time of the
    last good run of each task. In seconds, how long they have waited: `open_proposal` the oldest that nobody decided
    about, `approved_proposal` the oldest that no worker applied, `statement` the oldest upload while no process
    reconciles any. `orphans`: how many deliveries wait for each endpoint that is not in the configuration.
    """

    held: Mapping[tuple[str, str], int]
    stopped: Mapping[str, int]
    accounts: Sequence[AccountState]
    endpoints: Sequence[EndpointState]
    orphans: Mapping[str, int]
    queued: Mapping[str, int]
    low_priority: Mapping[str, int]
    unsequenced: float
    newest: float | None
    unpublished: float
    dead: int
    archive_bytes: int
    snapshot: int
    lost: int
    retention: Mapping[str, float]
    open_proposal: float
    approved_proposal: float
    statement: float


async def read_state(
    database: Database, accounts: Collection[Account], endpoints: Sequence[Endpoint], marks: Watermarks | None = None
) -> DatabaseState:
    """Read the state, with the accounts and endpoints of the configuration. Raises DatabaseUnavailable.

    `marks` are the watermarks of its looks, kept from reading to reading; None: look from the start.
    """
    marks, now = Watermarks() if marks is None else marks, database.clock.now()
    providers = sorted({account.provider.name for account in accounts})
    async with database.connection() as connection:
        held = await connection.fetch(_HELD)
        queue = await _queue(connection, providers, marks, now)
        log = await connection.fetchrow(_LOG, BROKER)
        assert log is not None, "a query over one row has one row"
        decisions = await connection.fetchrow(_DECISIONS)
        assert decisions is not None, "an aggregate has one row"
        ids = [one.id for one in await known_endpoints(connection, endpoints)]
        return DatabaseState(
            stopped={row["provider"]: row["count"] for row in await connection.fetch(_STOPPED)},
            held={(row["provider"], row["hold"]): row["count"] for row in held},
            accounts=await read_accounts(connection, accounts, marks, now),
            endpoints=await read_endpoint_states(connection, ids, marks, now),
            orphans={row["id"]: row["waiting"] for row in await connection.fetch(_ORPHANS, ids)},
            queued={provider: queue[provider, False] for provider in providers},
            low_priority={provider: queue[provider, True] for provider in providers},
            unsequenced=log["unsequenced"] or 0,
            newest=log["newest"],
            unpublished=log["unpublished"] or 0,
            dead=log["dead"],
            archive_bytes=await connection.fetchval(ARCHIVE_BYTES),
            snapshot=log["snapshot"],
            lost=log["lost"],
            retention={row["task"]: row["succeeded"] for row in await connection.fetch(_RETENTION)},
            open_proposal=decisions["open"] or 0,
            approved_proposal=decisions["approved"] or 0,
            statement=decisions["statement"] or 0,
        )


async def _queue(
    connection: Connection[asyncpg.Record], providers: Sequence[str], marks: Watermarks, now: datetime
) -> dict[tuple[str, bool], int]:
    """How many claims wait, by provider and whether of low priority."""
    kinds = [(provider, later) for provider in providers for later in (False, True)]
    bounds = {kind: marks["queue", kind].bound(now) for kind in kinds}
    columns = [[provider for provider, _ in kinds], [later for _, later in kinds], list(bounds.values())]
    rows = {(row["provider"], row["later"]): row for row in await connection.fetch(_QUEUE, *columns)}
    for kind, bound in bounds.items():
        marks["queue", kind].saw(bound, rows[kind]["oldest"], now)
    return {kind: row["waiting"] for kind, row in rows.items()}


async def read_endpoint_states(
    connection: Connection[asyncpg.Record], endpoints: Collection[str], marks: Watermarks, now: datetime
) -> list[EndpointState]:
    """The state of the endpoints with these ids; of those that have a row."""
    if not endpoints:
        return []
    bounds = {one: marks["endpoint", one].bound(now) for one in endpoints}
    rows = await connection.fetch(_ENDPOINTS, list(bounds), list(bounds.values()))
    for row in rows:
        marks["endpoint", row["id"]].saw(bounds[row["id"]], row["due_since"], now)
    return [
        EndpointState(
            endpoint=row["id"],
            disabled=row["disabled"],
            breaker_open=ENDPOINT_BREAKER.tripped(row["failures"]),
            waiting=row["waiting"],
            given_up=row["given_up"],
            oldest=max(0, row["oldest"] or 0),
        )
        for row in rows
    ]
