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
_NEXT = """
    WITH mine AS MATERIALIZED (SELECT place FROM relays WHERE name = $1 FOR UPDATE SKIP LOCKED)
    SELECT e.place, e.id, e.type, e.merchant, e.account, e.body
    FROM mine LEFT JOIN LATERAL (SELECT * FROM events WHERE place > mine.place ORDER BY place LIMIT {most}) AS e ON true
    ORDER BY e.place
"""
"""One row without a place where there is nothing to carry on, and none while another process is at it.

The number stands in it: a plan for any number would be one for a tenth of the log, so it would be planned each time.
"""

_CARRIED = "UPDATE relays SET place = $2 WHERE name = $1 AND set_config('synchronous_commit', 'off', true) = 'off'"
"""A database that crashes may forget it, and then the last events are sent again, as when a process dies here."""


async def begin_carrying(database: Database, name: str) -> None:
    """Carry on what is placed from now on, unless that began before: what is older was told otherwise."""
    await database.execute(_BEGIN, name)


@asynccontextmanager
async def carried(database: Database, name: str, most: int) -> AsyncIterator[list[Record] | None]:
    """The next events in the order of their places, None while another process is at it.

    When the block ends well they count as carried on.
    """
    async with database.connection() as connection, connection.transaction():
        rows = await connection.fetch(_NEXT.format(most=most), name)
        events = [row for row in rows if row["place"] is not None]
        yield events if rows else None
        if events:
            await connection.execute(_CARRIED, name, events[-1]["place"])
