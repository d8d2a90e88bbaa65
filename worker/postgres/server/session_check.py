"""Whether each connection of ours has a session of the server for itself, as the locks that consume keeps need it.

The one thing to get wrong: looking once. A pooler lends the same session again while nobody else wants it, or lends all
of its sessions in turn.
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
    """Locks that outlast a transaction would be another client's. The message says what to change."""


async def expect_sessions(dsn: str) -> None:
    """Raises SessionsLent. Anything else that is wrong with the connection is told better by the next to connect."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError):
        async with AsyncExitStack() as stack:
            ours, another = [await _connected(dsn, stack) for _ in range(2)]
            seen = {await _session(ours), await _session(ours)}  # two, where they are lent in turn
            async with another.transaction():
                await another.fetchval("SELECT pg_backend_pid()")  # has the one that was lent last
                seen.add(await _session(ours))
        if len(seen) > 1:
            raise SessionsLent(WHY)


async def _connected(dsn: str, stack: AsyncExitStack) -> asyncpg.Connection[asyncpg.Record]:
    """One that prepares nothing for longer than a transaction, so that it gets through poolers of either kind."""
    connection = await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, command_timeout=SAY_SECONDS, statement_cache_size=0
    )
    stack.push_async_callback(connection.close, timeout=SAY_SECONDS)
    return connection


async def _session(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    async with connection.transaction():
        return int(await connection.fetchval("SELECT pg_backend_pid()"))
