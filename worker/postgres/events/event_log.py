"""The event log: one writer at a time assigns positions, until its commit, so that a reader never skips an event.

A position is the column `place`. A write of one statement gives its events their positions. Events without a position
get it afterwards, from `assign_positions`.

The queries for one merchant's events are written so that they can only use the index `events_merchant`. Otherwise
Postgres may walk along the events of all merchants in the order of `place`. For a quiet merchant that is the whole log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from asyncpg import Record
from msgspec import Struct

from worker.postgres.database import Connection, Database, Reads

SEQUENCING_LOCK = 7_242_001
"""The lock of the writer that assigns positions; see places_are_ours() and place_left_events() in schemas/sql."""

LATEST_COMMIT = timedelta(minutes=5)
"""The longest time by which the `time` of an event may lie before the times of events with smaller positions.

It is far longer than a transaction of ours, and than an event stays without a position while others get theirs: see
places_are_ours() in schemas/sql.
"""

_NEWEST_PLACED = "SELECT body FROM events WHERE place IS NOT NULL ORDER BY place DESC LIMIT $1"
_AFTER = f"(merchant, place) > ($1, $2) AND (merchant, place) <= ($1, {2**63 - 1}) AND place IS NOT NULL"
_IN_ORDER, _BACKWARDS = "ORDER BY merchant, place", "ORDER BY merchant DESC, place DESC"
READ = f"SELECT place, body FROM events WHERE {_AFTER} {_IN_ORDER} LIMIT $3"  # noqa: S608 - our own words
FIRST_AFTER = f"SELECT place, time FROM events WHERE {_AFTER} {_IN_ORDER} LIMIT 1"  # noqa: S608
FIRST_SINCE = f"SELECT place FROM events WHERE {_AFTER} AND time >= $3 {_IN_ORDER} LIMIT 1"  # noqa: S608
NEWEST = f"SELECT place FROM events WHERE {_AFTER} {_BACKWARDS} LIMIT 1"  # noqa: S608
_LATER = f"(merchant, place) > (w.whose, w.after) AND (merchant, place) <= (w.whose, {2**63 - 1}) AND place IS NOT NULL"
HAVE_NEWS = f"""
    SELECT w.nth FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS w (whose, after, nth),
        LATERAL (SELECT place FROM events WHERE {_LATER} {_IN_ORDER} LIMIT 1) AS found
"""  # noqa: S608


class SequencedEvent(Struct, frozen=True, kw_only=True):
    """An event with its position, as published. `since`: see consumers.ports.readings.Reading, if just written."""

    place: int
    id: str
    type: str
    merchant: str
    account: str
    body: bytes
    since: datetime | None = None


async def assign_positions(database: Database, most: int) -> int:
    """Assign positions to about `most` events without a position, oldest first. Returns how many events got theirs."""
    async with database.connection() as connection:
        return await _assign_positions(connection, most)


async def assign_positions_returning(database: Database, most: int) -> list[bytes]:
    """Like `assign_positions`. Returns the bodies of the events that got their positions, newest first."""
    async with database.connection() as connection, connection.transaction():
        placed = await _assign_positions(connection, most)  # no other writer assigns positions until this is committed
        rows = await connection.fetch(_NEWEST_PLACED, placed) if placed else []
        return [row["body"] for row in rows]


async def _assign_positions(connection: Connection[Record], most: int) -> int:
    placed: int = await connection.fetchval("SELECT place_left_events($1)", most)
    return placed


async def read(database: Reads, merchant: str, after: int, limit: int) -> list[Record]:
    """The merchant's first `limit` events after a position, in order, as rows of (place, body)."""
    return await database.fetch(READ, merchant, after, limit)


async def have_news(database: Database, readers: Sequence[tuple[str, int]]) -> list[int]:
    """Of these readers, each a merchant and a position, the indexes of those for whom there are later events."""
    merchants, places = [merchant for merchant, _ in readers], [place for _, place in readers]
    return [row["nth"] - 1 for row in await database.fetch(HAVE_NEWS, merchants, places)]


async def whose_event(database: Database, event_id: str) -> tuple[str, str] | None:
    """The merchant and the type of an event; None if there is no such event."""
    rows = await database.fetch("SELECT merchant, type FROM events WHERE id = $1", event_id)
    return (rows[0]["merchant"], rows[0]["type"]) if rows else None


async def newest_position(database: Database, merchant: str) -> int:
    """The position of the merchant's newest event; 0 if the merchant has no events."""
    rows = await database.fetch(NEWEST, merchant, 0)
    return rows[0]["place"] if rows else 0


async def position_before(database: Database, merchant: str, since: datetime) -> int:
    """A position after which all of the merchant's events of `since` and later stand, and as few others as possible.

    Times rise with positions, except for events that were committed late. So this is a binary search for the time
    LATEST_COMMIT before `since`, and a scan from there. Among a million events it takes twenty queries.
    """
    newest = await newest_position(database, merchant)
    low, high = 0, newest
    while low < high:
        middle = (low + high) // 2
        after = await database.fetch(FIRST_AFTER, merchant, middle)
        if after and after[0]["time"] < since - LATEST_COMMIT:
            low = after[0]["place"]
        else:
            high = middle
    rows = await database.fetch(FIRST_SINCE, merchant, low, since)
    return rows[0]["place"] - 1 if rows else newest
