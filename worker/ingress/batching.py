"""Requests that come at the same time share one call: requests that come while a batch is running form the next batch.

Anyone can send many requests. Batches use only a few database connections, and leave the others to the workers of the
same process. A database that is away fails the whole batch. Any other error is the fault of a single request, so the
batch is run again one request at a time, and only that request fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 200
_Request = tuple[Item, "asyncio.Future[Result]"]


class RequestBatcher(Generic[Item, Result]):
    """Calls `answer` with batches of the items that callers submit.

    `answer` returns a result for each item of a batch, in its order; after `seconds` the batch fails with TimeoutError.
    A caller waits no longer than that, however many items are pending. `shared_errors` are the other errors of `answer`
    that fail a whole batch. `at_once` is how many batches run at a time.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        shared_errors: tuple[type[Exception], ...],
        seconds: float,
        at_once: int = 1,
    ) -> None:
        self._answer, self._shared_errors = answer, (*shared_errors, TimeoutError)
        self._seconds, self._at_once = seconds, at_once
        self._pending: deque[_Request[Item, Result]] = deque()
        self._due: deque[tuple[float, asyncio.Future[Result]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._batches: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """How many items wait for a batch."""
        return len(self._pending)

    async def submit(self, item: Item) -> Result:
        """Return the item's result when its batch has run. Raises the errors of `answer`, and TimeoutError.

        After TimeoutError a batch with the item may still have run. A cancelled caller's item is not pending any more.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Result] = loop.create_future()
        waiting = item, told
        self._pending.append(waiting)
        while self._due and self._due[0][1].done():
            self._due.popleft()
        self._due.append((loop.time() + self._seconds, told))
        if self._timer is None:
            self._timer = loop.call_at(self._due[0][0], self._expire, loop)
        if len(self._batches) < self._at_once:
            self._batches.add(asyncio.create_task(self._run()))
        try:
            return await told
        except (asyncio.CancelledError, TimeoutError):
            with suppress(ValueError):  # its batch is running
                self._pending.remove(waiting)
            raise

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail the items that have waited too long, and set the timer for the next item."""
        while self._due and (self._due[0][1].done() or self._due[0][0] <= loop.time()):
            _, told = self._due.popleft()
            if not told.done():
                told.set_exception(TimeoutError())
        self._timer = loop.call_at(self._due[0][0], self._expire, loop) if self._due else None

    async def _run(self) -> None:
        running = asyncio.current_task()
        assert running is not None, "this is a task"
        try:
            while self._pending:
                await self._run_batch([self._pending.popleft() for _ in range(min(MAX_BATCH, len(self._pending)))])
        finally:
            # Now, and not in a callback after the task: an item that is submitted in between would wait for ever.
            self._batches.discard(running)

    async def _run_batch(self, batch: Sequence[_Request[Item, Result]]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                answers = await self._answer([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised again in each of their callers
            if len(batch) > 1 and not isinstance(error, self._shared_errors):
                for waiting in batch:
                    await self._run_batch([waiting])
                return
            for _, told in batch:
                if not told.done():  # its caller may have gone
                    told.set_exception(error)
        else:
            for (_, told), answer in zip(batch, answers, strict=True):
                if not told.done():
                    told.set_result(answer)
        finally:
            for _, told in batch:
                told.cancel()  # the process ends, and the result is unknown
