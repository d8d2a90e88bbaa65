"""The gateways' shared tokens: one per account for all processes, renewed by one at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta

from asyncpg import Record

from consumers.gateway import Token
from worker.postgres.database import Connection, Database

EARLY = timedelta(minutes=1)


class PostgresTokens:
    """Keeps a token per account. Renewal holds an advisory lock on the account, so that a crowd renews once.

    Within one process a lock of its own keeps the crowd from holding a connection each.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]]) -> str:
        """The account's token, granted anew when there is none, it ends within a minute, or it is the stale one.

        What `grant` raises is passed on.
        """
        async with self._database.connection() as connection:
            found = await _good(connection, account, stale)
        if found is not None:
            return found
        async with self._locks[account], self._database.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7242002))", account)
            found = await _good(connection, account, stale)
            if found is not None:
                return found
            token = await grant()
            await connection.execute(
                """INSERT INTO tokens (account, token, expires_at) VALUES ($1, $2, clock_timestamp() + $3)
                   ON CONFLICT (account) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at""",
                account,
                token.text,
                timedelta(seconds=token.seconds),
            )
            return token.text


async def _good(connection: Connection[Record], account: str, stale: str | None) -> str | None:
    token: str | None = await connection.fetchval(
        """SELECT token FROM tokens WHERE account = $1 AND token IS DISTINCT FROM $2
           AND expires_at > clock_timestamp() + $3""",
        account,
        stale,
        EARLY,
    )
    return token
