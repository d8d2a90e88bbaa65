"""An operator's requests take turns: one person, or their script, keeps nobody else from the few connections."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE, WAIT_SECONDS, LINE = 2, 5.0, 50


class OutOfTurn(Exception):
    """The operator's other requests took so long, or are so many, that this one had no turn."""


class Turns:
    """Each operator has `at_once` turns. Further requests wait for `wait` seconds at most, `line` of them at once."""

    def __init__(self, at_once: int, wait: float, line: int) -> None:
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_once))
        self._waiting = Counter[str]()
        self._wait, self._line = wait, line

    @asynccontextmanager
    async def of(self, operator: str) -> AsyncIterator[None]:
        """A turn of this operator, of whom there are as many as the configuration names. Raises OutOfTurn."""
        turns = self._turns[operator]
        if self._waiting[operator] >= self._line:
            raise OutOfTurn(f"{self._line} requests of {operator} wait already")
        self._waiting[operator] += 1
        try:
            async with asyncio.timeout(self._wait):
                await turns.acquire()
        except TimeoutError:
            raise OutOfTurn(f"no turn for {operator} within {self._wait:g} s") from None
        finally:
            self._waiting[operator] -= 1
        try:
            yield
        finally:
            turns.release()
