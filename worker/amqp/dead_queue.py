"""The dead letters at the broker: its queue `payproof.dead`.

A letter is read by taking it from the queue. It is acknowledged only when it is replayed or dropped. All other letters
go back to the queue when the channel closes, however the reading ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError

from consumers.ports.unavailable import BusUnavailable
from schemas.audit import AuditRecord
from schemas.callbacks import read_claim
from schemas.secret import Secret
from worker.amqp.link import CLOSE_SECONDS, UNREACHABLE, connected, open_channel, using_connection
from worker.amqp.message_size import described
from worker.amqp.messages import (
    EXPECTED_TYPE,
    PROVIDER,
    REASON,
    OutgoingMessage,
    claim_message,
    expected_message,
    strangers_id,
)
from worker.amqp.publisher import CONFIRM_SECONDS, confirm
from worker.amqp.topology import DEAD, DELIVERY_LIMIT, EXPECTED
from worker.dead_letters import CheckedOut, NotReplayed, Place, claim_dead_letter, expected_dead_letter

GET_SECONDS = 5.0

KeepRecord = Callable[[AuditRecord], Awaitable[None]]

_BROKERS_REASONS = {
    "delivery_limit": f"given out more than {DELIVERY_LIMIT} times, and no worker ever finished it",
    "rejected": "a worker rejected it",
    "too large": "a body has at most 64 KiB, and this one is far larger",
    "expired": "it waited longer than the broker's policy allows",
    "maxlen": "its queue was longer than the broker's policy allows",
}


class BrokerDead:
    """See worker.dead_letters.DeadLetterStore; made by `dead_at_broker`."""

    place: Place = "broker"

    def __init__(self, url: Secret, connection: AbstractConnection, stack: AsyncExitStack, keep: KeepRecord) -> None:
        self._url, self._connection, self._stack, self._keep = url, connection, stack, keep
        self._publishing: AbstractChannel | None = None

    async def read(self) -> AsyncGenerator[CheckedOut, None]:
        async with _answering(GET_SECONDS):
            channel = await open_channel(self._connection, confirms=False)
        try:
            while (message := await _next(channel)) is not None:
                yield _opened(message)
        finally:
            with suppress(*UNREACHABLE), using_connection():
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()

    async def replay(self, opened: CheckedOut, record: AuditRecord) -> None:
        if too_large := described(opened.body):
            raise NotReplayed(str(too_large))
        await self._keep(record)
        try:
            with using_connection():
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await confirm(await self._channel(), _to_replay(opened))
        except TimeoutError as error:
            raise BusUnavailable("the broker did not confirm it in time") from error
        except DeliveryError as error:
            raise BusUnavailable(f"no queue at the broker takes it ({type(error).__name__})") from error
        except UNREACHABLE as error:
            raise BusUnavailable(f"the broker did not take it ({type(error).__name__})") from error
        await self._remove(opened)

    async def drop(self, opened: CheckedOut, record: AuditRecord) -> None:
        await self._keep(record)
        await self._remove(opened)

    async def _remove(self, opened: CheckedOut) -> None:
        async with _answering(CONFIRM_SECONDS):
            await _tag(opened).ack()

    async def _channel(self) -> AbstractChannel:
        """A channel for publishing, on a connection of its own: an alarm blocks connections that publish."""
        if self._publishing is None:
            connection = await self._stack.enter_async_context(connected(self._url, "payproof dead, publishing"))
            self._publishing = await open_channel(connection, confirms=True)
        return self._publishing


@asynccontextmanager
async def dead_at_broker(url: Secret, keep: KeepRecord) -> AsyncIterator[BrokerDead]:
    """Connect to the dead letters at the broker. `keep` writes the record of an act, before it.

    Raises BusUnavailable, and BrokerRefusedError.
    """
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(connected(url, "payproof dead"))
        except UNREACHABLE as error:
            raise BusUnavailable(f"the broker cannot be reached ({type(error).__name__})") from error
        yield BrokerDead(url, connection, stack, keep)


async def _next(channel: AbstractChannel) -> AbstractIncomingMessage | None:
    async with _answering(GET_SECONDS):
        try:
            queue = await channel.get_queue(DEAD, ensure=False)
            return await queue.get(fail=False, timeout=None)
        except ChannelNotFoundEntity:  # no service has run with this broker yet
            return None


@asynccontextmanager
async def _answering(seconds: float) -> AsyncIterator[None]:
    """Raises BusUnavailable if the broker goes away during the block, or takes longer than `seconds`."""
    try:
        with using_connection():
            async with asyncio.timeout(seconds):
                yield
    except UNREACHABLE as error:
        raise BusUnavailable(f"the broker went away ({type(error).__name__})") from error


def _to_replay(opened: CheckedOut) -> OutgoingMessage:
    if opened.letter.kind == "expected":
        return expected_message(opened.letter.id, _tag(opened).routing_key or "", opened.body)
    return claim_message(read_claim(opened.body))


def _opened(message: AbstractIncomingMessage) -> CheckedOut:
    headers = message.headers
    by_broker = _death(headers).get("queue") == EXPECTED
    if by_broker or (message.type == EXPECTED_TYPE and REASON in headers):
        reason, since = _brokers_word(headers) if by_broker else (str(headers[REASON]), message.timestamp)
        expected = expected_dead_letter(strangers_id(message.message_id), BrokerDead.place, reason, since, message.body)
        return CheckedOut(letter=expected, body=message.body, tag=message)
    provider = str(headers.get(PROVIDER) or message.routing_key or "unknown")
    ours = headers.get(REASON)
    reason, since = (str(ours), message.timestamp) if ours is not None else _brokers_word(headers)
    known = claim_dead_letter(message.message_id, BrokerDead.place, provider, reason, since, message.body)
    return CheckedOut(letter=known, body=message.body, tag=message)


def _brokers_word(headers: Mapping[str, Any]) -> tuple[str, datetime | None]:
    """Why and when the broker itself dead-lettered a message; None where it gives no time."""
    death = _death(headers)
    why = str(headers.get("x-first-death-reason") or death.get("reason") or "unknown")
    if death.get("queue") == EXPECTED and why == "rejected":  # payproof rejects an expected message only for its size
        why = "too large"
    words = _BROKERS_REASONS.get(why, f"the broker put it aside, its reason: {why}")
    at = death.get("time")
    return words, at.astimezone(UTC) if isinstance(at, datetime) else None


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The broker's note of a message that it dead-lettered itself; empty for other messages."""
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def _tag(opened: CheckedOut) -> AbstractIncomingMessage:
    assert isinstance(opened.tag, AbstractIncomingMessage), "the tag is the broker's message"
    return opened.tag
