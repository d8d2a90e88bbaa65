"""How far the event log is published to the broker, by one process at a time.

All events up to the cursor are published. It moves after the broker confirmed them. If a publisher dies in between, the
next publisher sends some events again; no event is ever skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import asyncpg
from msgspec import convert

from consumers.ports.unavailable import DatabaseUnavailable
from worker.postgres.database import Database
from worker.postgres.driver_errors import translated
from worker.postgres.events.event_log import SequencedEvent

BROKER = "rabbitmq"
"""The name of the row of `relays` that holds the cursor."""

PUBLISHER_LOCK = 7_242_002
AGAIN_SECONDS = 1.0
STILL_SECONDS = 30.0
"""A publisher whose session is idle for so long loses it. Otherwise a process that hangs would keep the others out."""
CLOSE_SECONDS = 1.0

_BEGIN = """
    INSERT INTO relays (name, place) SELECT $1, coalesce(max(place), 0) FROM events
    ON CONFLICT (name) DO NOTHING
"""
_NEXT = """
    SELECT place, id, type, merchant, account, body FROM events WHERE place > $1 ORDER BY place LIMIT {most}
"""
"""`most` is part of the text. For a parameter, Postgres would expect a tenth of the log, and plan each time."""

_PLACE = "SELECT r.place, s.since FROM relays r, servers s WHERE r.name = $1"
_SAVE = "UPDATE relays SET place = greatest(place, $2) WHERE name = $1"
"""It never falls: a publisher that lost its session may save its old cursor after the next publisher saved a newer."""


async def start_publishing(database: Database) -> None:
    """Begin to publish at the end of the log. If publishing has begun before, keep its cursor."""
    await database.execute(_BEGIN, BROKER)


class PublishCursor:
    """The log after the position up to which it is published, for the one publisher.

    Every call may raise DatabaseUnavailable. Once a call raised it, another process may be the publisher, from the last
    cursor that was saved. `since`: when the server that has this log took over from another server.
    """

    def __init__(self, session: asyncpg.Connection[asyncpg.Record], place: int, since: datetime | None) -> None:
        self._session, self._saved = session, place
        self.place, self.since = place, since

    def check(self) -> None:
        """Raises ConnectionError if the session is known to have ended."""
        if self._session.is_closed():
            raise DatabaseUnavailable("the session of the publisher has ended")

    async def read(self, most: int) -> list[SequencedEvent]:
        """The next events after `place`, in order, `most` at most."""
        with translated():
            rows = await self._session.fetch(_NEXT.format(most=most), self.place)
        return [convert(dict(row), SequencedEvent) for row in rows]

    @property
    def to_save(self) -> bool:
        return self.place > self._saved

    async def save(self) -> None:
        """Save the cursor. A database that crashes may forget it; then the last events are sent again."""
        place = self.place
        with translated():
            await self._session.execute(_SAVE, BROKER, place)
        self._saved = place


@asynccontextmanager
async def publish_cursor(database: Database, *, still_seconds: float = STILL_SECONDS) -> AsyncIterator[PublishCursor]:
    """Wait until no other process publishes the log, and be the publisher while the block runs.

    The publisher holds a lock of its session. The lock ends with this process, and where nothing is read or saved for
    `still_seconds`. Raises DatabaseUnavailable.
    """
    still = f"{still_seconds * 1000:.0f}ms"
    session = await database.session("relay", synchronous_commit="off", idle_session_timeout=still)
    try:
        with translated():
            await _lock(session)
            row = await session.fetchrow(_PLACE, BROKER)
        assert row is not None, "it was begun"
        yield PublishCursor(session, row["place"], row["since"])
    finally:
        with suppress(DatabaseUnavailable), translated():
            await session.close(timeout=CLOSE_SECONDS)


async def _lock(session: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until the session has the lock. Asks every AGAIN_SECONDS: a statement that waits would hold a snapshot."""
    while True:
        if await session.fetchval("SELECT pg_try_advisory_lock($1)", PUBLISHER_LOCK):
            return
        await asyncio.sleep(AGAIN_SECONDS)
