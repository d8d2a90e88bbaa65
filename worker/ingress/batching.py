"""Requests that come at the same time share one call: those that come while a batch is running go in the next batch.

Strangers decide how many requests there are. So they take a few database connections, and leave the others to the
workers of the same process. A database that is away fails the whole batch. Any other error is the fault of a single
request, so the batch is run again one request at a time, and only that request fails.

`submit` needs no deadline around it: it has its own, pending and running, and one timer keeps those of all requests.
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
    """`submit` returns when the batch of its item has run.

    `answer` returns a result for each item of a batch, in its order; after `seconds` the batch fails with TimeoutError.
    A caller waits no longer than that, however many are pending. `shared_errors` is what else `answer` raises when the
    whole batch fails; `at_once` is how many batches run at a time.
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

    async def submit(self, one: Item) -> Result:
        """Raises what `answer` does, and TimeoutError. An item whose caller is cancelled is pending no longer."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Result] = loop.create_future()
        waiting = one, told
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
        """Tell the callers that have waited too long; the timer is set for the next one."""
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
            # At once, and not when the task is seen to have ended: an item submitted in between would wait for ever.
            self._batches.discard(running)

    async def _run_batch(self, batch: Sequence[_Request[Item, Result]]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                answers = await self._answer([one for one, _ in batch])
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
