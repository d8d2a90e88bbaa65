"""Publishing with confirms, on a connection of its own: a broker in alarm stops those who publish and nobody else.

The one thing to get wrong: silence. A broker in alarm confirms nothing and may deliver it all later. So every publish
has a deadline, and whoever misses it first ends the connection: a new one counts only once it confirmed a probe, so
the callbacks in between go to the spool at once and none of them waits to find out.
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

from consumers.ports.bus import BusAway
from schemas.secret import Secret
from worker.amqp.batch_publish import publish_batch
from worker.amqp.link import (
    UNREACHABLE,
    closing_of,
    ended_in_good_order,
    open_channel,
    run_with_reconnect,
    using_connection,
)
from worker.amqp.messages import OutgoingMessage
from worker.amqp.topology import DEAD, EVENTS, claims_queue, declare

CONFIRM_SECONDS = 2.0
PROBE_SECONDS = 1.0
PROBE_KEY = "payproof.probe"

log = structlog.get_logger()


class Publisher:
    """Works while `run` runs; `tried` is set when the first attempt to connect is over, however it ended."""

    def __init__(self, url: Secret, providers: Collection[str]) -> None:
        self._url, self._providers = url, providers
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._given_up = asyncio.Event()
        self._asking: set[asyncio.Future[None]] = set()
        self.tried = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._channel is not None

    async def run(self) -> None:
        try:
            await run_with_reconnect(
                self._url, "payproof publisher", prepare=self._prepare, use=self._serve, failed=self.tried.set
            )
        finally:
            self.tried.set()

    async def publish(self, messages: Sequence[OutgoingMessage], *, seconds: float = CONFIRM_SECONDS) -> None:
        """Return when the broker has made every one of them durable. Raises BusAway; some may be there all the same.

        At the start the first attempt to connect is waited for, up to `seconds` more.
        """
        if not self.tried.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.tried.wait()
        channel = self._channel
        if channel is None:
            raise BusAway("the broker is away")
        try:
            with using_connection():
                async with asyncio.timeout(seconds):
                    underlay = cast(Channel, await channel.get_underlay_channel())
                    confirmed = await asyncio.gather(*await publish_batch(underlay, messages), return_exceptions=True)
        except TimeoutError:
            self._give_up(channel, "silent")
            raise BusAway("the broker did not confirm in time") from None
        except UNREACHABLE as error:
            self._give_up(channel, type(error).__name__)
            raise BusAway(type(error).__name__) from None
        failures = [one for one in confirmed if isinstance(one, BaseException)]
        if not failures:
            return
        # A publish that is cancelled, and not we, was waiting on a connection whose heartbeats stopped.
        away = (*UNREACHABLE, asyncio.CancelledError)
        for failure in failures:
            if not isinstance(failure, away) and not ended_in_good_order(failure):
                raise failure
        # Refused, or no queue takes it, because somebody deleted one: a new connection declares it again.
        self._give_up(channel, type(failures[0]).__name__)
        raise BusAway(type(failures[0]).__name__)

    async def depths(self) -> dict[str, int]:
        """How many claims wait at the broker, by provider; empty while it is away."""
        return await self._depths({provider: claims_queue(provider) for provider in self._providers})

    async def dead(self) -> int | None:
        """How many dead letters lie at the broker; None while it is away."""
        return (await self._depths({DEAD: DEAD})).get(DEAD)

    async def _depths(self, queues: Mapping[str, str]) -> dict[str, int]:
        """How many messages are ready in each queue, by the name it is called here.

        It is left behind at its deadline and not waited for: the channel of a broker that just died may take its time
        to close even after it was cancelled, and the sweep and every scrape would wait with it.
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
            async with await open_channel(connection, confirms=False) as channel:
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
        ends = [asyncio.ensure_future(one) for one in (end.wait(), channel.closed(), self._given_up.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connection = self._channel = None
            for one in ends:
                one.cancel()


async def probe(channel: AbstractChannel) -> None:
    """Whether the broker confirms at all. Raises TimeoutError when it does not within a second.

    It has a body, because a broker in alarm stops reading after a message's header: one without a body it confirms.
    """
    message = OutgoingMessage(
        exchange=EVENTS,
        routing_key=PROBE_KEY,
        body=b"probe",
        properties=spec.Basic.Properties(delivery_mode=DeliveryMode.NOT_PERSISTENT.value),
        mandatory=False,
    )
    async with asyncio.timeout(PROBE_SECONDS):
        await confirm(channel, message)


async def confirm(channel: AbstractChannel, message: OutgoingMessage) -> None:
    """Publish and wait for the broker's word, on a channel made with confirms and `on_return_raises`."""
    (confirmed,) = await publish_batch(cast(Channel, await channel.get_underlay_channel()), [message])
    await confirmed
