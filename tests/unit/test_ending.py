"""Tasks that do not react to their first cancellation end all the same."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from worker.runtime import cancellation as ending
from worker.runtime.cancellation import end, end_one, ended_at_exit, run_all, run_unless


class Deaf:
    """A loop whose library swallows the first cancellations, as aiormq does while it closes a channel."""

    def __init__(self, times: int = 1) -> None:
        self.times, self.swallowed, self.begun = times, 0, asyncio.Event()

    async def run(self) -> None:
        self.begun.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.swallowed == self.times:
                    raise
                self.swallowed += 1


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "CANCEL_AGAIN_SECONDS", 0.001)


async def begun(deaf: Deaf) -> asyncio.Task[None]:
    task = asyncio.create_task(deaf.run())
    await deaf.begun.wait()
    return task


async def breaking(deaf: Deaf | None = None) -> None:
    """Fails, once the other task has begun."""
    if deaf is not None:
        await deaf.begun.wait()
    raise ZeroDivisionError


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    tasks = [await begun(Deaf(times)) for times in (0, 1, 3)]
    await end(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_the_failure_of_one_that_had_ended_is_raised() -> None:
    task = asyncio.create_task(breaking())
    await asyncio.wait({task})
    with pytest.raises(ZeroDivisionError):
        await end_one(task)
    await end_one(await begun(Deaf()))


async def test_a_part_that_fails_ends_a_group_whose_other_parts_are_deaf() -> None:
    """A TaskGroup cancels each of its tasks once, and would wait for the deaf task for ever."""
    deaf, tasks = Deaf(), dict[str, asyncio.Task[None]]()

    async def process() -> None:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group, ended_at_exit(tasks):
            tasks.update(deaf=group.create_task(deaf.run()), broken=group.create_task(breaking(deaf)))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await process()
    assert deaf.swallowed == 1


async def test_loops_that_run_together_end_together() -> None:
    deaf = Deaf()
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(20):
            await run_all(deaf.run(), breaking(deaf))
    assert deaf.swallowed == 1


async def test_loops_that_are_cancelled_end_although_one_of_them_is_deaf() -> None:
    deaf = Deaf(2)
    both = asyncio.create_task(run_all(deaf.run(), Deaf(0).run()))
    await deaf.begun.wait()
    both.cancel()
    with suppress(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await both
    assert deaf.swallowed == 2


async def test_work_that_answers_its_cancellation_with_another_error_was_only_cancelled() -> None:
    """A driver may raise an error of its own while a connection is opened and cancelled."""

    async def work() -> None:
        try:
            stop.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("the connection was closed") from None

    stop = asyncio.Event()
    assert await run_unless(stop, work()) is None


async def test_an_error_that_came_before_the_stop_is_raised() -> None:
    async def work() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        await run_unless(asyncio.Event(), work())


async def test_a_result_that_came_with_the_stop_is_kept() -> None:
    async def work() -> str:
        stop.set()
        return "done"

    stop = asyncio.Event()
    assert await run_unless(stop, work()) == "done"
