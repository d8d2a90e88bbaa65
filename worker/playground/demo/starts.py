"""When the next story begins: as soon as payproof answers at once, so that a slow machine plays fewer at a time.

Many stories depend on delays of seconds. On a machine that has much else to do they would all be late together.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from worker.playground.shop.client import AWAY, Refused

ANSWERED_SECONDS = 0.15
PAUSE_SECONDS = 0.25
MOST_SECONDS = 60.0
"""All stories together are held back no longer."""


class AnswersEvents(Protocol):
    async def events(self, after: str | None, limit: int) -> bytes: ...


class Starts:
    """The turns of stories to begin, one after the other."""

    def __init__(self, shop: AnswersEvents) -> None:
        self._shop, self._turn, self._left = shop, asyncio.Lock(), MOST_SECONDS

    async def turn(self) -> None:
        """Wait until payproof answers within ANSWERED_SECONDS, or until the stories were held back long enough."""
        async with self._turn:
            while (took := await self._answered()) > ANSWERED_SECONDS and self._left > 0:
                await asyncio.sleep(PAUSE_SECONDS)
                self._left -= took + PAUSE_SECONDS

    async def _answered(self) -> float:
        """How many seconds a page of one event took."""
        began = time.monotonic()
        with suppress(Refused, *AWAY):
            await self._shop.events(None, limit=1)
        return time.monotonic() - began
