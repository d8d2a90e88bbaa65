"""Messages sent together: each has its own confirmation from the broker, independent of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from inspect import CORO_SUSPENDED, getcoroutinestate
from typing import cast

import aio_pika
import pytest
from aio_pika.abc import AbstractQueue
from aiormq import Channel, spec
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError, PublishError
from msgspec import Struct

from tests.broker import RabbitMQ
from tests.processes import until
from worker.amqp.batch_publish import publish_batch
from worker.amqp.link import UNREACHABLE
from worker.amqp.messages import OutgoingMessage

SECONDS = 10.0


class Line(Struct):
    """A queue, and a channel that publishes to it with confirms."""

    queue: AbstractQueue
    channel: Channel

    def post(
        self, message_id: str | None, body: bytes = b"{}", *, to: str | None = None, mandatory: bool = True
    ) -> OutgoingMessage:
        properties = spec.Basic.Properties(delivery_mode=2, message_id=message_id)
        key = to or self.queue.name
        return OutgoingMessage(exchange="", routing_key=key, body=body, properties=properties, mandatory=mandatory)

    def lost(self, message_id: str) -> OutgoingMessage:
        """A message that has to arrive and that no queue takes."""
        return self.post(message_id, to="of-nobody")

    async def words(self, *posts: OutgoingMessage) -> list[str]:
        """The broker's word on each: `Ack`, or the name of the exception raised."""
        async with asyncio.timeout(SECONDS):
            said = await asyncio.gather(*await publish_batch(self.channel, posts), return_exceptions=True)
        return [type(one).__name__ for one in said]

    async def kept(self) -> list[bytes]:
        """The messages in the queue, in order, taken off."""
        bodies = []
        while (message := await self.queue.get(fail=False, timeout=SECONDS)) is not None:
            bodies.append(message.body)
            await message.ack()
        return bodies


@pytest.fixture
async def line(broker: RabbitMQ) -> AsyncIterator[Line]:
    async with await aio_pika.connect(broker.url, timeout=SECONDS) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await channel.declare_queue(exclusive=True)
        yield Line(queue=queue, channel=cast("Channel", await channel.get_underlay_channel()))


async def test_all_arrive_in_their_order_and_each_is_confirmed(line: Line) -> None:
    posts = [line.post(f"m{n}", f"{n}".encode()) for n in range(300)]
    assert await line.words(*posts) == ["Ack"] * 300
    assert await line.kept() == [post.body for post in posts]
    assert line.channel.confirmations == {}
    assert line.channel.message_id_delivery_tag == {}


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_a_body_larger_than_a_frame_arrives_whole(line: Line, beyond: int) -> None:
    size = line.channel.max_content_size
    bodies = [b"a" * (size + beyond), b"", b"b" * (2 * size + beyond), b"c"]
    assert await line.words(*[line.post(f"m{n}", body) for n, body in enumerate(bodies)]) == ["Ack"] * 4
    assert await line.kept() == bodies


async def test_what_no_queue_takes_fails_alone(line: Line) -> None:
    posts = [line.post("m1"), line.lost("m2"), line.post("m3"), line.lost("m4")]
    assert await line.words(*posts) == ["Ack", PublishError.__name__, "Ack", PublishError.__name__]
    assert await line.words(line.post("m5"), line.lost("m6")) == ["Ack", PublishError.__name__], "numbers are in step"
    assert len(await line.kept()) == 3


async def test_what_need_not_arrive_is_confirmed_without_a_queue(line: Line) -> None:
    assert await line.words(line.post(None, to="of-nobody", mandatory=False)) == ["Ack"]


async def test_what_must_arrive_has_an_id(line: Line) -> None:
    """Without an id, the message of a group that the broker returned could not be identified."""
    with pytest.raises(AssertionError, match="has an id"):
        await publish_batch(line.channel, [line.post("m1"), line.post(None)])
    assert await line.words(line.post("m2"), line.lost("m3")) == ["Ack", PublishError.__name__]
    assert len(await line.kept()) == 1, "and none of its group was sent"


async def test_of_two_with_one_id_each_has_its_own_word(line: Line) -> None:
    """The broker names a returned message by its id alone, so the two could be confused."""
    assert await line.words(line.lost("m1"), line.lost("m1")) == [PublishError.__name__] * 2
    both = [publish_batch(line.channel, [post]) for post in (line.lost("m2"), line.post("m2", b"2"), line.lost("m2"))]
    said = await asyncio.gather(*[one for (one,) in await asyncio.gather(*both)], return_exceptions=True)
    assert [type(one).__name__ for one in said] == [PublishError.__name__, "Ack", PublishError.__name__]
    assert await line.kept() == [b"2"]


async def test_a_broker_without_a_limit_gets_the_body_in_one_piece(line: Line) -> None:
    """It says 0, from which aiormq subtracts what a frame needs for itself."""
    line.channel.max_content_size = -8
    assert await line.words(line.post("m1", b"body"), line.post("m2", b"")) == ["Ack", "Ack"]
    assert await line.kept() == [b"body", b""]


async def test_of_a_call_that_is_cancelled_while_it_waits_for_its_turn_nothing_is_sent(line: Line) -> None:
    async with line.channel.lock:
        sending = publish_batch(line.channel, [line.post("m1")])
        waiting = asyncio.create_task(sending)

        async def waits() -> bool:
            return getcoroutinestate(sending) == CORO_SUSPENDED

        await until(waits, what="a call that waits for its turn")
        waiting.cancel()
        await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert await line.words(line.post("m2", b"2"), line.lost("m3")) == ["Ack", PublishError.__name__]
    assert await line.kept() == [b"2"]


async def test_of_a_call_that_is_cancelled_while_it_waits_for_room_nothing_is_counted(line: Line) -> None:
    counted = line.channel.delivery_tag
    while not line.channel.write_queue.full():  # no task empties the queue while this task does not wait
        line.channel.write_queue.put_nowait(ChannelFrame(payload=b"", should_close=False))
    waiting = publish_batch(line.channel, [line.post("m1")])
    waiting.send(None)
    assert line.channel.delivery_tag == counted
    assert line.channel.confirmations == {}
    waiting.close()
    assert await line.words(line.post("m2", b"2"), line.lost("m3")) == ["Ack", PublishError.__name__]
    assert await line.kept() == [b"2"]


async def test_a_closed_channel_is_said_at_once(line: Line) -> None:
    await line.channel.close()
    with pytest.raises(ChannelInvalidStateError):
        await publish_batch(line.channel, [line.post("m1")])


async def test_whoever_waits_hears_that_the_connection_ended(line: Line, broker: RabbitMQ) -> None:
    """In alarm the broker confirms nothing."""
    await asyncio.to_thread(broker.raise_alarm)
    try:
        waiting = await publish_batch(line.channel, [line.post(f"m{n}") for n in range(3)])
        await asyncio.to_thread(broker.cut_connections)
        async with asyncio.timeout(SECONDS):
            said = await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        await asyncio.to_thread(broker.clear_alarm)
    assert all(isinstance(one, UNREACHABLE) for one in said), said
    with pytest.raises(UNREACHABLE):
        await publish_batch(line.channel, [line.post("m4")])
