"""Replay: past events become due to an endpoint as if they were new, whether they were sent before or not.

It goes in portions of the log, because endpoint workers would wait for one statement over a hundred thousand rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from schemas.audit import AuditRecord
from worker.postgres.audit_rows import note_act
from worker.postgres.database import Database

PORTION = 2_000  # positions of the log in one statement


class Replay(Struct, frozen=True, kw_only=True):
    """Events to be sent to an endpoint again: of these types, from `since` until before `until`.

    `first` and `last` are the positions that bound them, and `events` is how many they are.
    """

    endpoint: str
    merchant: str
    types: Sequence[str]
    since: datetime
    until: datetime
    first: int
    last: int
    events: int


class Progress(Struct, frozen=True, kw_only=True):
    """How many deliveries of a replay were attempted since (`tried`), arrived (`delivered`), and are `left`."""

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
    SELECT $1, e.id, e.place, statement_timestamp() {_OF} ORDER BY e.place
    ON CONFLICT (endpoint, event_id) DO UPDATE
    SET next_at = excluded.next_at, attempts = 0, step = 0,
        had_at = coalesce(d.had_at, d.delivered_at), delivered_at = NULL, given_up_at = NULL, answer = NULL
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


async def make_due(database: Database, replay: Replay, now: datetime, record: AuditRecord) -> None:
    """Make all events of the replay due as if they had never been sent.

    Each portion is due when it is written: an earlier time may lie below the mark of the endpoint's worker.
    If the endpoint's breaker is open, the next delivery probes the endpoint at once.
    """
    await note_act(database, record)  # before the portions: a replay that is cut off has begun
    for first in range(replay.first, replay.last + 1, PORTION):
        values = _values(replay, first, min(first + PORTION - 1, replay.last))
        await database.execute(_REPLAY, *values)
    await database.execute(
        "UPDATE endpoints SET shut_until = NULL WHERE id = $1 AND shut_until > $2", replay.endpoint, now
    )


async def replay_progress(database: Database, replay: Replay) -> Progress:
    row = (await database.fetch(_PROGRESS, *_values(replay, replay.first, replay.last)))[0]
    return Progress(**dict(row))


def _values(replay: Replay, first: int, last: int) -> tuple[Any, ...]:
    return (replay.endpoint, replay.merchant, first, last, replay.since, replay.until, list(replay.types))
