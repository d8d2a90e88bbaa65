"""The event log: places are given after commit, by one writer at a time, so that a reader never skips an event."""

from __future__ import annotations

from datetime import datetime

from asyncpg import Record

from worker.postgres.database import Database

PLACING_LOCK = 7_242_001

_PLACE = """
    WITH unplaced AS (
        SELECT id, row_number() OVER (ORDER BY time, id) AS nth
        FROM (SELECT id, time FROM events WHERE place IS NULL ORDER BY time, id LIMIT $1) AS oldest)
    UPDATE events e SET place = (SELECT coalesce(max(place), 0) FROM events) + unplaced.nth
    FROM unplaced WHERE e.id = unplaced.id
"""


async def place(database: Database, most: int) -> int:
    """Give the next places to events that have none, oldest first; 0 when none has, or another writer is at it."""
    async with database.connection() as connection, connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", PLACING_LOCK):
            return 0
        done = await connection.execute(_PLACE, most)
        return int(done.split()[-1])


async def read(database: Database, merchant: str, after: int, limit: int) -> list[Record]:
    """The merchant's events after a place, in order, as rows of (place, body)."""
    return await database.fetch(
        "SELECT place, body FROM events WHERE merchant = $1 AND place > $2 ORDER BY place LIMIT $3",
        merchant,
        after,
        limit,
    )


async def place_before(database: Database, merchant: str, since: datetime | None) -> int:
    """The place after which the merchant's events of `since` and later stand; without it, that of the newest event."""
    rows = await database.fetch(
        """SELECT coalesce(
               (SELECT min(place) - 1 FROM events WHERE merchant = $1 AND place IS NOT NULL AND time >= $2),
               (SELECT max(place) FROM events WHERE merchant = $1), 0) AS place""",
        merchant,
        since,
    )
    place: int = rows[0]["place"]
    return place
