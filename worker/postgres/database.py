"""A database: its pool of connections, sessions beside the pool, its clock, and the wakeups between processes.

A server may be gone without closing its connections, so every command and every wait for a connection has a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from consumers.ports.unavailable import DatabaseUnavailable, TransactionRolledBack, error_name
from worker.postgres.driver_errors import translated
from worker.postgres.pools import ACQUIRE_SECONDS, COMMAND_SECONDS, CONNECTIONS, main_pool, small_pool
from worker.postgres.primary import Primary
from worker.postgres.wakeups import Wakeup, Wakeups
from worker.postgres.witness import Witness
from worker.runtime.clock import DatabaseClock, set_within

CHANNEL = "payproof"
CLOSE_SECONDS = 5.0
RELEASE_SECONDS = 1.0  # for a command that was cut off to end; after that its connection is given up
NOTIFY_SECONDS = 2
CLOCK_SECONDS = 60.0
RECONNECT_SECONDS = 1.0
PROBE_SECONDS = 10.0

GIVE_WAY = 4  # how often a transaction is run again after a deadlock

_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"

_T = TypeVar("_T")
log = structlog.get_logger()

Connection = PoolConnectionProxy

_SESSION = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "idle_session_timeout": "0",
}
"""The server frees the locks of a session about ten seconds after its machine vanished. An idle session keeps them."""


async def despite_others(transaction: Callable[[], Awaitable[_T]]) -> _T:
    """Run a whole transaction. After a deadlock or a serialization failure, run it again, up to GIVE_WAY times.

    Then TransactionRolledBack is raised.
    """
    for _ in range(GIVE_WAY):
        with suppress(TransactionRolledBack):
            return await transaction()
    return await transaction()


class Reads(Protocol):
    """The part of a Database that reads need. MerchantReads has it as well, and bounds their turns."""

    def connection(self) -> AbstractAsyncContextManager[Connection[asyncpg.Record]]: ...

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]: ...


class Database:
    """A pool of connections; made by `connect`. What reads or writes here raises DatabaseUnavailable.

    `dsn` is for the connections outside the pool, which need a session of their own.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dsn: str, primary: Primary) -> None:
        self._pool = pool
        self._dsn = dsn
        self._wakeups = Wakeups(self._send)
        self.primary, self.witness, self.clock = primary, Witness(), DatabaseClock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[asyncpg.Record]]:
        """A connection for a block that does nothing but database work: its errors are translated."""
        async with self.long_connection() as connection:
            with translated():
                yield connection

    @asynccontextmanager
    async def long_connection(self) -> AsyncIterator[Connection[asyncpg.Record]]:
        """A connection for a block that also does other work, whose errors are its own. See `translated`."""
        with translated():
            async with asyncio.timeout(ACQUIRE_SECONDS):  # the pool's own deadline would take a task for each
                connection = await self._pool.acquire()
        try:
            yield connection
        finally:
            # The block's result is known by now. A connection that broke since then is only thrown away.
            with suppress(DatabaseUnavailable), translated():
                await self._pool.release(connection, timeout=RELEASE_SECONDS)

    async def session(self, name: str, **settings: str) -> asyncpg.Connection[asyncpg.Record]:
        """A connection outside the pool, for locks that last. The caller closes it. See `translated`."""
        with translated():
            session = await asyncpg.connect(
                self._dsn,
                timeout=ACQUIRE_SECONDS,
                command_timeout=COMMAND_SECONDS,
                server_settings={"application_name": f"payproof {name}", **_SESSION, **settings},
            )
        return await self._met(session)

    async def _met(self, connection: asyncpg.Connection[asyncpg.Record]) -> asyncpg.Connection[asyncpg.Record]:
        try:
            await self.primary.meet(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    @asynccontextmanager
    async def reading(self, *, writes: bool = False) -> AsyncIterator[Database]:
        """A small pool of its own on the same database, for reads that may take long. It connects when it is used.

        The server ends its statements after READ_SECONDS: they raise DatabaseUnavailable. With `writes` it may write
        as well.
        """
        pool = small_pool(self._dsn, self.primary, read_only=not writes)
        with translated():
            await pool
        reading = Database(pool, self._dsn, self.primary)
        reading.clock = self.clock
        try:
            yield reading
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await reading.notified()
                    await pool.close()

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *values)

    async def execute(self, sql: str, *values: Any) -> str:
        async with self.connection() as connection:
            return await connection.execute(sql, *values)

    def notify(self, wakeup: Wakeup) -> None:
        """Send a wakeup to every process, soon. It may be lost; each process that listens also polls, slowly."""
        self._wakeups.add(wakeup)

    def payloads(self, wakeup: Wakeup) -> list[str]:
        """The payloads with which a statement calls pg_notify itself. Call `told` once that statement is committed."""
        return self._wakeups.payloads(wakeup)

    def told(self, wakeup: Wakeup) -> None:
        """Pass on, within this process, a wakeup that a committed statement has sent."""
        self._wakeups.on_wakeup(wakeup)

    async def notified(self) -> None:
        """Wait until all wakeups given to `notify` are sent."""
        await self._wakeups.sent()

    async def _send(self, payload: str) -> None:
        try:
            async with asyncio.timeout(NOTIFY_SECONDS):  # the wakeups behind this one would wait as well
                await self.execute(_NOTIFY, CHANNEL, payload)
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("wakeup.send_failed", error=error_name(error))

    async def set_clock(self) -> None:
        async with self.connection() as connection:
            asked = self.clock.ticking()
            reading = await connection.fetchval("SELECT clock_timestamp()")
            self.clock.set(reading, asked=asked, answered=self.clock.ticking())

    async def keep_clock(self) -> None:
        """Read the database's clock once a minute, until cancelled. During an outage, try again every second."""
        while True:
            try:
                await self.set_clock()
            except DatabaseUnavailable as error:
                log.warning("clock.read_failed", error=error_name(error))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                await asyncio.sleep(CLOCK_SECONDS)

    async def listen(
        self,
        on_wakeup: Callable[[Wakeup], None],
        *,
        connected: Callable[[], Awaitable[None]],
        probe: float = PROBE_SECONDS,
    ) -> None:
        """Pass wakeups to `on_wakeup` until cancelled, over a connection of its own that is made again when it breaks.

        Wakeups of this process are passed on at once, without a way through the database.

        `connected` runs after each connect, because wakeups may have been missed before it. Every `probe` seconds the
        connection has to answer, because a network may drop it without closing it.
        """
        self._wakeups.on_wakeup = on_wakeup
        while True:
            try:
                with translated():
                    await self._listen(connected, probe)
            except DatabaseUnavailable as error:
                log.warning("wakeups.disconnected", error=error_name(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, connected: Callable[[], Awaitable[None]], probe: float) -> None:
        """Pass on wakeups over one connection until it breaks."""
        connection = await self._met(await asyncpg.connect(self._dsn, timeout=ACQUIRE_SECONDS))
        try:
            broken = asyncio.Event()
            connection.add_termination_listener(lambda _: broken.set())
            await connection.add_listener(CHANNEL, lambda *arrived: self._wakeups.receive(arrived[-1]))
            await connected()
            while not await set_within(broken, probe):
                await connection.execute("SELECT", timeout=probe)
        finally:
            await connection.close(timeout=1)


@asynccontextmanager
async def connect(dsn: str, *, size: int = CONNECTIONS, pooled: str | None = None) -> AsyncIterator[Database]:
    """Open the pool and read the database's clock, within ten seconds. Raises DatabaseUnavailable.

    `pooled` is the URL of the same database through a pooler that lends sessions for a transaction. Then the pool goes
    through it; sessions, LISTEN and the pool for reading go to `dsn`. `expect_pooled` says what has to hold for it.
    """
    primary = Primary()
    pool = main_pool(pooled or dsn, primary, size=size, through_pooler=pooled is not None)
    database = Database(pool, dsn, primary)
    try:
        with translated():
            await pool
        await database.set_clock()
        yield database
    finally:
        # A server that went away does not keep the process from ending. Whatever is cut off here was not committed.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await database.notified()
                await pool.close()
