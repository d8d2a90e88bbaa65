"""Messages sent together by one write, each confirmed by itself: what aiormq's `basic_publish` does for one of them.

The one thing to get wrong: the numbers. A confirm names a message by its place on the wire, so a number that is counted
and not sent would let the broker's word for one message stand for another. They are counted after the write is in the
connection's queue, with nothing to wait for in between. And the ids: a message that no queue takes is named by its id,
so of several with one id that must arrive, each waits until the one before it is settled.
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

from worker.amqp.messages import Post

_OTHERS = [name for name in spec.Basic.Properties.__slots__ if name not in ("message_id", "headers")]
_others = attrgetter(*_OTHERS)
_SIZE_AT, _SIZE = 11, 8
"""Of the body, in a content header: after seven bytes of a frame, the class and the weight."""


async def send(channel: Channel, posts: Sequence[Post]) -> list[asyncio.Future[object]]:
    """What the broker will say to each, in their order; a refusal and a message that no queue takes are raised there.

    The channel is one with confirms and `on_return_raises`. Raises ChannelInvalidStateError where it is closed. A call
    that is cancelled may have sent some of them, and none that is not counted.
    """
    assert channel.publisher_confirms, "without confirms they would be waited for in vain"
    said: list[asyncio.Future[object]] = []
    groups = [(group, b"".join([part for post in group for part in _parts(channel, post)])) for group in _apart(posts)]
    async with channel.lock:
        for group, payload in groups:
            if unsettled := _unsettled(channel, group):
                await asyncio.wait(unsettled)
            await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
            said += [_confirmation(channel, post) for post in group]
    return said


def _apart(posts: Sequence[Post]) -> Iterator[list[Post]]:
    """The posts in their order, cut where an id would come again."""
    group: list[Post] = []
    ids: set[str] = set()
    for post in posts:
        if post.mandatory:
            if (message_id := _id_of(post)) in ids:
                yield group
                group, ids = [], set()
            ids.add(message_id)
        group.append(post)
    if group:
        yield group


def _unsettled(channel: Channel, group: Sequence[Post]) -> list[asyncio.Future[object]]:
    """The confirmations that are still waited for under the same ids."""
    numbers = [channel.message_id_delivery_tag.get(_id_of(post)) for post in group if post.mandatory]
    waited_for = [channel.confirmations.get(number) for number in numbers if number is not None]
    return [one for one in waited_for if isinstance(one, asyncio.Future)]


def _confirmation(channel: Channel, post: Post) -> asyncio.Future[object]:
    channel.delivery_tag += 1
    number = channel.delivery_tag
    confirmation: asyncio.Future[object] = channel.create_future()
    channel.confirmations[number] = confirmation
    if post.mandatory:
        message_id = _id_of(post)
        channel.message_id_delivery_tag[message_id] = number

        def forget(_: object) -> None:
            if channel.message_id_delivery_tag.get(message_id) == number:
                del channel.message_id_delivery_tag[message_id]

        confirmation.add_done_callback(forget)
    return confirmation


def _id_of(post: Post) -> str:
    message_id = post.properties.message_id
    assert message_id, "what must arrive has an id, by which the broker would give it back"
    return str(message_id)


def _parts(channel: Channel, post: Post) -> list[bytes]:
    """The frames of one message: where it goes, what it is, and its body in pieces that the broker agreed to."""
    number, body = channel.number, post.body
    size = channel.max_content_size if channel.max_content_size > 0 else max(len(body), 1)  # a broker may set no limit
    return [
        _target(number, post.exchange, post.routing_key, post.mandatory),
        _header(number, post.properties, len(body)),
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
