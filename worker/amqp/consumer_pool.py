"""Messages as the broker delivers them: a channel for each queue, a bounded buffer, and a watchdog.

The broker may forget a consumer while its connection looks well. So every few seconds each consumer is compared with
its queue, and made again when they do not agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError

from schemas.secret import Secret
from worker.amqp.kept_channel import KeptChannel
from worker.amqp.link import UNREACHABLE, closing_of, open_channel, run_with_reconnect, using_connection
from worker.amqp.subscription import Subscription, tag_of
from worker.amqp.topology import claims_queue, declare
from worker.telemetry.metrics import Metrics

WATCH_SECONDS = 3.0
IDLE_SECONDS = 5.0
"""A consumer with room counts as forgotten if its queue has messages and delivered none for so long."""
REPLY_SECONDS = 5.0

log = structlog.get_logger()


class ConsumerPool:
    """The consumers of a process. They get messages only while `run` runs.

    Each queue has a short name here: for a queue of claims its gateway's name, for the others the keys of `others`.
    `prefetch` is how many messages of each queue this process may have unacknowledged.
    """

    def __init__(
        self,
        url: Secret,
        providers: Collection[str],
        metrics: Metrics,
        *,
        prefetch: int,
        others: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._url, self._providers, self._metrics = url, tuple(sorted(providers)), metrics
        self._queues = {provider: claims_queue(provider) for provider in self._providers} | dict(others)
        self._prefetch = prefetch
        self._watching_channel = KeptChannel()
        self._subscriptions: dict[str, Subscription] = {}
        self._paused: set[str] = set()
        self._arrived: Callable[[str], None] = lambda _: None

    def on_arrival(self, arrived: Callable[[str], None]) -> None:
        """Have `arrived` called with a queue's name whenever messages came from it."""
        self._arrived = arrived

    @property
    def queues(self) -> list[str]:
        """The names of all queues of this pool."""
        return list(self._queues)

    def missing(self) -> list[str]:
        """The names of the queues that the broker does not deliver from now."""
        return [provider for provider in self._queues if provider not in self._subscriptions]

    async def pause(self, provider: str) -> None:
        """Deliver nothing from this queue until `resume`; its unacknowledged messages go back to the broker.

        The broker gives up on a consumer that keeps a message for half an hour, and counts that towards dead letters.
        """
        if provider not in self._paused:
            self._paused.add(provider)
            log.warning("consumer.paused", provider=provider)
            await self._end(self._subscriptions.pop(provider, None), "nothing can be done with what it delivers")

    def resume(self, provider: str) -> None:
        """Deliver again, within a few seconds."""
        self._paused.discard(provider)

    async def stop_consuming(self, provider: str) -> None:
        """Deliver nothing more from this queue. Messages that were not taken go back to the broker.

        Messages that were taken can still be acknowledged.
        """
        self._paused.add(provider)
        subscription = self._subscriptions.get(provider)
        if subscription is None or subscription.consumer_tag is None:
            return
        with suppress(*UNREACHABLE), using_connection():
            async with asyncio.timeout(REPLY_SECONDS):
                await subscription.channel.basic_cancel(subscription.consumer_tag)
                await subscription.requeue()

    async def run(self) -> None:
        """Consume until cancelled. Raises BrokerRefusedError and TopologyError; see `run_with_reconnect`."""
        await run_with_reconnect(
            self._url, "payproof consumer", prepare=self._prepare, use=self._subscribe, failed=lambda: None
        )

    def has_buffered(self, provider: str) -> bool:
        """Whether the queue has delivered messages that were not taken yet."""
        subscription = self._subscriptions.get(provider)
        return subscription is not None and bool(subscription.buffer)

    def take(self, provider: str, most: int) -> list[DeliveredMessage]:
        """The messages that were delivered, at most `most`. Each stays unacknowledged until `acknowledge`."""
        subscription = self._subscriptions.get(provider)
        if subscription is None:
            return []
        return [subscription.buffer.popleft() for _ in range(min(most, len(subscription.buffer)))]

    def put_back(self, messages: Sequence[DeliveredMessage]) -> None:
        """Put taken messages back, before the others. The broker delivers messages of an ended channel again."""
        for message in reversed(messages):
            for provider, subscription in self._subscriptions.items():
                if message.channel is subscription.channel:
                    subscription.buffer.appendleft(message)
                    self._arrived(provider)

    async def acknowledge(self, messages: Sequence[DeliveredMessage]) -> None:
        """Acknowledge messages. If their channel has ended, the broker delivers them again, which does no harm."""
        for subscription in list(self._subscriptions.values()):
            tags = [tag_of(message) for message in messages if message.channel is subscription.channel]
            if tags:
                with suppress(*UNREACHABLE), using_connection():
                    async with asyncio.timeout(REPLY_SECONDS):
                        await subscription.acknowledge(tags)

    async def _prepare(self, connection: AbstractConnection) -> None:
        await declare(connection, self._providers)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        end = closing_of(connection)
        try:
            await self._consume_each(connection, [name for name in self._queues if name not in self._paused])
            log.info("broker.connected", connection="consumer", missing=self.missing())
            closed = asyncio.ensure_future(end.wait())
            try:
                while not closed.done():
                    await asyncio.wait({closed}, timeout=WATCH_SECONDS)
                    if not closed.done():
                        await self._watch(connection)
            finally:
                closed.cancel()
        finally:
            self._subscriptions.clear()

    async def _consume_each(self, connection: AbstractConnection, providers: Collection[str]) -> None:
        """Consume from these queues. A queue that does not answer, as without a leader, is logged and left out.

        Raises TimeoutError if the connection's node then delivers from no queue: it may be cut off from the others.
        """
        consuming = [self._consume(connection, provider) for provider in providers]
        for provider, done in zip(providers, await asyncio.gather(*consuming, return_exceptions=True), strict=True):
            if isinstance(done, TimeoutError):
                log.warning("queue.silent", provider=provider)
            elif done is not None:
                raise done
        if not self._subscriptions and not self._paused.issuperset(providers):
            raise TimeoutError("no queue answers at this node")

    async def _consume(self, connection: AbstractConnection, provider: str) -> None:
        async with asyncio.timeout(REPLY_SECONDS):
            channel = await (await open_channel(connection, confirms=False)).get_underlay_channel()
            await channel.basic_qos(prefetch_count=self._prefetch)
            subscription = Subscription(channel=channel, heard_at=time.monotonic())

            async def delivered(message: DeliveredMessage) -> None:
                subscription.buffer.append(message)
                subscription.unacked[tag_of(message)] = None
                subscription.heard_at = time.monotonic()
                self._arrived(provider)

            def forgotten(_: object) -> None:
                subscription.cancelled = True

            channel.on_consumer_cancel_callbacks.add(forgotten)
            consumed = await channel.basic_consume(self._queues[provider], delivered)
            subscription.consumer_tag = consumed.consumer_tag
        if provider in self._paused:  # meanwhile
            await self._end(subscription, "its queue was paused")
            return
        self._subscriptions[provider] = subscription
        self._arrived(provider)  # for messages that came before the subscription was noted

    async def _watch(self, connection: AbstractConnection) -> None:
        """Compare each consumer with its queue, and make forgotten consumers again.

        Raises one of UNREACHABLE if the broker does not answer.
        """
        forgotten = []
        async with asyncio.timeout(REPLY_SECONDS):
            async with self._watching_channel.on(connection) as channel:
                for provider, name in self._queues.items():
                    if provider in self._paused:
                        continue
                    queue = await channel.declare_queue(name, passive=True)
                    waiting = queue.declaration_result.message_count or 0
                    consumers = queue.declaration_result.consumer_count or 0
                    if self._forgotten(provider, waiting, consumers):
                        forgotten.append(provider)
        for provider in forgotten:
            await self._forget(provider)
        await self._consume_each(connection, forgotten)

    def _forgotten(self, provider: str, waiting: int, consumers: int) -> bool:
        subscription = self._subscriptions.get(provider)
        if subscription is None or subscription.cancelled or subscription.channel.is_closed or consumers == 0:
            return True
        room = len(subscription.unacked) < self._prefetch
        return waiting > 0 and room and time.monotonic() - subscription.heard_at > IDLE_SECONDS

    async def _forget(self, provider: str) -> None:
        old = self._subscriptions.pop(provider, None)
        if old is None:
            return
        log.warning("consumer.forgotten", provider=provider)
        self._metrics.rebuilt.labels(provider).inc()
        await self._end(old, "its consumer was forgotten")

    async def _end(self, old: Subscription | None, why: str) -> None:
        if old is not None:
            with suppress(*UNREACHABLE), using_connection():
                async with asyncio.timeout(REPLY_SECONDS):
                    await old.channel.close(ChannelInvalidStateError(why))
