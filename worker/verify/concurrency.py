"""How many questions about one gateway this process has open at a time.

Each gateway has a limit of its own, so a gateway that hangs does not slow the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

MAX_CONCURRENT = 64

BATCH = 100
"""How many replies are recorded in one transaction, at most."""

WINDOW = MAX_CONCURRENT + BATCH
"""How many claims of a gateway a worker may have in hand: those being asked about, and those being written."""


APART = 4
"""How many transactions run at once after a transaction over all of them failed. Each may wait for a lock."""

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


async def apart(parts: Iterable[_Part], do: Callable[[_Part], Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Call `do` with each part by itself, APART at a time. Returns the results in the order of the parts."""
    semaphore = asyncio.Semaphore(APART)

    async def do_alone(part: _Part) -> _Result:
        async with semaphore:
            return await do(part)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(do_alone(part)) for part in parts]
    return [task.result() for task in tasks]


class ConcurrencyLimit:
    """A bound on the open questions about one gateway. `used` counts them by account."""

    def __init__(self) -> None:
        self.used = Counter[str]()
        self._freed = asyncio.Event()

    async def free(self, stopped: asyncio.Future[None]) -> int:
        """Wait until a question may be asked, or until `stopped`. Returns how many questions may be asked."""
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
        """Count a question about this account as open. Does not wait."""
        self.used[account] += 1

    def release(self, account: str, _: object) -> None:
        self.used[account] -= 1
        self._freed.set()
