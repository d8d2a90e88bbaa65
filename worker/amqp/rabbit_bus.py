"""The bus over RabbitMQ, with the queue in Postgres as its spool.

A claim that the broker did not confirm in time may be at the broker and in the spool, so taking a claim twice must do
no harm. A claim that fails by itself moves to the spool, where its attempts are counted and spaced; the broker would
deliver it again at once. Claims of low priority wait in the spool too. While Postgres is away, no claims are taken from
the broker either.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
import structlog
from aiormq.abc import DeliveredMessage

from consumers.ports.bus import ClaimMessage
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable
from schemas.callbacks import Claim, read_claim
from schemas.own_json import NotOurs
from worker.amqp.consumer_pool import ConsumerPool
from worker.amqp.messages import claim_message, dead_letter_message, delivered_before
from worker.amqp.publisher import Publisher
from worker.postgres.queue.claim_queue import POLL_SECONDS, PostgresBus
from worker.runtime.clock import DatabaseClock, set_within
from worker.runtime.retries import SUSPECT
from worker.telemetry.metrics import Metrics

REST_SECONDS = 60.0
"""If Postgres is away for so long, delivered claims go back to the broker until Postgres is there again."""

MOST_OFTEN = 5
"""A claim that the broker delivered more often moves to the spool, or the broker would dead-letter it."""

log = structlog.get_logger()


class RabbitBus:
    """See consumers.ports.bus.Bus. A message's tag is the broker's message, or the id of the spool's row."""

    def __init__(
        self, publisher: Publisher, pool: ConsumerPool, spool: PostgresBus, clock: DatabaseClock, metrics: Metrics
    ) -> None:
        self._publisher, self._pool, self._spool = publisher, pool, spool
        self._clock, self._metrics = clock, metrics
        self._arrived = defaultdict[str, asyncio.Event](asyncio.Event)
        self._spooled: set[str] = set()
        self._spool_looked_at = defaultdict[str, float](float)
        self._away_since: dict[str, float] = {}
        pool.on_arrival(self._wake)

    def wake(self, providers: Iterable[str]) -> None:
        """Let `receive` look into the spool at once: claims of these gateways were put there."""
        for provider in providers:
            self._spooled.add(provider)
            self._wake(provider)

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        if low_priority:
            with suppress(BusUnavailable):
                await self._spool.publish(claims, low_priority=True)
                self.wake({claim.provider for claim in claims})
                return
        try:
            await self._publisher.publish([claim_message(claim) for claim in claims])
        except BusUnavailable as away:
            await self._spool.publish(claims)
            log.info("claims.spooled", claims=len(claims), why=str(away))
            for claim in claims:
                self._metrics.spooled.labels(claim.provider).inc()
            self.wake({claim.provider for claim in claims})

    async def receive(self, provider: str, most: int) -> list[ClaimMessage]:
        arrived = self._arrived[provider]
        while True:
            arrived.clear()
            messages = await self._from_spool(provider, most)
            try:
                messages += await self._from_broker(provider, most - len(messages))
            except DatabaseUnavailable:  # the broker's claims are in the pool again; those of the spool are leased
                if not messages:
                    raise
            if messages:
                return messages
            await set_within(arrived, POLL_SECONDS)

    async def ack(self, messages: Sequence[ClaimMessage]) -> None:
        delivered, spooled = _by_origin(messages)
        if spooled:
            await self._spool.ack(spooled)
        await self._pool.acknowledge(delivered)  # last, because the broker may not be told twice

    async def requeue(self, messages: Sequence[ClaimMessage]) -> None:
        delivered, spooled = _by_origin(messages)
        self._pool.put_back(delivered)
        if spooled:
            await self._spool.requeue(spooled)
            self.wake({message.claim.provider for message in spooled})

    async def stop_receiving(self, provider: str) -> None:
        await self._pool.stop_consuming(provider)

    async def postpone(self, messages: Sequence[ClaimMessage]) -> None:
        """Move claims to the spool, where they wait for any worker. The broker would deliver them again at once."""
        delivered, spooled = _by_origin(messages)
        for message in messages:
            if isinstance(message.tag, DeliveredMessage):
                await self._spool.publish_again(message.claim, 0)
        if spooled:
            await self._spool.postpone(spooled)
        await self._pool.acknowledge(delivered)

    async def retry(self, message: ClaimMessage) -> None:
        delivered, _ = _by_origin([message])
        if delivered:
            await self._spool.publish_again(message.claim, message.handed_out, message.attempts)
            await self._pool.acknowledge(delivered)
        else:
            await self._spool.retry(message)

    async def dead_letter(self, message: ClaimMessage, reason: str) -> None:
        claim = message.claim
        await self._dead_letter_raw(claim.id, claim.provider, msgspec.json.encode(claim), reason)
        await self.ack([message])

    async def depths(self) -> dict[str, int]:
        """How many claims wait, by provider, without claims of low priority; only the spool's while the broker is away.

        In the spool, claims in hand count too; at the broker they do not.
        """
        waiting = await self._spool.depths()
        for provider, count in (await self._publisher.depths()).items():
            waiting[provider] = waiting.get(provider, 0) + count
        return waiting

    def _wake(self, provider: str) -> None:
        self._arrived[provider].set()

    async def _from_spool(self, provider: str, most: int) -> list[ClaimMessage]:
        """Claims of the spool. Looks there after a wakeup and every POLL_SECONDS.

        While the broker has delivered claims, takes `most` / 2 at most, and none of low priority.
        """
        due = time.monotonic() - self._spool_looked_at[provider] >= POLL_SECONDS
        if provider not in self._spooled and not due:
            return []
        busy = self._pool.has_buffered(provider)
        room = max(1, most // 2) if busy else most
        self._spooled.discard(provider)  # before the look, or a wakeup during it would be forgotten
        try:
            messages = await self._spool.lease(provider, room, low_priority=not busy)
        except DatabaseUnavailable:
            self._spooled.add(provider)
            if self._away_since.setdefault(provider, time.monotonic()) + REST_SECONDS <= time.monotonic():
                await self._pool.pause(provider)
            raise
        except BaseException:
            self._spooled.add(provider)
            raise
        self._spool_looked_at[provider] = time.monotonic()
        self._away_since.pop(provider, None)
        self._pool.resume(provider)
        if len(messages) == room:
            self.wake([provider])
        elif busy:
            self._spooled.add(provider)  # for claims of low priority, which a look takes when nothing else waits
        return messages

    async def _from_broker(self, provider: str, most: int) -> list[ClaimMessage]:
        """The claims that the broker has delivered, without those that are moved or dead-lettered here.

        If moving fails, all of them stay in the pool, and the error is raised.
        """
        messages, left = list[ClaimMessage](), deque(self._pool.take(provider, most))
        try:
            while left:
                message = await self._claim_message(provider, left[0])
                delivered = left.popleft()
                if message is not None:
                    messages.append(message)
                else:
                    await self._pool.acknowledge([delivered])
        except BaseException:
            self._pool.put_back([*_by_origin(messages)[0], *left])
            raise
        return messages

    async def _claim_message(self, provider: str, delivered: DeliveredMessage) -> ClaimMessage | None:
        """The claim that was delivered; None if it was moved to the spool or dead-lettered, and can be acknowledged."""
        try:
            claim = read_claim(delivered.body)
        except NotOurs as error:
            await self._dead_letter_unreadable(provider, delivered, error)
            return None
        handed_out = 1 + delivered_before(delivered)
        if handed_out <= MOST_OFTEN:
            return ClaimMessage(tag=delivered, claim=claim, attempts=1, handed_out=handed_out)
        log.warning("claim.moved", claim_id=claim.id, handed_out=handed_out)
        await self._spool.publish_again(claim, SUSPECT - 1)
        return None

    async def _dead_letter_unreadable(self, provider: str, delivered: DeliveredMessage, error: NotOurs) -> None:
        """Dead-letter a message that this version cannot read."""
        log.error("claim.unreadable", claim_id=delivered.header.properties.message_id, exc_info=error)
        reason, claim_id = f"{error.kind} in receive", delivered.header.properties.message_id or "unknown"
        await self._dead_letter_raw(claim_id, provider, delivered.body, reason)
        self._metrics.dead_lettered.labels(provider).inc()

    async def _dead_letter_raw(self, claim_id: str, provider: str, body: bytes, reason: str) -> None:
        """Dead-letter at the broker, or in Postgres while the broker is away; `payproof dead` shows both."""
        try:
            await self._publisher.publish([dead_letter_message(claim_id, provider, body, reason, self._clock.now())])
        except BusUnavailable:
            await self._spool.dead_letter_raw(claim_id, provider, body, reason)


def _by_origin(messages: Sequence[ClaimMessage]) -> tuple[list[DeliveredMessage], list[ClaimMessage]]:
    """The broker's messages, and the messages that came from the spool."""
    delivered = [message.tag for message in messages if isinstance(message.tag, DeliveredMessage)]
    return delivered, [message for message in messages if not isinstance(message.tag, DeliveredMessage)]
