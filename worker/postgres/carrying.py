"""How far the log has been carried on to the broker: one carrier at a time, and everything up to a place.

The one thing to get wrong: the order. The place is moved after the broker confirmed, so whoever dies in between sends
again what was sent; nothing is ever skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import asyncpg
from msgspec import convert

from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.log import Placed
from worker.postgres.looking import meet

CARRYING_LOCK = 7_242_002
AGAIN_SECONDS = 1.0
STILL_SECONDS = 30.0
"""So long a carrier may say nothing. A process that stands still would keep its session, and nobody would carry on."""
CLOSE_SECONDS = 1.0

_BEGIN = """
    INSERT INTO relays (name, place) SELECT $1, coalesce(max(place), 0) FROM events
    ON CONFLICT (name) DO NOTHING
"""
_NEXT = """
    SELECT place, id, type, merchant, account, body FROM events WHERE place > $1 ORDER BY place LIMIT {most}
"""
"""The number stands in it: a plan for any number is one for a tenth of the log, so it would be planned each time."""

_PLACE = "SELECT r.place, s.since FROM relays r, servers s WHERE r.name = $1"
_CARRIED = "UPDATE relays SET place = greatest(place, $2) WHERE name = $1"
"""Who was taken for dead may still say how far it came, and a relay of the release before carries on beside us."""


async def begin_carrying(database: Database, name: str) -> None:
    """Carry on what is placed from now on, unless that began before: what is older was told otherwise."""
    await database.execute(_BEGIN, name)


class Carrying:
    """The log behind the place up to which it is carried on, for the one who carries. Every call raises UNAVAILABLE.

    When it does, another may be carrying by then, from the last place that was kept. `since`: when the server, whose
    log this is, took over from another.
    """

    def __init__(
        self, session: asyncpg.Connection[asyncpg.Record], name: str, place: int, since: datetime | None
    ) -> None:
        self._session, self._name, self._kept = session, name, place
        self.place, self.since = place, since

    def check(self) -> None:
        """Raises where the session is known to have ended."""
        if self._session.is_closed():
            raise ConnectionError("the session of the carrier has ended")

    async def read(self, most: int) -> list[Placed]:
        """The next events in the order of their places."""
        rows = await self._session.fetch(_NEXT.format(most=most), self.place)
        return [convert(dict(row), Placed) for row in rows]

    @property
    def to_keep(self) -> bool:
        return self.place > self._kept

    async def keep(self) -> None:
        """Write down how far it came. A database that crashes may forget it: then the last events are sent again."""
        place = self.place
        await self._session.execute(_CARRIED, self._name, place)
        self._kept = place


@asynccontextmanager
async def carrying(database: Database, name: str, *, still_seconds: float = STILL_SECONDS) -> AsyncIterator[Carrying]:
    """Wait until nobody else carries the log on to there, and be the one who does while the block runs.

    What makes us that is a lock of a session, so it ends with this process, and where nothing is read or kept for
    `still_seconds`. Raises UNAVAILABLE.
    """
    still = f"{still_seconds * 1000:.0f}ms"
    session = await database.session("relay", synchronous_commit="off", idle_session_timeout=still)
    try:
        await _alone(session)
        await meet(session)
        row = await session.fetchrow(_PLACE, name)
        assert row is not None, "it was begun"
        yield Carrying(session, name, row["place"], row["since"])
    finally:
        with suppress(*UNAVAILABLE):
            await session.close(timeout=CLOSE_SECONDS)


async def _alone(session: asyncpg.Connection[asyncpg.Record]) -> None:
    """A statement that waits for the lock would hold a snapshot as long."""
    while True:
        if await session.fetchval("SELECT pg_try_advisory_lock($1)", CARRYING_LOCK):
            return
        await asyncio.sleep(AGAIN_SECONDS)
