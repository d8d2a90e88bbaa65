"""Publishing with confirms, on a connection of its own, because a broker in alarm blocks connections that publish.

A broker in alarm confirms nothing, and may deliver everything later. So every publish has a deadline, and the first
publish that misses its deadline ends the connection. A new connection counts only once it has confirmed a probe. The
callbacks in between go to the spool at once, without waiting for the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import cast

import structlog
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import Channel, spec

from consumers.ports.unavailable import BusUnavailable
from schemas.secret import Secret
from worker.amqp.batch_publish import publish_batch
from worker.amqp.kept_channel import KeptChannel
from worker.amqp.link import (
    UNREACHABLE,
    closing_of,
    ended_in_good_order,
    open_channel,
    run_with_reconnect,
    using_connection,
)
from worker.amqp.messages import OutgoingMessage
from worker.amqp.topology import CLAIMS, DEAD, claims_queue, declare

CONFIRM_SECONDS = 2.0
PROBE_SECONDS = 1.0
PROBE_KEY = "payproof.probe"

log = structlog.get_logger()


class Publisher:
    """Publishes while `run` runs. `tried` is set when the first attempt to connect has succeeded or failed."""

    def __init__(self, url: Secret, providers: Collection[str]) -> None:
        self._url, self._providers = url, providers
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._given_up = asyncio.Event()
        self._asking: set[asyncio.Future[None]] = set()
        self._asking_channel = KeptChannel()
        self.tried = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the broker has confirmed a probe on the present connection."""
        return self._channel is not None

    async def run(self) -> None:
        """Keep a connection until cancelled. Raises BrokerRefusedError and TopologyError; see `run_with_reconnect`."""
        try:
            await run_with_reconnect(
                self._url, "payproof publisher", prepare=self._prepare, use=self._serve, failed=self.tried.set
            )
        finally:
            self.tried.set()

    async def publish(self, messages: Sequence[OutgoingMessage], *, seconds: float = CONFIRM_SECONDS) -> None:
        """Return when the broker has confirmed every message. Raises BusUnavailable; it may then have some.

        At the start, waits up to `seconds` more for the first attempt to connect.
        """
        if not self.tried.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.tried.wait()
        channel = self._channel
        if channel is None:
            raise BusUnavailable("the broker is away")
        try:
            with using_connection():
                async with asyncio.timeout(seconds):
                    underlay = cast("Channel", await channel.get_underlay_channel())
                    confirmed = await asyncio.gather(*await publish_batch(underlay, messages), return_exceptions=True)
        except TimeoutError:
            self._give_up(channel, "silent")
            raise BusUnavailable("the broker did not confirm in time") from None
        except UNREACHABLE as error:
            self._give_up(channel, type(error).__name__)
            raise BusUnavailable(type(error).__name__) from None
        failures = [result for result in confirmed if isinstance(result, BaseException)]
        if not failures:
            return
        # A CancelledError here is not of our task: the library cancels confirmations when heartbeats stop.
        away = (*UNREACHABLE, asyncio.CancelledError)
        for failure in failures:
            if not isinstance(failure, away) and not ended_in_good_order(failure):
                raise failure
        # Refused, or no queue took it, because its queue was deleted. A new connection declares the queue again.
        self._give_up(channel, type(failures[0]).__name__)
        raise BusUnavailable(type(failures[0]).__name__)

    async def depths(self) -> dict[str, int]:
        """How many claims wait at the broker, by provider; empty while it is away."""
        return await self._depths({provider: claims_queue(provider) for provider in self._providers})

    async def dead(self) -> int | None:
        """How many dead letters wait at the broker; None while it is away."""
        return (await self._depths({DEAD: DEAD})).get(DEAD)

    async def _depths(self, queues: Mapping[str, str]) -> dict[str, int]:
        """How many messages are ready, by the keys of `queues`; only the queues that answered in time.

        The task is not awaited after its deadline: the channel of a broker that just died may take long to close, and
        the sweep and the metrics would wait for it.
        """
        if self._connection is None:
            return {}
        depths: dict[str, int] = {}
        asking = asyncio.ensure_future(self._ask_depths(self._connection, queues, depths))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        try:
            await asyncio.wait({asking}, timeout=CONFIRM_SECONDS)
        finally:
            asking.cancel()
        if asking.done():
            asking.result()
        return depths

    async def _ask_depths(
        self, connection: AbstractConnection, queues: Mapping[str, str], depths: dict[str, int]
    ) -> None:
        with suppress(*UNREACHABLE), using_connection():
            async with self._asking_channel.on(connection) as channel:
                for name, queue in queues.items():
                    declared = await channel.declare_queue(queue, passive=True)
                    depths[name] = declared.declaration_result.message_count or 0

    def _give_up(self, channel: AbstractChannel, why: str) -> None:
        if self._channel is channel:
            log.warning("broker.unconfirmed", why=why)
            self._channel = None
            self._given_up.set()

    async def _prepare(self, connection: AbstractConnection) -> None:
        await declare(connection, self._providers)

    async def _serve(self, connection: AbstractConnection) -> None:
        end = closing_of(connection)
        async with asyncio.timeout(CONFIRM_SECONDS):
            channel = await open_channel(connection, confirms=True)
        await probe(channel)
        self._given_up.clear()
        self._connection, self._channel = connection, channel
        self.tried.set()
        log.info("broker.connected", connection="publisher")
        ends = [asyncio.ensure_future(wait) for wait in (end.wait(), channel.closed(), self._given_up.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connection = self._channel = None
            for waiting in ends:
                waiting.cancel()


async def probe(channel: AbstractChannel) -> None:
    """Publish a message that no queue gets. Raises TimeoutError if the broker does not confirm it within a second.

    It goes to the exchange of claims, which every role may write to; that of events is for the relay alone.

    The probe has a body, because a broker in alarm stops reading after a header, and confirms a message without a body.
    """
    async with asyncio.timeout(PROBE_SECONDS):
        await confirm(channel, probe_message(b"probe"))


def probe_message(body: bytes) -> OutgoingMessage:
    """A message that no queue gets."""
    return OutgoingMessage(
        exchange=CLAIMS,
        routing_key=PROBE_KEY,
        body=body,
        properties=spec.Basic.Properties(delivery_mode=DeliveryMode.NOT_PERSISTENT.value),
        mandatory=False,
    )


async def confirm(channel: AbstractChannel, message: OutgoingMessage) -> None:
    """Publish a message and wait for its confirm, on a channel made with confirms and `on_return_raises`.

    Raises DeliveryError if the broker refuses it or no queue takes it, and one of UNREACHABLE.
    """
    (confirmed,) = await publish_batch(cast("Channel", await channel.get_underlay_channel()), [message])
    await confirmed
