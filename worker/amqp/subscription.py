"""The consumer of one queue as this process knows it: its buffer, and which of its messages the broker waits for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from aiormq.abc import AbstractChannel, DeliveredMessage
from msgspec import Struct, field


class Subscription(Struct):
    """The consumer of one queue. `heard_at`: when it last got a message, or began, in monotonic seconds.

    `unacked` are the tags of messages that were not acknowledged, rising. `acked` are the tags of
    acknowledged messages that the broker was not told of yet. `acking` is held while the broker is told: an
    acknowledgement of several messages must not include a message that is being requeued, and the broker closes a
    channel on which a message is acknowledged twice.
    """

    channel: AbstractChannel
    heard_at: float
    buffer: deque[DeliveredMessage] = field(default_factory=deque)
    unacked: dict[int, None] = field(default_factory=dict)
    acked: set[int] = field(default_factory=set)
    cancelled: bool = False
    consumer_tag: str | None = None
    acking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def acknowledge(self, tags: Sequence[int]) -> None:
        """Acknowledge all tags that are older than every unacked message at once, and each of the others alone."""
        for tag in tags:
            self.unacked.pop(tag, None)
        self.acked.update(tags)
        async with self.acking:
            while not self.acked.isdisjoint(tags):
                oldest_left = next(iter(self.unacked), None)
                older = {tag for tag in self.acked if oldest_left is None or tag < oldest_left}
                told = older or {next(tag for tag in tags if tag in self.acked)}
                self.acked -= told
                await self.channel.basic_ack(max(told), multiple=bool(older))

    async def requeue(self) -> None:
        """Give the buffered messages back to the broker, for another consumer."""
        async with self.acking:
            while self.buffer:
                tag = tag_of(self.buffer.popleft())
                await self.channel.basic_nack(tag, requeue=True)
                self.unacked.pop(tag, None)


def tag_of(message: DeliveredMessage) -> int:
    assert message.delivery_tag is not None, "a delivered message has a tag"
    return message.delivery_tag
