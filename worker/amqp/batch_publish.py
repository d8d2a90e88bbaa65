"""Messages sent together by one write, each confirmed by itself: what aiormq's `basic_publish` does for one of them.

The one thing to get wrong: the numbers. A confirm names a message by its place on the wire, so a number that is counted
and not sent would let the broker's word for one message stand for another. They are counted after the write is in the
connection's queue, with nothing to wait for in between. And the ids: a message that no queue takes is named by its id,
so of several with one id that must arrive, each waits until the one before it is confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from aiormq import Channel, spec
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from worker.amqp.messages import OutgoingMessage

_OTHERS = [name for name in spec.Basic.Properties.__slots__ if name not in ("message_id", "headers")]
_others = attrgetter(*_OTHERS)
_SIZE_AT, _SIZE = 11, 8
"""Of the body, in a content header: after seven bytes of a frame, the class and the weight."""


async def publish_batch(channel: Channel, messages: Sequence[OutgoingMessage]) -> list[asyncio.Future[object]]:
    """Write them. Returns the broker's word on each, in their order: a refusal, or that no queue takes it, is raised.

    The channel is one with confirms and `on_return_raises`. Raises ChannelInvalidStateError where it is closed. A call
    that is cancelled may have sent some of them, and none that is not counted.
    """
    assert channel.publisher_confirms, "without confirms they would be waited for in vain"
    said: list[asyncio.Future[object]] = []
    batches = [(batch, b"".join(part for one in batch for part in _parts(channel, one))) for batch in _apart(messages)]
    async with channel.lock:
        for batch, payload in batches:
            if unconfirmed := _unconfirmed(channel, batch):
                await asyncio.wait(unconfirmed)
            await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
            said += [_confirmation(channel, message) for message in batch]
    return said


def _apart(messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
    """The messages in their order, cut where an id would come again."""
    batch: list[OutgoingMessage] = []
    ids: set[str] = set()
    for message in messages:
        if message.mandatory:
            if (message_id := _id_of(message)) in ids:
                yield batch
                batch, ids = [], set()
            ids.add(message_id)
        batch.append(message)
    if batch:
        yield batch


def _unconfirmed(channel: Channel, batch: Sequence[OutgoingMessage]) -> list[asyncio.Future[object]]:
    """The confirmations that are still waited for under the same ids."""
    numbers = [channel.message_id_delivery_tag.get(_id_of(message)) for message in batch if message.mandatory]
    waited_for = [channel.confirmations.get(number) for number in numbers if number is not None]
    return [one for one in waited_for if isinstance(one, asyncio.Future)]


def _confirmation(channel: Channel, message: OutgoingMessage) -> asyncio.Future[object]:
    channel.delivery_tag += 1
    number = channel.delivery_tag
    confirmation: asyncio.Future[object] = channel.create_future()
    channel.confirmations[number] = confirmation
    if message.mandatory:
        message_id = _id_of(message)
        channel.message_id_delivery_tag[message_id] = number

        def forget(_: object) -> None:
            if channel.message_id_delivery_tag.get(message_id) == number:
                del channel.message_id_delivery_tag[message_id]

        confirmation.add_done_callback(forget)
    return confirmation


def _id_of(message: OutgoingMessage) -> str:
    message_id = message.properties.message_id
    assert message_id, "what must arrive has an id, by which the broker would give it back"
    return str(message_id)


def _parts(channel: Channel, message: OutgoingMessage) -> list[bytes]:
    """The frames of one message: where it goes, what it is, and its body in pieces that the broker agreed to."""
    number, body = channel.number, message.body
    size = channel.max_content_size if channel.max_content_size > 0 else max(len(body), 1)  # a broker may set no limit
    return [
        _target(number, message.exchange, message.routing_key, message.mandatory),
        _header(number, message.properties, len(body)),
        *(marshal(ContentBody(body[start : start + size]), number) for start in range(0, len(body), size)),
    ]


def _header(number: int, properties: spec.Basic.Properties, size: int) -> bytes:
    """The frame that says what a message is; made once for all that differ in nothing but their id and size."""
    message_id = properties.message_id
    if not message_id or properties.headers:
        return marshal(ContentHeader(properties=properties, body_size=size), number)
    told = message_id.encode()
    before, between, after = _around(number, len(told), properties.headers is not None, _others(properties))
    return b"".join((before, size.to_bytes(_SIZE, "big"), between, told, after))


@lru_cache(1024)
def _around(number: int, length: int, headers: bool, others: tuple[Any, ...]) -> tuple[bytes, bytes, bytes]:
    """What such a frame has before the size of the body, between that and an id of so many bytes, and after it."""
    more = dict(zip(_OTHERS, others, strict=True)) | {"headers": {} if headers else None}
    frame, other = (
        marshal(ContentHeader(properties=spec.Basic.Properties(message_id=sign * length, **more)), number)
        for sign in "ab"
    )
    at = next(place for place, (one, two) in enumerate(zip(frame, other, strict=True)) if one != two)
    return frame[:_SIZE_AT], frame[_SIZE_AT + _SIZE : at], frame[at + length :]


@lru_cache(1024)
def _target(channel_number: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return marshal(publish, channel_number)
