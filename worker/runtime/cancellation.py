"""Ending tasks: cancelled, and waited for.

Cancelling once is not enough. Python 3.11 swallows a cancellation that meets the end of a call under
`asyncio.wait_for`. aiormq raises another error in its place while it closes a channel. In both cases the loop that made
the call goes on. `asyncio.TaskGroup` cancels once, so loops do not run in a group.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

CANCEL_AGAIN_SECONDS = 1.0

T = TypeVar("T")


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks, again and again, until all have ended."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


async def end_one(task: asyncio.Task[None]) -> None:
    """Cancel the task until it has ended. Raises the task's error, if it failed."""
    await end([task])
    if not task.cancelled():
        task.result()


@asynccontextmanager
async def ended_at_exit(tasks: Mapping[str, asyncio.Task[None]]) -> AsyncIterator[None]:
    """Cancels and awaits the tasks that are in `tasks` when the block is left, also by an error."""
    try:
        yield
    finally:
        await end(tasks.values())


async def run_unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Run `work`, and cancel it when `stop` is set. Returns its result, or None if it was cancelled.

    An error that it raises because it is cancelled is no error of the work. An error that came before `stop` is raised.
    """
    running, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end((running, stopped))
    if running.cancelled() or (running not in done and running.exception() is not None):
        return None
    return running.result()


async def run_all(*loops: Coroutine[None, None, None]) -> None:
    """Run the loops until all have returned or one fails. Its error is raised when the others have ended."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(tasks)
    for task in done:
        task.result()
