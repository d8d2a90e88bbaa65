"""The gateways' shared tokens: one per account for all processes, renewed by one process at a time.

No connection is held while the gateway is asked: a gateway that hangs would use up the pool. Instead, the process that
renews leaves a lease in the token's row. An empty text is a token being renewed until `expires_at`. After that, its
renewer has died.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from consumers.ports.effects import Token
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.timing import TIMING
from worker.postgres.database import Database

RENEW_BEFORE_END = timedelta(minutes=1)
POLL_SECONDS = 0.1

_GOOD = "t.token <> '' AND t.token IS DISTINCT FROM $2 AND t.expires_at > clock_timestamp() + $3::interval"
_READ = f"SELECT t.token FROM tokens t WHERE t.account = $1 AND {_GOOD}"  # noqa: S608 - our own words
_CLAIM = f"""
    INSERT INTO tokens AS t (account, token, expires_at) VALUES ($1, '', clock_timestamp() + $4::interval)
    ON CONFLICT (account) DO UPDATE SET token = '', expires_at = excluded.expires_at
    WHERE NOT ({_GOOD}) AND (t.token <> '' OR t.expires_at < clock_timestamp())
    RETURNING expires_at
"""  # noqa: S608 - our own words


class PostgresTokens:
    """Keeps a token for each account. Within one process, only one task at a time waits for an account's renewal."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]]) -> str:
        """The account's token. Calls `grant` for a new one if there is none, it ends within a minute, or it is `stale`.

        Waits while another process renews it. Errors of `grant` are raised.
        """
        found = await self._good(account, stale)
        if found is not None:
            return found
        async with self._locks[account]:
            while (found := await self._good(account, stale)) is None:
                until = await self._claim(account, stale)
                if until is not None:
                    return await self._renew(account, until, grant)
                await asyncio.sleep(POLL_SECONDS)  # another process renews it
            return found

    async def _good(self, account: str, stale: str | None) -> str | None:
        rows = await self._database.fetch(_READ, account, stale, RENEW_BEFORE_END)
        return rows[0]["token"] if rows else None

    async def _claim(self, account: str, stale: str | None) -> datetime | None:
        """Take the lease of the renewal. Returns its end; None when another process renews or has just renewed."""
        rows = await self._database.fetch(_CLAIM, account, stale, RENEW_BEFORE_END, TIMING.token_lease)
        return rows[0]["expires_at"] if rows else None

    async def _renew(self, account: str, until: datetime, grant: Callable[[], Awaitable[Token]]) -> str:
        try:
            token = await grant()
        except BaseException:
            with suppress(DatabaseUnavailable):  # the lease ends by itself
                await self._database.execute(
                    "DELETE FROM tokens WHERE account = $1 AND token = '' AND expires_at = $2", account, until
                )
            raise
        await self._database.execute(
            """INSERT INTO tokens (account, token, expires_at) VALUES ($1, $2, clock_timestamp() + $3)
               ON CONFLICT (account) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at""",
            account,
            token.text,
            timedelta(seconds=token.seconds),
        )
        return token.text
