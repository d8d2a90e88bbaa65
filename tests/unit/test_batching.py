"""Batches of requests: requests that come while others run form a batch, and none fails because of another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.ingress.batching import MAX_BATCH, RequestBatcher


class AwayError(Exception):
    """The whole batch fails."""


class Slow:
    """Answers a group when it may, each request with its number; fails a group with `refuses`, and all while `away`."""

    def __init__(self, at_once: int = 2) -> None:
        self.groups: list[list[int]] = []
        self.let = asyncio.Semaphore(0)
        self.refuses: int | None = None
        self.away = False
        self.batcher = RequestBatcher(self.answer, shared_errors=(AwayError,), seconds=30, at_once=at_once)

    async def answer(self, group: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(group))
        await self.let.acquire()
        if self.away:
            raise AwayError
        if self.refuses in group:
            raise ValueError("not that one")
        return [-one for one in group]

    async def asked(self, *numbers: int) -> list[asyncio.Task[int]]:
        """Start each request and let it run as far as it can, one after the other."""
        asking = []
        for number in numbers:
            asking.append(asyncio.create_task(self.batcher.submit(number)))
            for _ in range(3):
                await asyncio.sleep(0)
        return asking

    def go_on(self, groups: int = 20) -> None:
        for _ in range(groups):
            self.let.release()


async def test_what_comes_while_others_are_on_their_way_goes_as_one() -> None:
    slow = Slow()
    asking = await slow.asked(1, 2, 3, 4, 5)
    assert slow.groups == [[1], [2]]
    assert slow.batcher.pending == 3
    slow.go_on()
    assert await asyncio.gather(*asking) == [-1, -2, -3, -4, -5]
    assert slow.groups == [[1], [2], [3, 4, 5]]
    assert slow.batcher.pending == 0


async def test_nobody_is_answered_before_their_group_is() -> None:
    slow = Slow()
    (asking,) = await slow.asked(1)
    assert not asking.done()
    slow.go_on()
    assert await asking == -1


async def test_one_that_fails_by_itself_fails_alone() -> None:
    slow = Slow(at_once=1)
    slow.refuses = 3
    asking = await slow.asked(1, 2, 3, 4)
    slow.go_on()
    said = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in said] == [int, int, ValueError, int]
    assert slow.groups == [[1], [2, 3, 4], [2], [3], [4]]


async def test_what_fails_all_alike_fails_a_group_at_once() -> None:
    slow = Slow(at_once=1)
    slow.away = True
    asking = await slow.asked(*range(MAX_BATCH))
    slow.go_on()
    said = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, AwayError) for one in said)
    assert [len(group) for group in slow.groups] == [1, MAX_BATCH - 1]


async def test_a_group_has_its_bound() -> None:
    slow = Slow(at_once=1)
    asking = await slow.asked(*range(MAX_BATCH + 2))
    slow.go_on()
    await asyncio.gather(*asking)
    assert [len(group) for group in slow.groups] == [1, MAX_BATCH, 1]


async def test_whoever_stops_waiting_takes_nobody_along() -> None:
    slow = Slow(at_once=1)
    asking = await slow.asked(1, 2, 3)
    asking[1].cancel()
    slow.go_on()
    said = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in said] == [int, asyncio.CancelledError, int]


async def test_whoever_asks_again_at_once_is_answered() -> None:
    """The first answer is read before the group's task is seen to have ended."""
    slow = Slow(at_once=1)
    slow.go_on()
    async with asyncio.timeout(5):
        for number in range(5):
            assert await slow.batcher.submit(number) == -number


async def test_whoever_gave_up_leaves_the_line() -> None:
    slow = Slow(at_once=1)
    asking = await slow.asked(1, 2, 3)
    asking[1].cancel()
    await asyncio.wait({asking[1]})
    assert slow.batcher.pending == 1
    slow.go_on()
    assert await asyncio.gather(asking[0], asking[2]) == [-1, -3]
    assert slow.groups == [[1], [3]]


async def test_a_group_that_is_not_answered_in_time_fails_as_one() -> None:
    slow = Slow(at_once=1)
    batcher = RequestBatcher(slow.answer, shared_errors=(AwayError,), seconds=0.01)
    said = await asyncio.gather(*(batcher.submit(number) for number in range(3)), return_exceptions=True)
    assert [type(one) for one in said] == [TimeoutError] * 3
    assert len(slow.groups) <= 2


async def test_whoever_is_in_line_waits_no_longer_than_who_is_on_the_way() -> None:
    slow = Slow(at_once=1)
    batcher = RequestBatcher(slow.answer, shared_errors=(AwayError,), seconds=0.5)
    slow.batcher = batcher
    began = asyncio.get_running_loop().time()
    said = await asyncio.gather(*await slow.asked(1, 2, 3), return_exceptions=True)
    assert [type(one) for one in said] == [TimeoutError] * 3
    assert asyncio.get_running_loop().time() - began < 0.9
    assert batcher.pending == 0


async def test_whoever_asks_after_a_time_without_anyone_has_a_deadline_too() -> None:
    slow = Slow(at_once=1)
    slow.batcher = RequestBatcher(slow.answer, shared_errors=(AwayError,), seconds=0.05)
    for number in (1, 2):
        slow.go_on(1)
        assert await slow.batcher.submit(number) == -number
        said = await asyncio.gather(*await slow.asked(number), return_exceptions=True)
        assert [type(one) for one in said] == [TimeoutError]
