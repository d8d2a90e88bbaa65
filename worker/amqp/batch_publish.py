"""Messages sent together by one write, each confirmed by itself, as aiormq's `basic_publish` does for a single message.

A confirm names a message by its number on the wire. A number that is counted and not sent would let the confirm of one
message count for another, and a claim could be lost. So messages are numbered after the write is in the connection's
queue, without an await in between. A message that no queue takes is returned by its id. So of several `mandatory`
messages with the same id, each waits until the one before it is confirmed.
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
"""Where a content header has the size of the body: after seven bytes of the frame, the class and the weight."""


async def publish_batch(channel: Channel, messages: Sequence[OutgoingMessage]) -> list[asyncio.Future[object]]:
    """Write the messages. Returns the confirmation of each, in their order, to be awaited.

    Awaiting it raises if the broker refuses the message, or no queue takes it. The channel is made with confirms and
    `on_return_raises`. Raises ChannelInvalidStateError if it is closed. A call that is cancelled may have sent some
    messages; each that was sent is numbered.
    """
    assert channel.publisher_confirms, "without confirms they would be waited for in vain"
    confirmations: list[asyncio.Future[object]] = []
    batches = [
        (batch, b"".join(part for message in batch for part in _parts(channel, message)))
        for batch in _without_repeated_ids(messages)
    ]
    async with channel.lock:
        for batch, payload in batches:
            if unconfirmed := _unconfirmed(channel, batch):
                await asyncio.wait(unconfirmed)
            await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
            confirmations += [_confirmation(channel, message) for message in batch]
    return confirmations


def _without_repeated_ids(messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
    """The messages in their order, in batches in which no `mandatory` message's id occurs twice."""
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
    """The pending confirmations of earlier messages with the same ids."""
    numbers = [channel.message_id_delivery_tag.get(_id_of(message)) for message in batch if message.mandatory]
    pending = [channel.confirmations.get(number) for number in numbers if number is not None]
    return [confirmation for confirmation in pending if isinstance(confirmation, asyncio.Future)]


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
    assert message_id, "a mandatory message has an id, by which the broker would return it"
    return str(message_id)


def _parts(channel: Channel, message: OutgoingMessage) -> list[bytes]:
    """The frames of one message: its target, its header, and its body in pieces of the size that the broker allows."""
    number, body = channel.number, message.body
    size = channel.max_content_size if channel.max_content_size > 0 else max(len(body), 1)  # a broker may set no limit
    return [
        _target(number, message.exchange, message.routing_key, message.mandatory),
        _header(number, message.properties, len(body)),
        *(marshal(ContentBody(body[start : start + size]), number) for start in range(0, len(body), size)),
    ]


def _header(number: int, properties: spec.Basic.Properties, size: int) -> bytes:
    """The content header of a message. The rest of it is cached for messages that differ only in id and size."""
    message_id = properties.message_id
    if not message_id or properties.headers:
        return marshal(ContentHeader(properties=properties, body_size=size), number)
    encoded = message_id.encode()
    before, between, after = _around(number, len(encoded), properties.headers is not None, _others(properties))
    return b"".join((before, size.to_bytes(_SIZE, "big"), between, encoded, after))


@lru_cache(1024)
def _around(number: int, length: int, headers: bool, others: tuple[Any, ...]) -> tuple[bytes, bytes, bytes]:
    """The parts of a content header before the body's size, between the size and an id of `length` bytes, and after."""
    more = dict(zip(_OTHERS, others, strict=True)) | {"headers": {} if headers else None}
    frame, other = (
        marshal(ContentHeader(properties=spec.Basic.Properties(message_id=letter * length, **more)), number)
        for letter in "ab"
    )
    at = next(place for place, (one, two) in enumerate(zip(frame, other, strict=True)) if one != two)
    return frame[:_SIZE_AT], frame[_SIZE_AT + _SIZE : at], frame[at + length :]


@lru_cache(1024)
def _target(channel_number: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return marshal(publish, channel_number)
