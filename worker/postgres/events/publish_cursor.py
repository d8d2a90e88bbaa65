"""How far the log has been carried on to the broker: one carrier at a time, and everything up to a place.

The one thing to get wrong: the order. The place is moved after the broker confirmed. After a carrier that died in
between, the next one sends some events again; no event is ever skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import asyncpg
from msgspec import convert

from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.events.event_log import Placed
from worker.postgres.ledger.look import meet

BROKER = "rabbitmq"
"""The name of the row of `relays` that has the place."""

CARRYING_LOCK = 7_242_002
AGAIN_SECONDS = 1.0
STILL_SECONDS = 30.0
"""A carrier whose session says nothing for so long loses it. One that stands still would keep all others waiting."""
CLOSE_SECONDS = 1.0

_BEGIN = """
    INSERT INTO relays (name, place) SELECT $1, coalesce(max(place), 0) FROM events
    ON CONFLICT (name) DO NOTHING
"""
_NEXT = """
    SELECT place, id, type, merchant, account, body FROM events WHERE place > $1 ORDER BY place LIMIT {most}
"""
"""`most` stands in the text. With a parameter, Postgres would expect a tenth of the log, and plan it each time."""

_PLACE = "SELECT r.place, s.since FROM relays r, servers s WHERE r.name = $1"
_CARRIED = "UPDATE relays SET place = greatest(place, $2) WHERE name = $1"
"""The place never falls: a carrier that lost its session may still write down its own, later than the next one."""


async def begin_carrying(database: Database) -> None:
    """Begin to carry on at the end of the log, unless that began before. Older events were told in other ways."""
    await database.execute(_BEGIN, BROKER)


class Carrying:
    """The log after the place up to which it is carried on, for the carrier. Every call may raise UNAVAILABLE.

    Once a call raised it, another process may be the carrier, from the last place that was kept. `since`: when the
    server that has this log took over from another one.
    """

    def __init__(self, session: asyncpg.Connection[asyncpg.Record], place: int, since: datetime | None) -> None:
        self._session, self._kept = session, place
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
        """Write down the place. A database that crashes may forget it; then the last events are sent again."""
        place = self.place
        await self._session.execute(_CARRIED, BROKER, place)
        self._kept = place


@asynccontextmanager
async def carrying(database: Database, *, still_seconds: float = STILL_SECONDS) -> AsyncIterator[Carrying]:
    """Wait until no other process carries the log on, and be the carrier while the block runs.

    The carrier has a lock of a session. The lock ends with this process, and where nothing is read or kept for
    `still_seconds`. Raises UNAVAILABLE.
    """
    still = f"{still_seconds * 1000:.0f}ms"
    session = await database.session("relay", synchronous_commit="off", idle_session_timeout=still)
    try:
        await _alone(session)
        await meet(session)
        row = await session.fetchrow(_PLACE, BROKER)
        assert row is not None, "it was begun"
        yield Carrying(session, row["place"], row["since"])
    finally:
        with suppress(*UNAVAILABLE):
            await session.close(timeout=CLOSE_SECONDS)


async def _alone(session: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until the session has the lock, trying again and again: a statement that waits would hold a snapshot."""
    while True:
        if await session.fetchval("SELECT pg_try_advisory_lock($1)", CARRYING_LOCK):
            return
        await asyncio.sleep(AGAIN_SECONDS)
