"""Messages sent together by one write, each confirmed by itself: what aiormq's `basic_publish` does for one of them.

The one thing to get wrong: the numbers. A confirm names a message by its place on the wire, so a number that is counted
and not sent would let the broker's word for one message stand for another. They are counted after the write is in the
connection's queue, with nothing to wait for in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from aiormq import Channel, spec
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from worker.amqp.messages import Post


async def send(channel: Channel, posts: Sequence[Post]) -> list[asyncio.Future[object]]:
    """What the broker will say to each, in their order; a refusal and a message that no queue takes are raised there.

    Raises ChannelInvalidStateError where the channel is closed. Of a call that is cancelled nothing was sent.
    """
    payload = b"".join([part for post in posts for part in _parts(channel, post)])
    async with channel.lock:
        await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
        return [_confirmation(channel, post) for post in posts]


def _confirmation(channel: Channel, post: Post) -> asyncio.Future[object]:
    channel.delivery_tag += 1
    number, message_id = channel.delivery_tag, post.properties.message_id
    confirmation: asyncio.Future[object] = channel.create_future()
    channel.confirmations[number] = confirmation
    if post.mandatory and message_id is not None:
        channel.message_id_delivery_tag[message_id] = number

        def forget(_: object) -> None:
            if channel.message_id_delivery_tag.get(message_id) == number:
                del channel.message_id_delivery_tag[message_id]

        confirmation.add_done_callback(forget)
    return confirmation


def _parts(channel: Channel, post: Post) -> list[bytes]:
    """The frames of one message: where it goes, what it is, and its body in pieces that the broker agreed to."""
    assert post.properties.message_id or not post.mandatory, "by its id the broker names what no queue takes"
    size, body, number = channel.max_content_size, post.body, channel.number
    return [
        _target(number, post.exchange, post.routing_key, post.mandatory),
        marshal(ContentHeader(properties=post.properties, body_size=len(body)), number),
        *(marshal(ContentBody(body[start : start + size]), number) for start in range(0, len(body), size)),
    ]


@lru_cache(1024)
def _target(channel_number: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return marshal(publish, channel_number)
