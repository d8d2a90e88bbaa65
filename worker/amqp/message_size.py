"""How large a message may be that this process reads. A larger message is not kept: its description is read instead.

A broker may accept messages of many megabytes, and the library would join all frames of each before anyone sees its
size. So the frames of a large message are counted, hashed and dropped one after the other. The consumer gets JSON with
the size and the digest in the place of the body, which no reader takes for a claim or for a payment.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, cast

import msgspec
from aio_pika.abc import AbstractChannel
from aiormq import Channel, spec
from aiormq.abc import DeliveredMessage, GetResultType
from msgspec import Struct
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from schemas.own_json import NotOurs, read_own

MAX_MESSAGE: Final = 1024 * 1024
"""In bytes. Claims and events are smaller: their parts are bounded where they are made."""

_Delivery = spec.Basic.Deliver | spec.Basic.Return | GetResultType


class TooLarge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describes a message that was too large to keep: the size of its body in bytes, and the SHA-256 of it, in hex."""

    too_large_bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"the message has {self.too_large_bytes} bytes (SHA-256 {self.sha256}), and its body was not kept"


def describe(body: bytes) -> bytes:
    """The description that stands in the place of a body that is not kept."""
    return _encoded(len(body), sha256(body).hexdigest())


def described(body: bytes) -> TooLarge | None:
    """The description that stands in the place of a body; None for a body as it was sent."""
    try:
        return read_own(body, TooLarge) if len(body) < 200 else None
    except NotOurs:
        return None


async def bound_messages(channel: AbstractChannel) -> None:
    """From now on, have each message of more than MAX_MESSAGE bytes on this channel replaced by its description."""
    underlay = cast("Channel", await channel.get_underlay_channel())
    whole = underlay._read_content  # noqa: SLF001 - the library has no hook for it

    async def read(frame: _Delivery, header: ContentHeader) -> DeliveredMessage:
        if (header.body_size or 0) <= MAX_MESSAGE:
            return await whole(frame, header)
        return DeliveredMessage(delivery=frame, header=header, body=await _describe(underlay, header), channel=underlay)

    underlay._read_content = read  # type: ignore[method-assign]  # noqa: SLF001


async def _describe(channel: Channel, header: ContentHeader) -> bytes:
    size, digest = 0, sha256()
    while size < (header.body_size or 0):
        content = await channel._get_frame()  # noqa: SLF001
        if not isinstance(content, ContentBody):
            raise ValueError(f"the frame {content!r} is no part of a body")  # noqa: TRY004 - as the library says so
        size += len(content.value)
        digest.update(content.value)
    return _encoded(size, digest.hexdigest())


def _encoded(size: int, digest: str) -> bytes:
    return msgspec.json.encode(TooLarge(too_large_bytes=size, sha256=digest))
