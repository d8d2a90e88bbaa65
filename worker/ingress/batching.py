"""What strangers make us ask at the same time is asked together: what came while others were on their way goes as one.

The one thing to get wrong: whose connections they are. The workers of the same process need the database too, so a
crowd of any size takes a few connections and waits for itself. And whose failure it is: a database that is away fails
all of them alike; whatever else goes wrong is the doing of one, so they go one by one and only that one fails.

Nobody needs a deadline around `ask`: it has its own, in line and on the way, and one timer keeps those of all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")

LARGEST = 200
_Waiting = tuple[Asked, "asyncio.Future[Told]"]


class Together(Generic[Asked, Told]):
    """`ask` is answered when the group that it goes with is.

    `answer` tells for each of a group, in its order, within so many `seconds` or all of it fails with TimeoutError.
    A caller waits no longer than that, however long the line is. `alike` is what else `answer` raises when all fare
    alike; `at_once` is how many groups are on their way at a time.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Told]]],
        *,
        alike: tuple[type[Exception], ...],
        seconds: float,
        at_once: int = 1,
    ) -> None:
        self._answer, self._alike, self._seconds, self._at_once = answer, (*alike, TimeoutError), seconds, at_once
        self._line: deque[_Waiting[Asked, Told]] = deque()
        self._due: deque[tuple[float, asyncio.Future[Told]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._groups: set[asyncio.Task[None]] = set()

    @property
    def in_line(self) -> int:
        """How many wait for their group to leave."""
        return len(self._line)

    async def ask(self, one: Asked) -> Told:
        """Raises what `answer` does, and TimeoutError. Whoever is cancelled leaves the line."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Told] = loop.create_future()
        waiting = one, told
        self._line.append(waiting)
        while self._due and self._due[0][1].done():
            self._due.popleft()
        self._due.append((loop.time() + self._seconds, told))
        if self._timer is None:
            self._timer = loop.call_at(self._due[0][0], self._expire, loop)
        if len(self._groups) < self._at_once:
            self._groups.add(asyncio.create_task(self._go()))
        try:
            return await told
        except (asyncio.CancelledError, TimeoutError):
            with suppress(ValueError):  # it is on its way already
                self._line.remove(waiting)
            raise

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the callers that have waited too long; the timer is set for the next one."""
        while self._due and (self._due[0][1].done() or self._due[0][0] <= loop.time()):
            _, told = self._due.popleft()
            if not told.done():
                told.set_exception(TimeoutError())
        self._timer = loop.call_at(self._due[0][0], self._expire, loop) if self._due else None

    async def _go(self) -> None:
        running = asyncio.current_task()
        assert running is not None, "this is a task"
        try:
            while self._line:
                await self._ask([self._line.popleft() for _ in range(min(LARGEST, len(self._line)))])
        finally:
            # At once, and not when the task is seen to have ended: who asks in between would wait for nobody.
            self._groups.discard(running)

    async def _ask(self, group: Sequence[_Waiting[Asked, Told]]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                answers = await self._answer([one for one, _ in group])
        except Exception as error:  # noqa: BLE001 - it is raised again where each of them waits
            if len(group) > 1 and not isinstance(error, self._alike):
                for waiting in group:
                    await self._ask([waiting])
                return
            for _, told in group:
                if not told.done():  # whoever waited may have gone
                    told.set_exception(error)
        else:
            for (_, told), answer in zip(group, answers, strict=True):
                if not told.done():
                    told.set_result(answer)
        finally:
            for _, told in group:
                told.cancel()  # we end, and nobody knows what became of it
