"""Replay: events that an endpoint was told before, or never, become due to it as if they were new.

The one thing to get wrong: doing it at once. A hundred thousand rows in one statement hold up whoever delivers; so it
is done in portions of the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from worker.postgres.database import Database

PORTION = 2_000


class Replay(Struct, frozen=True, kw_only=True):
    """Events to be sent to an endpoint again: of these types, between two times, placed from `first` to `last`."""

    endpoint: str
    merchant: str
    types: Sequence[str]
    since: datetime
    until: datetime
    first: int
    last: int
    events: int


class Progress(Struct, frozen=True, kw_only=True):
    """Of a replay: `tried` are those attempted since, of which `delivered` arrived; `left` are still to be."""

    delivered: int
    tried: int
    left: int


_OF = """
    FROM events e WHERE e.merchant = $2 AND e.place BETWEEN $3 AND $4 AND e.time >= $5 AND e.time < $6
        AND e.type = ANY($7)
"""
_BOUNDS = """
    SELECT count(*) AS events, coalesce(min(place), 0) AS first, coalesce(max(place), 0) AS last FROM events
    WHERE merchant = $1 AND place IS NOT NULL AND time >= $2 AND time < $3 AND type = ANY($4)
"""
_REPLAY = f"""
    INSERT INTO deliveries AS d (endpoint, event_id, place, next_at)
    SELECT $1, e.id, e.place, $8 {_OF} ORDER BY e.place
    ON CONFLICT (endpoint, event_id) DO UPDATE
    SET next_at = excluded.next_at, attempts = 0, step = 0, delivered_at = NULL, given_up_at = NULL, answer = NULL
"""  # noqa: S608 - our own words
_PROGRESS = f"""
    SELECT count(*) FILTER (WHERE d.delivered_at IS NOT NULL) AS delivered,
        count(*) FILTER (WHERE d.answer IS NOT NULL) AS tried, count(*) FILTER (WHERE d.answer IS NULL) AS left
    FROM deliveries d WHERE d.endpoint = $1 AND d.event_id IN (SELECT e.id {_OF})
"""  # noqa: S608 - our own words


async def find_replay(
    database: Database, endpoint: str, merchant: str, types: Sequence[str], since: datetime, until: datetime
) -> Replay:
    row = (await database.fetch(_BOUNDS, merchant, since, until, list(types)))[0]
    return Replay(endpoint=endpoint, merchant=merchant, types=tuple(types), since=since, until=until, **dict(row))


async def make_due(database: Database, replay: Replay, now: datetime) -> None:
    """Make them all due as if they had never been sent, in portions, so that endpoint workers are not kept waiting.

    If the endpoint is shut, the next delivery probes it at once.
    """
    for first in range(replay.first, replay.last + 1, PORTION):
        values = _values(replay, first, min(first + PORTION - 1, replay.last))
        await database.execute(_REPLAY, *values, now)
    await database.execute(
        "UPDATE endpoints SET shut_until = NULL WHERE id = $1 AND shut_until > $2", replay.endpoint, now
    )


async def replay_progress(database: Database, replay: Replay) -> Progress:
    row = (await database.fetch(_PROGRESS, *_values(replay, replay.first, replay.last)))[0]
    return Progress(**dict(row))


def _values(replay: Replay, first: int, last: int) -> tuple[Any, ...]:
    return (replay.endpoint, replay.merchant, first, last, replay.since, replay.until, list(replay.types))
