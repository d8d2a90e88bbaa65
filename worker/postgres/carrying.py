"""How far the log has been carried on to the broker: one carrier at a time, and everything up to a place.

The one thing to get wrong: the order. The place is moved after the broker confirmed, so whoever dies in between sends
again what was sent; nothing is ever skipped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg import Record

from worker.postgres.database import Database

_BEGIN = """
    INSERT INTO relays (name, place) SELECT $1, coalesce(max(place), 0) FROM events
    ON CONFLICT (name) DO NOTHING
"""
_MINE = "SELECT place FROM relays WHERE name = $1 FOR UPDATE SKIP LOCKED"
_NEXT = """
    SELECT place, id, type, merchant, account, body FROM events WHERE place > $1 ORDER BY place LIMIT $2
"""


async def begin_carrying(database: Database, name: str) -> None:
    """Carry on what is placed from now on, unless that began before: what is older was told otherwise."""
    await database.execute(_BEGIN, name)


@asynccontextmanager
async def carried(database: Database, name: str, most: int) -> AsyncIterator[list[Record] | None]:
    """The next events in the order of their places, None while another process is at it.

    When the block ends well they count as carried on.
    """
    async with database.connection() as connection, connection.transaction():
        place = await connection.fetchval(_MINE, name)
        events = None if place is None else await connection.fetch(_NEXT, place, most)
        yield events
        if events:
            await connection.execute("UPDATE relays SET place = $2 WHERE name = $1", name, events[-1]["place"])
