"""How the configured endpoints are: for the API, the console and `payproof status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import asyncpg
from msgspec import Struct

from consumers.webhook_policy import Health
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Connection
from worker.postgres.events.endpoint_rows import LastAnswer, known_endpoints

MOST_AHEAD = 10_000
"""So many of the events that an endpoint has no deliveries of are looked at: a disabled one may be months behind."""

_STATE = f"""
    SELECT n.failures, n.shut_until, n.disabled_at, n.delivered_at, n.answered_at, n.answer,
        due.waiting + ahead.waiting AS waiting,
        (SELECT count(*) FROM deliveries d WHERE d.endpoint = n.id AND d.given_up_at IS NOT NULL) AS given_up,
        (SELECT v.time FROM events v WHERE v.merchant = n.merchant AND v.place = least(due.first, ahead.first))
            AS oldest_waiting
    FROM endpoints n
    CROSS JOIN LATERAL (
        SELECT count(*) AS waiting, min(place) AS first FROM deliveries d
        WHERE d.endpoint = n.id AND d.next_at IS NOT NULL) AS due
    CROSS JOIN LATERAL (
        SELECT count(*) AS waiting, min(place) AS first FROM (
            SELECT v.place, v.type FROM events v
            WHERE (v.merchant, v.place) > (n.merchant, n.place)
                AND (v.merchant, v.place) <= (n.merchant, 9223372036854775807) AND v.place IS NOT NULL
            ORDER BY v.merchant, v.place LIMIT {MOST_AHEAD}) AS unread
        WHERE type = ANY($2)) AS ahead
    WHERE n.id = $1
"""  # noqa: S608 - our own number


class EndpointState(StrEnum):
    """How an endpoint is.

    - `new`: no process has seen it in the configuration yet.
    - `delivering`: its last answer was a success, or nothing was sent to it yet.
    - `failing`: its last attempts failed. After five in a row one delivery at a time tries it.
    - `blocked`: it answered 410. Nothing is sent until a person enables it.
    """

    NEW = "new"
    DELIVERING = "delivering"
    FAILING = "failing"
    BLOCKED = "blocked"


class EndpointReport(Struct, frozen=True, kw_only=True):
    """An endpoint, and how it is. `waiting` counts deliveries, and events that have none yet: at most MOST_AHEAD.

    `oldest_waiting`: when the oldest event that waits was written. `last_answer` may be some seconds old.
    """

    endpoint: Endpoint
    state: EndpointState
    health: Health = Health()
    waiting: int = 0
    given_up: int = 0
    oldest_waiting: datetime | None = None
    delivered_at: datetime | None = None
    last_answer: LastAnswer | None = None


async def read_endpoints(
    connection: Connection[asyncpg.Record], configured: Sequence[Endpoint]
) -> list[EndpointReport]:
    """A report for each of these endpoints, in their order."""
    return [await _report(connection, one) for one in await known_endpoints(connection, configured)]


async def _report(connection: Connection[asyncpg.Record], endpoint: Endpoint) -> EndpointReport:
    row = await connection.fetchrow(_STATE, endpoint.id, list(endpoint.types))
    if row is None:
        return EndpointReport(endpoint=endpoint, state=EndpointState.NEW)
    health = Health(failures=row["failures"], shut_until=row["shut_until"], disabled_at=row["disabled_at"])
    return EndpointReport(
        endpoint=endpoint,
        state=_state(health),
        health=health,
        waiting=row["waiting"],
        given_up=row["given_up"],
        oldest_waiting=row["oldest_waiting"],
        delivered_at=row["delivered_at"],
        last_answer=None if row["answer"] is None else LastAnswer(row["answered_at"], row["answer"]),
    )


def _state(health: Health) -> EndpointState:
    if health.disabled_at is not None:
        return EndpointState.BLOCKED
    return EndpointState.FAILING if health.failures else EndpointState.DELIVERING
