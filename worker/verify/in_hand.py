"""The claims that this worker has in hand: the deliveries that brought each, and what becomes of them.

The one thing to get wrong: forgetting a claim before it is written. Until then the bus keeps it, and gives it to
another worker should this one die. A claim may be delivered again meanwhile; all its deliveries are settled together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime

import structlog

from consumers.pipeline import Inquiry
from consumers.ports.bus import Bus, Delivery
from consumers.ports.ledger import Turns
from schemas.callbacks import Claim
from schemas.words import Source
from worker.postgres.database import UNAVAILABLE
from worker.telemetry.metrics import Metrics

ATTEMPTS = 5
SUSPECT = 3
"""Workers may die of a claim that was handed out so often: it is counted first, and taken without others."""

log = structlog.get_logger()


class InHand:
    """Claims from their delivery until they are settled, and the turns of the questions that they led to.

    Nothing here raises UNAVAILABLE: a claim that could not be settled comes again.
    """

    def __init__(self, bus: Bus, turns: Turns, metrics: Metrics) -> None:
        self._bus, self._turns, self._metrics = bus, turns, metrics
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
        """A claim of these that workers may have died of, or None: of the claim itself, or of the answer it led to."""
        deliveries = (one for claim in claims for one in self._deliveries.get(claim.id, ()))
        return next((one.claim for one in deliveries if one.handed_out >= SUSPECT), None)

    def queued_before(self, claim: Claim, at: datetime) -> bool:
        """Whether the claim is known to have been queued by then."""
        queued = [one.queued_at for one in self._deliveries.get(claim.id, ()) if one.queued_at is not None]
        return any(one <= at for one in queued)

    async def recorded(self, inquiries: Sequence[Inquiry]) -> None:
        """The replies are written, with the claims that led to the questions."""
        self._end_turns(inquiries)
        await self.written([claim for inquiry in inquiries for claim in inquiry.claims])

    async def not_asked(self, inquiry: Inquiry) -> None:
        """The question was not asked, and its claims are not at fault: they come again at once."""
        self._end_turns([inquiry])
        await self.give_back(inquiry.claims)

    async def not_recorded(self, inquiry: Inquiry) -> None:
        """Another transaction kept the reply from being written: the claims come again after a while."""
        self._end_turns([inquiry])
        await self.leave(inquiry.claims)

    async def failed(self, inquiry: Inquiry, reason: str) -> None:
        """Neither the reply nor the question alone could be written: each claim is tried again later, a few times."""
        self._end_turns([inquiry])
        for claim in inquiry.claims:
            await self.put_aside(claim, reason)

    async def hopeless(self, inquiry: Inquiry, reason: str) -> None:
        """The question was asked too often for nothing: its claims are for a person."""
        self._end_turns([inquiry])
        for claim in inquiry.claims:
            await self.park(claim, reason)

    async def written(self, claims: Collection[Claim]) -> None:
        """The claims are written, so the bus may forget them. Where it cannot, they come again as `seen`."""
        for claim in claims:
            self._metrics.claims.labels(claim.provider).inc()
        await self._settle(claims, self._bus.done)

    async def give_back(self, claims: Iterable[Claim]) -> None:
        await self._settle(claims, self._bus.give_back)

    async def leave(self, claims: Iterable[Claim]) -> None:
        await self._settle(claims, self._bus.leave)

    async def put_aside(self, claim: Claim, reason: str) -> None:
        """The claim failed by itself: it comes again after a while, a few times, and is then for a person."""
        attempts = max((one.attempts for one in self._deliveries.get(claim.id, ())), default=1)
        if attempts >= ATTEMPTS or claim.source is Source.SWEEP:
            await self.park(claim, f"{reason}, {attempts} times")
        else:
            await self._settle([claim], self._retry)

    async def park(self, claim: Claim, reason: str) -> None:
        """The claim is for a person. One of the sweep is not: the sweep makes a new one while the payment is due."""

        async def park(deliveries: Sequence[Delivery]) -> None:
            for one in deliveries:
                await self._bus.park(one, reason)
            self._metrics.dead_lettered.labels(claim.provider).inc()

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
            log.warning("claims.ack_failed", claims=len(deliveries), error=type(error).__name__)
            await self._bus.give_back(deliveries)

    def _end_turns(self, inquiries: Iterable[Inquiry]) -> None:
        self._turns.give_back([inquiry.expected.payment_id for inquiry in inquiries])
