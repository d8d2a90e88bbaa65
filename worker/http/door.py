"""How many hits of strangers are worked on at once; the others wait in line.

The one thing to get wrong: whose connections they are. The workers of the same process need the database too, and
behind a thousand strangers they would wait for seconds at every step; so the strangers wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.postgres.database import CONNECTIONS

AT_ONCE = CONNECTIONS // 2
CROWD = 500


class Door:
    """`passing` is held while a hit is looked up or made durable, and never while a browser waits for its outcome."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._in_line = 0

    @property
    def crowded(self) -> bool:
        """Whether the line is so long that what only repeats others had better come again."""
        return self._in_line >= CROWD

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        self._in_line += 1
        try:
            await self._free.acquire()
        finally:
            self._in_line -= 1
        try:
            yield
        finally:
            self._free.release()
