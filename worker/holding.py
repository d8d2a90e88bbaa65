"""The claims that this worker has in hand: the deliveries that brought each, and what becomes of them.

The one thing to get wrong: forgetting a claim before it is written. Until then it is the bus's to give to another
worker, should this one die. One that is delivered again meanwhile is settled together with the first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime

import structlog

from consumers.bus import Bus, Delivery
from consumers.ledger import Turns
from consumers.pipeline import Inquiry
from schemas.callbacks import Claim
from schemas.words import Source
from worker.metrics import Metrics
from worker.postgres.database import UNAVAILABLE

ATTEMPTS = 5
SUSPECT = 3
"""One handed out so often may be one that workers die of: it is counted first, and taken without others."""

log = structlog.get_logger()


class InHand:
    """Claims from their delivery until they are settled, and the turns of the questions that they led to.

    Nothing here raises what an absent database or broker does: whatever could not be settled comes again.
    """

    def __init__(self, bus: Bus, turns: Turns, metrics: Metrics) -> None:
        self._bus, self.turns, self._metrics = bus, turns, metrics
        self._deliveries = dict[str, list[Delivery]]()

    def hold(self, deliveries: Iterable[Delivery]) -> list[Claim]:
        """Take them in hand. Returns the claims that were not in hand before."""
        claims = []
        for one in deliveries:
            held = self._deliveries.setdefault(one.claim.id, [])
            if not held:
                claims.append(one.claim)
                self._metrics.in_hand.labels(one.claim.provider).inc()
            held.append(one)
        return claims

    def suspect(self, claims: Iterable[Claim]) -> Claim | None:
        """One of these that workers may have died of, or of whose answer they may have."""
        deliveries = (one for claim in claims for one in self._deliveries.get(claim.id, ()))
        return next((one.claim for one in deliveries if one.handed_out >= SUSPECT), None)

    def queued_before(self, claim: Claim, at: datetime) -> bool:
        """Whether it is known to have been queued by then."""
        queued = [one.queued_at for one in self._deliveries.get(claim.id, ()) if one.queued_at is not None]
        return any(one <= at for one in queued)

    async def recorded(self, inquiries: Sequence[Inquiry]) -> None:
        """Their replies are written, and the claims that led to them."""
        self._end_turns(inquiries)
        await self.written([claim for inquiry in inquiries for claim in inquiry.claims])

    async def not_asked(self, inquiry: Inquiry) -> None:
        """Nothing came of the question, for no fault of its claims: they come again at once."""
        self._end_turns([inquiry])
        await self.give_back(inquiry.claims)

    async def not_recorded(self, inquiry: Inquiry) -> None:
        """Others kept its reply from being written: its claims come again after a while."""
        self._end_turns([inquiry])
        await self.leave(inquiry.claims)

    async def failed(self, inquiry: Inquiry, reason: str) -> None:
        """Neither its reply nor the question alone could be written."""
        self._end_turns([inquiry])
        for claim in inquiry.claims:
            await self.put_aside(claim, reason)

    async def hopeless(self, inquiry: Inquiry, reason: str) -> None:
        """It is not asked in a loop any more."""
        self._end_turns([inquiry])
        for claim in inquiry.claims:
            await self.park(claim, reason)

    async def written(self, claims: Collection[Claim]) -> None:
        """They are written, so the bus may forget them. Where it cannot, they come again and are seen."""
        for claim in claims:
            self._metrics.claims.labels(claim.provider).inc()
        await self._settle(claims, self._bus.done)

    async def give_back(self, claims: Iterable[Claim]) -> None:
        await self._settle(claims, self._bus.give_back)

    async def leave(self, claims: Iterable[Claim]) -> None:
        await self._settle(claims, self._bus.leave)

    async def put_aside(self, claim: Claim, reason: str) -> None:
        """It failed by itself: it comes again after a while, a few times, and is then for a person."""
        attempts = max((one.attempts for one in self._deliveries.get(claim.id, ())), default=1)
        if attempts >= ATTEMPTS or claim.source is Source.SWEEP:
            await self.park(claim, f"{reason}, {attempts} times")
        else:
            await self._settle([claim], self._retry)

    async def park(self, claim: Claim, reason: str) -> None:
        """It is for a person. The sweep's own is none: it says it again, until nothing more is asked."""

        async def park(deliveries: Sequence[Delivery]) -> None:
            for one in deliveries:
                await self._bus.park(one, reason)
            self._metrics.parked.labels(claim.provider).inc()

        await self._settle([claim], self._bus.done if claim.source is Source.SWEEP else park)

    async def _retry(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            await self._bus.retry(one)

    async def _settle(self, claims: Iterable[Claim], settle: Callable[[list[Delivery]], Awaitable[None]]) -> None:
        deliveries = list[Delivery]()
        for claim in claims:
            held = self._deliveries.pop(claim.id, [])
            deliveries += held
            if held:
                self._metrics.in_hand.labels(claim.provider).dec()
        if not deliveries:
            return
        try:
            await settle(deliveries)
        except UNAVAILABLE as error:
            log.warning("claims.not_settled", claims=len(deliveries), error=type(error).__name__)
            await self._bus.give_back(deliveries)

    def _end_turns(self, inquiries: Iterable[Inquiry]) -> None:
        self.turns.give_back([inquiry.expected.payment_id for inquiry in inquiries])
