"""The bus over RabbitMQ, with the queue in Postgres as its spool.

The one thing to get wrong: which of the two holds a claim. One that the broker did not confirm in time may be in both,
so what is heard twice must do no harm. And one that fails by itself moves to the spool, where its attempts are counted
and spaced: a broker that gave it out again at once would only burn them. Claims for later wait there too. While
Postgres is away, nothing is asked of the broker either.
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

from consumers.ports.bus import BusAway, Delivery
from schemas.callbacks import Claim
from worker.amqp.inbox import Inbox
from worker.amqp.messages import claim_post, dead_letter, delivered_before
from worker.amqp.publisher import Publisher
from worker.postgres.database import UNAVAILABLE
from worker.postgres.queue.claim_queue import POLL_SECONDS, UNREADABLE, PostgresBus
from worker.runtime.clock import DatabaseClock, set_within
from worker.telemetry.metrics import Metrics
from worker.verify.in_hand import SUSPECT

REST_SECONDS = 60.0
"""When Postgres has been away for so long, what was delivered goes back to the broker until Postgres is there again."""

MOST_OFTEN = 5
"""A claim that the broker gave out more often goes to the spool: the broker would bury it, whatever workers died of."""

log = structlog.get_logger()


class RabbitBus:
    """See consumers.ports.bus.Bus. A delivery's tag is the broker's message, or the spool's own."""

    def __init__(
        self, publisher: Publisher, inbox: Inbox, spool: PostgresBus, clock: DatabaseClock, metrics: Metrics
    ) -> None:
        self._publisher, self._inbox, self._spool = publisher, inbox, spool
        self._clock, self._metrics = clock, metrics
        self._arrived = defaultdict[str, asyncio.Event](asyncio.Event)
        self._spooled: set[str] = set()
        self._spool_looked_at = defaultdict[str, float](float)
        self._away_since: dict[str, float] = {}
        inbox.on_arrival(self._hear)

    def wake(self, providers: Iterable[str]) -> None:
        """Claims about these gateways' payments were put into the spool."""
        for provider in providers:
            self._spooled.add(provider)
            self._hear(provider)

    async def publish(self, claims: Sequence[Claim], *, later: bool = False) -> None:
        if later:
            with suppress(BusAway):
                await self._spool.publish(claims, later=True)
                self.wake({claim.provider for claim in claims})
                return
        try:
            await self._publisher.publish([claim_post(claim) for claim in claims])
        except BusAway as away:
            await self._spool.publish(claims)
            log.info("claims.spooled", claims=len(claims), why=str(away))
            for claim in claims:
                self._metrics.spooled.labels(claim.provider).inc()
            self.wake({claim.provider for claim in claims})

    async def receive(self, provider: str, most: int) -> list[Delivery]:
        arrived = self._arrived[provider]
        while True:
            arrived.clear()
            deliveries = await self._from_spool(provider, most)
            deliveries += await self._from_broker(provider, most - len(deliveries))
            if deliveries:
                return deliveries
            await set_within(arrived, POLL_SECONDS)

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        heard, spooled = _apart(deliveries)
        if spooled:
            await self._spool.done(spooled)
        await self._inbox.acknowledge(heard)  # last, because it may not be told again

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        heard, spooled = _apart(deliveries)
        self._inbox.give_back(heard)
        if spooled:
            await self._spool.give_back(spooled)
            self.wake({one.claim.provider for one in spooled})

    async def end(self, provider: str) -> None:
        await self._inbox.end(provider)

    async def leave(self, deliveries: Sequence[Delivery]) -> None:
        """They go to the spool, where they wait for any worker; the broker would give them out again at once."""
        heard, spooled = _apart(deliveries)
        for delivery in deliveries:
            if isinstance(delivery.tag, DeliveredMessage):
                await self._spool.publish_again(delivery.claim, 0)
        if spooled:
            await self._spool.leave(spooled)
        await self._inbox.acknowledge(heard)

    async def retry(self, delivery: Delivery) -> None:
        heard, _ = _apart([delivery])
        if heard:
            await self._spool.publish_again(delivery.claim, delivery.handed_out, delivery.attempts)
            await self._inbox.acknowledge(heard)
        else:
            await self._spool.retry(delivery)

    async def park(self, delivery: Delivery, reason: str) -> None:
        claim = delivery.claim
        await self._bury(claim.id, claim.provider, msgspec.json.encode(claim), reason)
        await self.done([delivery])

    async def waiting(self) -> dict[str, int]:
        """How many claims wait, by provider, those for later apart; the broker's are left out while it is away."""
        waiting = await self._spool.waiting()
        for provider, count in (await self._publisher.waiting()).items():
            waiting[provider] = waiting.get(provider, 0) + count
        return waiting

    def _hear(self, provider: str) -> None:
        self._arrived[provider].set()

    async def _from_spool(self, provider: str, most: int) -> list[Delivery]:
        """Look there after a notice and from time to time; half the room is kept for what the broker delivered."""
        due = time.monotonic() - self._spool_looked_at[provider] >= POLL_SECONDS
        if provider not in self._spooled and not due:
            return []
        busy = self._inbox.holds(provider)
        room = max(1, most // 2) if busy else most
        self._spooled.discard(provider)  # before the look, or a notice that comes during it would be forgotten
        try:
            deliveries = await self._spool.lease(provider, room, later=not busy)
        except UNAVAILABLE:
            self._spooled.add(provider)
            if self._away_since.setdefault(provider, time.monotonic()) + REST_SECONDS <= time.monotonic():
                await self._inbox.rest(provider)
            raise
        except BaseException:
            self._spooled.add(provider)
            raise
        self._spool_looked_at[provider] = time.monotonic()
        self._away_since.pop(provider, None)
        self._inbox.resume(provider)
        if len(deliveries) == room:
            self.wake([provider])
        elif busy:
            self._spooled.add(provider)  # claims for later may wait there, which the next look takes when it is calm
        return deliveries

    async def _from_broker(self, provider: str, most: int) -> list[Delivery]:
        """What is there, but for what is put elsewhere. Where that fails the others are left there."""
        deliveries, left = list[Delivery](), deque(self._inbox.take(provider, most))
        try:
            while left:
                delivery = await self._delivery(provider, left[0])
                message = left.popleft()
                if delivery is not None:
                    deliveries.append(delivery)
                else:
                    await self._inbox.acknowledge([message])
        except BaseException:
            self._inbox.give_back([*_apart(deliveries)[0], *left])
            raise
        return deliveries

    async def _delivery(self, provider: str, message: DeliveredMessage) -> Delivery | None:
        """What the message delivers; None where it was put elsewhere, and is done with here."""
        try:
            claim = msgspec.json.decode(message.body, type=Claim)
        except UNREADABLE as error:
            await self._park_unreadable(provider, message, error)
            return None
        handed_out = 1 + delivered_before(message)
        if handed_out <= MOST_OFTEN:
            return Delivery(tag=message, claim=claim, attempts=1, handed_out=handed_out)
        log.warning("claim.moved", claim_id=claim.id, handed_out=handed_out)
        await self._spool.publish_again(claim, SUSPECT - 1)
        return None

    async def _park_unreadable(self, provider: str, message: DeliveredMessage, error: Exception) -> None:
        """Put aside what this version cannot read, or every worker would die of it."""
        log.error("claim.unreadable", claim_id=message.header.properties.message_id, exc_info=error)
        reason, claim_id = f"{type(error).__name__} in receive", message.header.properties.message_id or "unknown"
        await self._bury(claim_id, provider, message.body, reason)
        self._metrics.dead_lettered.labels(provider).inc()

    async def _bury(self, claim_id: str, provider: str, body: bytes, reason: str) -> None:
        """The spool has a place for the dead too, while the broker is away; whoever looks at them sees both."""
        try:
            await self._publisher.publish([dead_letter(claim_id, provider, body, reason, self._clock.now())])
        except BusAway:
            await self._spool.bury(claim_id, provider, body, reason)


def _apart(deliveries: Sequence[Delivery]) -> tuple[list[DeliveredMessage], list[Delivery]]:
    """The broker's messages, and the deliveries that came from the spool."""
    heard = [one.tag for one in deliveries if isinstance(one.tag, DeliveredMessage)]
    return heard, [one for one in deliveries if not isinstance(one.tag, DeliveredMessage)]
