"""How many questions one gateway is being asked by this process at a time.

The one thing to get wrong: sharing them. Each gateway has its own, so that one that hangs takes no other's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

MAX_CONCURRENT = 64

BATCH = 100
"""Replies recorded in one transaction."""

WINDOW = MAX_CONCURRENT + BATCH
"""So many of a gateway's claims one worker may have in hand: those that are asked about, and those being written."""


APART = 4
"""So many transactions at once where one over all failed; each may wait for a lock, with a connection."""

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


async def apart(parts: Iterable[_Part], do: Callable[[_Part], Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Do each by itself, some at a time: one that waits for a lock keeps nobody else waiting."""
    places = asyncio.Semaphore(APART)

    async def one(part: _Part) -> _Result:
        async with places:
            return await do(part)

    async with asyncio.TaskGroup() as group:
        each = [group.create_task(one(part)) for part in parts]
    return [task.result() for task in each]


class ConcurrencyLimit:
    """A bound on the questions that one gateway is being asked; `used` counts them by account."""

    def __init__(self) -> None:
        self.used = Counter[str]()
        self._freed = asyncio.Event()

    async def free(self, stopped: asyncio.Future[None]) -> int:
        """Wait until a question may be asked, or until `stopped`. Returns how many may."""
        while self.used.total() >= MAX_CONCURRENT and not stopped.done():
            self._freed.clear()
            freed = asyncio.ensure_future(self._freed.wait())
            either: set[asyncio.Future[Any]] = {freed, stopped}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                freed.cancel()
        return MAX_CONCURRENT - self.used.total()

    def acquire(self, account: str) -> None:
        self.used[account] += 1

    def release(self, account: str, _: object) -> None:
        self.used[account] -= 1
        self._freed.set()
