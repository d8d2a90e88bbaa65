"""The pool of connections, with our types and deadlines, and the notices that processes send each other.

The one thing to get wrong: NOTIFY belongs after the commit, on its own. Inside a transaction it serialises all commits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import structlog
from asyncpg.pool import PoolConnectionProxy

from worker.clock import DatabaseClock, set_within

CHANNEL = "payproof"
CONNECTIONS = 10
COMMAND_SECONDS = 30.0
ACQUIRE_SECONDS = 10.0
CLOSE_SECONDS = 5.0
RELEASE_SECONDS = 1.0  # until a command that was cut off is known to have ended; then its connection is given up
LOCK_SECONDS = 5
IDLE_SECONDS = 60  # longer than any transaction of ours pauses: whoever vanished in one gives its locks back
CLOCK_SECONDS = 60.0
RECONNECT_SECONDS = 1.0
PROBE_SECONDS = 10.0

log = structlog.get_logger()

Connection = PoolConnectionProxy

LOCKED = asyncpg.LockNotAvailableError
"""Somebody has held a row for longer than LOCK_SECONDS; everything else can go on."""

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection whose server went away under a command
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    LOCKED,
)
"""What is raised when the database is away, full, failing over or shutting down, as opposed to refusing what we say."""

_SETTINGS = {
    "application_name": "payproof",
    "jit": "off",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}


class Notice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What just committed: gateways with new claims, events, payments that changed, the earliest next look.

    `placed`: events got their places, or deliveries were made due, so that endpoints may have something to be told.
    """

    claims: list[str] = []
    events: bool = False
    placed: bool = False
    outcomes: list[str] = []
    look_at: datetime | None = None


class Database:
    """A pool of connections; made by `connect`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dsn: str, clock: DatabaseClock) -> None:
        self._pool = pool
        self._dsn = dsn
        self.clock = clock

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[asyncpg.Record]]:
        connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            yield connection
        finally:
            # What was to be done is done by now, or has failed by itself; a connection that broke since is thrown away.
            with suppress(*UNAVAILABLE):
                await self._pool.release(connection, timeout=RELEASE_SECONDS)

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *values)

    async def execute(self, sql: str, *values: Any) -> str:
        async with self.connection() as connection:
            return await connection.execute(sql, *values)

    async def notify(self, notice: Notice) -> None:
        """Tell every process; lost notices are made good by the slow polls of those who wait."""
        try:
            for part in _parts(notice):
                await self.execute("SELECT pg_notify($1, $2)", CHANNEL, msgspec.json.encode(part).decode())
        except UNAVAILABLE as error:
            log.warning("notice.unsent", error=type(error).__name__)

    async def set_clock(self) -> None:
        async with self.connection() as connection:
            asked = time.monotonic()
            reading = await connection.fetchval("SELECT clock_timestamp()")
            self.clock.set(reading, asked=asked, answered=time.monotonic())

    async def keep_clock(self) -> None:
        """Read the database's clock from time to time, until cancelled."""
        while True:
            try:
                await self.set_clock()
            except UNAVAILABLE as error:
                log.warning("clock.unread", error=type(error).__name__)
            await asyncio.sleep(CLOCK_SECONDS)

    async def listen(
        self, heard: Callable[[Notice], None], *, connected: Callable[[], Awaitable[None]], probe: float = PROBE_SECONDS
    ) -> None:
        """Pass on notices until cancelled, over a connection of its own that is made again whenever it breaks.

        `connected` runs after each connect, because notices may have been missed before it. Every `probe` seconds the
        connection has to answer, because a network that forgot it tells nobody.
        """
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=ACQUIRE_SECONDS)
                try:
                    broken = asyncio.Event()
                    connection.add_termination_listener(lambda _, broken=broken: broken.set())
                    await connection.add_listener(CHANNEL, lambda *arrived: heard(_read(arrived[-1])))
                    await connected()
                    while not await set_within(broken, probe):
                        await connection.execute("SELECT", timeout=probe)
                finally:
                    await connection.close(timeout=1)
            except UNAVAILABLE as error:
                log.warning("notices.disconnected", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)


@asynccontextmanager
async def connect(dsn: str, *, size: int = CONNECTIONS) -> AsyncIterator[Database]:
    """Open the pool; waits up to ten seconds for the server."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        init=_prepare,
        reset=_leave,
        command_timeout=COMMAND_SECONDS,
        timeout=ACQUIRE_SECONDS,
        server_settings=_SETTINGS,
    )
    try:
        await pool
        database = Database(pool, dsn, DatabaseClock())
        await database.set_clock()
        yield database
    finally:
        # A server that went away under a connection keeps nobody from ending; what is cut off here was not committed.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()


async def _prepare(con: asyncpg.Connection[asyncpg.Record], /) -> None:
    await con.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _leave(_: asyncpg.Connection[asyncpg.Record], /) -> None:
    """Nothing of a session is ours to reset, and saying so costs a round trip: what is set is set for a transaction."""


def _read(payload: object) -> Notice:
    try:
        return msgspec.json.decode(str(payload), type=Notice)
    except msgspec.DecodeError:  # a newer process may speak otherwise; its news are found by polling
        return Notice(events=True, placed=True)


def _parts(notice: Notice, *, most: int = 100) -> Iterable[Notice]:
    """Split a notice so that each fits into the 8,000 bytes of a payload."""
    yield Notice(
        claims=notice.claims,
        events=notice.events,
        placed=notice.placed,
        outcomes=notice.outcomes[:most],
        look_at=notice.look_at,
    )
    for start in range(most, len(notice.outcomes), most):
        yield Notice(outcomes=notice.outcomes[start : start + most])
