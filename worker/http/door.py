"""How many hits of strangers are looked up at once; the others wait in line.

The one thing to get wrong: whose connections they are. The workers of the same process need the database too, and
behind a thousand strangers they would wait for seconds at every step; so the strangers wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.http import together
from worker.postgres.database import CONNECTIONS

AT_ONCE = CONNECTIONS // 2 - together.AT_ONCE
"""With those that make claims durable, half of all."""


class Door:
    """`passing` is held while a hit is looked up, and never while a browser waits for its outcome."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self.in_line = 0

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        self.in_line += 1
        try:
            await self._free.acquire()
        finally:
            self.in_line -= 1
        try:
            yield
        finally:
            self._free.release()
