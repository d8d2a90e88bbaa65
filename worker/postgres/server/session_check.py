"""Whether each of our connections has a server session of its own. The locks of the role consume need that.

A single look is not enough. A pooler lends the same session again while no other client wants it, or lends its sessions
in turn.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress

import asyncpg

CONNECT_SECONDS = 10.0
SAY_SECONDS = 5.0

WHY = (
    "PAYPROOF_DATABASE_URL leads to a pooler that lends sessions for a transaction at a time, and consume and relay "
    "keep locks on sessions of their own: name the database's server itself"
)


class SessionsLent(Exception):
    """A pooler lends sessions, so locks that outlast a transaction would become another client's.

    The message says how to change the configuration.
    """


async def expect_sessions(dsn: str) -> None:
    """Raises SessionsLent. Other errors are ignored, because the next connection reports them better."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError):
        async with AsyncExitStack() as stack:
            ours, another = [await _connected(dsn, stack) for _ in range(2)]
            seen = {await _session(ours), await _session(ours)}  # two sessions, if they are lent in turn
            async with another.transaction():
                await another.fetchval("SELECT pg_backend_pid()")  # takes the session that was lent last
                seen.add(await _session(ours))
        if len(seen) > 1:
            raise SessionsLent(WHY)


async def _connected(dsn: str, stack: AsyncExitStack) -> asyncpg.Connection[asyncpg.Record]:
    """A connection that caches no prepared statements, so that it works through every kind of pooler."""
    connection = await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, command_timeout=SAY_SECONDS, statement_cache_size=0
    )
    stack.push_async_callback(connection.close, timeout=SAY_SECONDS)
    return connection


async def _session(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    async with connection.transaction():
        return int(await connection.fetchval("SELECT pg_backend_pid()"))
