"""A checkout's end, moved by hand: a gateway keeps it open for half an hour, a story only for seconds.

Only payments that our clock closes wait for `expires_at`; a gateway's answer ends a payment at any time. `expires_at`
is the later of the gateway's time and ours, and no request makes it shorter, so it is moved in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol

import asyncpg

Shorten = Callable[[str, float], Awaitable[None]]


class HasDatabase(Protocol):
    def joined(self) -> AbstractContextManager[str]:
        """The URL of a database that runs while it is used."""


@asynccontextmanager
async def shortening(system: HasDatabase) -> AsyncIterator[Shorten]:
    """Shorten many payments on one connection, for a database that stays as long as the block lasts.

    Raises worker.postgres.driver_errors.DRIVER_ERRORS where the database is away.
    """
    joined = system.joined()
    url = await asyncio.to_thread(joined.__enter__)
    try:
        connection, turn = await asyncpg.connect(url, timeout=10), asyncio.Lock()

        async def shorten_one(payment_id: str, seconds: float) -> None:
            async with turn:
                await connection.execute(
                    "UPDATE payments SET expires_at = opened_at + make_interval(secs => $2), "
                    "next_check_at = least(next_check_at, clock_timestamp()) WHERE id = $1",
                    payment_id,
                    seconds,
                )

        try:
            yield shorten_one
        finally:
            await connection.close()
    finally:
        await asyncio.to_thread(joined.__exit__, None, None, None)


async def shorten(system: HasDatabase, payment_id: str, seconds: float) -> None:
    """Let a payment's checkout be over so many seconds after its opening, and have the sweep look at it now.

    Raises worker.postgres.driver_errors.DRIVER_ERRORS where the database is away.
    """
    async with shortening(system) as shorten_one:
        await shorten_one(payment_id, seconds)
