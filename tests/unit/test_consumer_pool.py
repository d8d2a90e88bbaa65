"""The broker gets one word for each message in hand, whatever other words are sent at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from worker.amqp.subscription import Subscription


class Message(Struct):
    delivery_tag: int


class Channel:
    """The broker's side: it receives a word a moment after it was sent, and closes the channel after a wrong word."""

    def __init__(self, *tags: int) -> None:
        self.left = set(tags)
        self.acknowledged, self.returned = set[int](), set[int]()
        self.closed = False
        self.returns = asyncio.Event()
        """Returns wait for this, as for room in the send queue."""
        self.returns.set()

    async def basic_ack(self, tag: int, *, multiple: bool = False) -> None:
        await _moment()
        self.acknowledged |= self._settle({one for one in self.left if one <= tag} if multiple else {tag}, tag)
        await _moment()

    async def basic_nack(self, tag: int, *, requeue: bool) -> None:
        await self.returns.wait()
        await _moment()
        self.returned |= self._settle({tag}, tag)

    def _settle(self, tags: set[int], named: int) -> set[int]:
        self.closed |= named not in self.left
        gone = tags & self.left
        self.left -= gone
        return gone


async def _moment() -> None:
    for _ in range(2):
        await asyncio.sleep(0)


def subscription(channel: Any, buffer: Sequence[int] = ()) -> Subscription:
    messages: deque[Any] = deque(Message(tag) for tag in buffer)
    unacked = dict.fromkeys(sorted(channel.left))
    return Subscription(channel=channel, heard_at=time.monotonic(), buffer=messages, unacked=unacked)


async def test_what_is_settled_at_the_same_time_is_settled_once() -> None:
    channel = Channel(1, 2, 3, 4, 5, 6)
    one = subscription(channel)
    await asyncio.gather(one.acknowledge([1, 3, 5]), one.acknowledge([2, 4]))
    assert (channel.closed, channel.acknowledged) == (False, {1, 2, 3, 4, 5})


async def test_what_is_being_given_back_is_not_acknowledged_with_what_came_after_it() -> None:
    channel = Channel(1, 2, 3)
    one = subscription(channel, buffer=[1])
    channel.returns.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(one.requeue())
        await _moment()
        group.create_task(one.acknowledge([2, 3]))
        await _moment()
        await _moment()
        channel.returns.set()
    assert (channel.closed, channel.acknowledged, channel.returned) == (False, {2, 3}, {1})
    assert one.unacked == {}
