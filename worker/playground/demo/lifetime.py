"""A checkout's end, moved by hand: a gateway keeps it open for half an hour, a story only for seconds.

Only payments that our clock closes wait for `expires_at`; a gateway's answer ends a payment at any time. `expires_at`
is the later of the gateway's time and ours, and no request makes it shorter, so it is moved in the database.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

import asyncpg


class HasDatabase(Protocol):
    def joined(self) -> AbstractContextManager[str]:
        """The URL of a database that runs while it is used."""


async def shorten(system: HasDatabase, payment_id: str, seconds: float) -> None:
    """Let a payment's checkout be over so many seconds after its opening, and have the sweep look at it now.

    Raises worker.postgres.driver_errors.DRIVER_ERRORS where the database is away.
    """
    joined = system.joined()
    url = await asyncio.to_thread(joined.__enter__)
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(
                "UPDATE payments SET expires_at = opened_at + make_interval(secs => $2), "
                "next_check_at = least(next_check_at, clock_timestamp()) WHERE id = $1",
                payment_id,
                seconds,
            )
        finally:
            await connection.close()
    finally:
        await asyncio.to_thread(joined.__exit__, None, None, None)
