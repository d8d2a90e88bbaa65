"""The pool of connections, with our types and deadlines, and where the wakeups of other processes are received.

The one thing to get wrong: a connection that says nothing. A server may be gone, full or failing over, so every command
and every wait for a connection has its deadline, and what counts as away is said in one place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog
from asyncpg.pool import PoolConnectionProxy

from consumers.ports.unavailable import DatabaseUnavailable, TransactionRolledBack, error_name
from worker.postgres.driver_errors import translated
from worker.postgres.wakeups import Wakeup, Wakeups
from worker.runtime.clock import DatabaseClock, set_within

CHANNEL = "payproof"
CONNECTIONS = 10
COMMAND_SECONDS = 30.0
ACQUIRE_SECONDS = 10.0
CLOSE_SECONDS = 5.0
RELEASE_SECONDS = 1.0  # until a command that was cut off is known to have ended; then its connection is given up
LOCK_SECONDS = 5
NOTIFY_SECONDS = 2
IDLE_SECONDS = 60  # longer than any transaction of ours pauses: whoever vanished in one gives its locks back
CLOCK_SECONDS = 60.0
RECONNECT_SECONDS = 1.0
PROBE_SECONDS = 10.0

GIVE_WAY = 4

_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"

_T = TypeVar("_T")
log = structlog.get_logger()

Connection = PoolConnectionProxy

_SETTINGS = {
    "application_name": "payproof",
    "default_transaction_isolation": "read committed",  # a statement after a wait for a lock sees all before it
    "jit": "off",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}


_SESSION = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "idle_session_timeout": "0",
}
"""A machine that vanishes gives back what its session locks in about ten seconds; one that does nothing keeps it."""


async def despite_others(transaction: Callable[[], Awaitable[_T]]) -> _T:
    """Run a whole transaction; where it has to give way to another, again at once, a few times.

    Then TransactionRolledBack is raised.
    """
    for _ in range(GIVE_WAY):
        with suppress(TransactionRolledBack):
            return await transaction()
    return await transaction()


class Database:
    """A pool of connections; made by `connect`. What reads or writes here raises DatabaseUnavailable."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dsn: str, clock: DatabaseClock) -> None:
        self._pool = pool
        self._dsn = dsn
        self._wakeups = Wakeups(self._send)
        self.clock = clock

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
            # What was to be done is done by now, or has failed by itself; a connection that broke since is thrown away.
            with suppress(DatabaseUnavailable), translated():
                await self._pool.release(connection, timeout=RELEASE_SECONDS)

    async def session(self, name: str, **settings: str) -> asyncpg.Connection[asyncpg.Record]:
        """A connection for locks that last, which belongs to the caller, who closes it. See `translated`."""
        with translated():
            return await asyncpg.connect(
                self._dsn,
                timeout=ACQUIRE_SECONDS,
                command_timeout=COMMAND_SECONDS,
                server_settings={"application_name": f"payproof {name}", **_SESSION, **settings},
            )

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *values)

    async def execute(self, sql: str, *values: Any) -> str:
        async with self.connection() as connection:
            return await connection.execute(sql, *values)

    def notify(self, wakeup: Wakeup) -> None:
        """Tell every process, soon; lost wakeups are made good by the slow polls of those who wait."""
        self._wakeups.add(wakeup)

    def payloads(self, wakeup: Wakeup) -> list[str]:
        """What a statement passes to pg_notify itself; `told` then says that it is committed."""
        return self._wakeups.payloads(wakeup)

    def told(self, wakeup: Wakeup) -> None:
        self._wakeups.on_wakeup(wakeup)

    async def notified(self) -> None:
        """Wait until what `notify` was told is sent."""
        await self._wakeups.sent()

    async def _send(self, payload: str) -> None:
        try:
            async with asyncio.timeout(NOTIFY_SECONDS):  # those behind it would wait as well
                await self.execute(_NOTIFY, CHANNEL, payload)
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("wakeup.send_failed", error=error_name(error))

    async def set_clock(self) -> None:
        async with self.connection() as connection:
            asked = self.clock.ticking()
            reading = await connection.fetchval("SELECT clock_timestamp()")
            self.clock.set(reading, asked=asked, answered=self.clock.ticking())

    async def keep_clock(self) -> None:
        """Read the database's clock from time to time, until cancelled; after an outage, as soon as it is back."""
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
        """Pass on wakeups until cancelled, over a connection of its own that is made again whenever it breaks.

        Those of this process are passed on at once, without a way through the database.

        `connected` runs after each connect, because wakeups may have been missed before it. Every `probe` seconds the
        connection has to answer, because a network that forgot it tells nobody.
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
        connection = await asyncpg.connect(self._dsn, timeout=ACQUIRE_SECONDS)
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
async def connect(dsn: str, *, size: int = CONNECTIONS) -> AsyncIterator[Database]:
    """Open the pool; waits up to ten seconds for the server. Raises DatabaseUnavailable."""
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
    database = Database(pool, dsn, DatabaseClock())
    try:
        with translated():
            await pool
        await database.set_clock()
        yield database
    finally:
        # A server that went away under a connection keeps nobody from ending; what is cut off here was not committed.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await database.notified()
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


def planned_once(nth: int) -> str:
    """The nth parameter as an array of texts whose length the planner does not see, so that it keeps the plan.

    Postgres keeps a plan only where one made for any value costs as little as one made for these; of an array that it
    sees it knows how short it is, so it would plan anew each time, and for a payment that comes alone that takes longer
    than the statement itself. A plan that is kept is as old as the last ANALYZE, which a table that begins to fill gets
    within a minute or two.
    """
    return f"ARRAY(SELECT unnest(${nth}::text[]))"
