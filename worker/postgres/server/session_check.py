"""Whether the database's URLs can be used as they are: who has sessions of its own, and what goes through a pooler.

LISTEN and the locks of the roles consume and relay need a session of their own. A single look is not enough. A pooler
lends the same session again while no other client wants it, or lends its sessions in turn.
"""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, suppress

import asyncpg

from schemas.secret import Secret
from worker.postgres.driver_errors import translated
from worker.postgres.pools import IDLE_SECONDS, LOCK_SECONDS

CONNECT_SECONDS = 10.0
SAY_SECONDS = 5.0

_LENDS = "leads to a pooler that lends sessions for a transaction at a time, and"
WHY = (
    f"PAYPROOF_DATABASE_URL {_LENDS} payproof listens for wakeups and keeps locks on sessions of its own: "
    "name the database's server itself there, or in PAYPROOF_DATABASE_DIRECT_URL beside it"
)
DIRECT_IS_POOLED = (
    f"PAYPROOF_DATABASE_DIRECT_URL {_LENDS} it is for the locks and wakeups that need a session: name the database's "
    "server itself, or a pooler that lends a session for as long as a client is connected"
)
ELSEWHERE = (
    "PAYPROOF_DATABASE_URL and PAYPROOF_DATABASE_DIRECT_URL reach different databases or servers: a lock that is taken "
    "in one is not seen in the other, so payments would be lost between them; name the same database in both"
)
_WANTED = {
    "lock_timeout": str(LOCK_SECONDS * 1000),
    "idle_in_transaction_session_timeout": str(IDLE_SECONDS * 1000),
    "jit": "off",
    "default_transaction_isolation": "read committed",
}
"""The settings that each session has that a pooler lends us, as pg_settings shows them."""

CONNECT_QUERY = (
    f"SET lock_timeout = {LOCK_SECONDS * 1000}; SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}; "
    "SET jit = off; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
)
"""The value of PgBouncer's `connect_query`, which makes these settings in every session of the server."""


class WrongPooler(Exception):
    """The database's URLs cannot be used as they are. The message says how to change the configuration."""


class SessionsLent(WrongPooler):
    """A pooler lends sessions, so locks that outlast a transaction would become another client's."""


async def expect_urls(url: Secret | None, direct: Secret | None, *, pooled: bool) -> None:
    """Check the URLs of a process. `pooled`: it uses `url` for what may go through a pooler, if there is a `direct`.

    Raises WrongPooler; DatabaseUnavailable where both are given and one of them is away.
    """
    if url is None:
        return
    await expect_sessions((direct or url).reveal(), WHY if direct is None else DIRECT_IS_POOLED)
    if direct is not None and pooled:
        await expect_pooled(url.reveal(), direct.reveal())


async def expect_sessions(dsn: str, why: str = WHY) -> None:
    """Raises SessionsLent(why). Other errors are ignored, because the next connection reports them better."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError):
        async with AsyncExitStack() as stack:
            ours, another = [await _connected(dsn, stack) for _ in range(2)]
            seen = {await _session(ours), await _session(ours)}  # two sessions, if they are lent in turn
            async with another.transaction():
                await another.fetchval("SELECT pg_backend_pid()")  # takes the session that was lent last
                seen.add(await _session(ours))
        if len(seen) > 1:
            raise SessionsLent(why)


async def expect_pooled(pooled: str, direct: str) -> None:
    """Whether both reach the same database, and sessions at `pooled` have our settings.

    The first is tried by a lock, because locks are why it matters: a standby, or a restored copy with the same
    identifier, does not see the lock. Raises WrongPooler and DatabaseUnavailable.
    """
    key = secrets.randbits(62)
    with translated():
        async with AsyncExitStack() as stack:
            one, other = await _connected(direct, stack), await _connected(pooled, stack)
            await one.execute("SELECT pg_advisory_lock($1)", key)
            async with other.transaction():
                elsewhere = await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", key)
            rows = await other.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(_WANTED))
    if elsewhere:
        raise WrongPooler(ELSEWHERE)
    found = {row["name"]: row["setting"] for row in rows}
    if wrong := sorted(name for name, setting in _WANTED.items() if found.get(name) != setting):
        raise WrongPooler(
            f"sessions at PAYPROOF_DATABASE_URL have not the settings that payproof needs ({', '.join(wrong)}): in "
            f"PgBouncer's [databases] add connect_query='{CONNECT_QUERY}' to the database's line; without a pooler "
            "leave PAYPROOF_DATABASE_DIRECT_URL out"
        )


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
