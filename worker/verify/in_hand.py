"""The claims that this worker has in hand, each with the messages that brought it, until they are acknowledged.

A claim is acknowledged only after it is written. Until then the bus keeps it, and gives it to another worker if this
worker dies. A claim may come again meanwhile; all its messages are acknowledged together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime

import structlog

from consumers.pipeline import AssignedQuestion
from consumers.ports.bus import Bus, ClaimMessage
from consumers.ports.ledger import Turns
from consumers.ports.unavailable import DatabaseUnavailable, error_name
from schemas.callbacks import Claim
from schemas.words import Source
from worker.runtime.retries import ATTEMPTS, SUSPECT
from worker.telemetry.metrics import Metrics

log = structlog.get_logger()


class InHand:
    """Claims until they are acknowledged or given back, and the turns of the questions that they led to.

    Nothing here raises DatabaseUnavailable: a claim that could not be acknowledged comes again.
    """

    def __init__(self, bus: Bus, turns: Turns, metrics: Metrics) -> None:
        self._bus, self._turns, self._metrics = bus, turns, metrics
        self._messages = dict[str, list[ClaimMessage]]()

    def take(self, messages: Iterable[ClaimMessage]) -> list[Claim]:
        """Take messages in hand. Returns the claims that were not in hand before."""
        claims = []
        for message in messages:
            known = self._messages.setdefault(message.claim.id, [])
            if not known:
                claims.append(message.claim)
                self._metrics.in_hand.labels(message.claim.provider).inc()
            known.append(message)
        return claims

    def suspect(self, claims: Iterable[Claim]) -> Claim | None:
        """The first of these claims that workers may have died of, or of the answer that it led to; or None."""
        messages = (message for claim in claims for message in self._messages.get(claim.id, ()))
        return next((message.claim for message in messages if message.handed_out >= SUSPECT), None)

    def queued_before(self, claim: Claim, at: datetime) -> bool:
        """Whether the claim is known to have been queued at `at` or before. False if the bus tells no time."""
        queued = [message.queued_at for message in self._messages.get(claim.id, ()) if message.queued_at is not None]
        return any(queued_at <= at for queued_at in queued)

    async def recorded(self, questions: Sequence[AssignedQuestion]) -> None:
        """The replies are written. Gives the turns back, and acknowledges the claims that led to the questions."""
        self._end_turns(questions)
        await self.written([claim for assigned in questions for claim in assigned.claims])

    async def not_asked(self, assigned: AssignedQuestion) -> None:
        """The question was not asked, and its claims are not at fault: requeue them."""
        self._end_turns([assigned])
        await self.requeue(assigned.claims)

    async def not_recorded(self, assigned: AssignedQuestion) -> None:
        """The reply could not be written, because of a lock or because the database is away: postpone the claims."""
        self._end_turns([assigned])
        await self.postpone(assigned.claims)

    async def failed(self, assigned: AssignedQuestion, reason: str) -> None:
        """Neither the reply nor the question alone could be written: retry or dead-letter each claim."""
        self._end_turns([assigned])
        for claim in assigned.claims:
            await self.retry_or_dead_letter(claim, reason)

    async def hopeless(self, assigned: AssignedQuestion, reason: str) -> None:
        """The question was asked too often without success: dead-letter its claims."""
        self._end_turns([assigned])
        for claim in assigned.claims:
            await self.dead_letter(claim, reason)

    async def written(self, claims: Collection[Claim]) -> None:
        """Acknowledge claims that are written. If that fails, the bus delivers them again, and they are `seen` then."""
        for claim in claims:
            self._metrics.claims.labels(claim.provider).inc()
        await self._release(claims, self._bus.ack)

    async def requeue(self, claims: Iterable[Claim]) -> None:
        """Give claims back to the bus; they come again at once."""
        await self._release(claims, self._bus.requeue)

    async def postpone(self, claims: Iterable[Claim]) -> None:
        """Give claims back to the bus; they come again after a while. That does not count as a failure."""
        await self._release(claims, self._bus.postpone)

    async def retry_or_dead_letter(self, claim: Claim, reason: str) -> None:
        """The claim failed by itself: retry it after a while, or dead-letter it after ATTEMPTS attempts."""
        attempts = max((message.attempts for message in self._messages.get(claim.id, ())), default=1)
        if attempts >= ATTEMPTS or claim.source is Source.SWEEP:
            await self.dead_letter(claim, f"{reason}, {attempts} times")
        else:
            await self._release([claim], self._retry)

    async def dead_letter(self, claim: Claim, reason: str) -> None:
        """Dead-letter a claim. A claim of the sweep is only acknowledged: the sweep makes a new one when it is due."""

        async def dead_letter(messages: Sequence[ClaimMessage]) -> None:
            for message in messages:
                await self._bus.dead_letter(message, reason)
            self._metrics.dead_lettered.labels(claim.provider).inc()

        await self._release([claim], self._bus.ack if claim.source is Source.SWEEP else dead_letter)

    async def _retry(self, messages: Sequence[ClaimMessage]) -> None:
        for message in messages:
            await self._bus.retry(message)

    async def _release(self, claims: Iterable[Claim], release: Callable[[list[ClaimMessage]], Awaitable[None]]) -> None:
        messages = list[ClaimMessage]()
        for claim in claims:
            known = self._messages.pop(claim.id, [])
            messages += known
            if known:
                self._metrics.in_hand.labels(claim.provider).dec()
        if not messages:
            return
        try:
            await release(messages)
        except DatabaseUnavailable as error:
            log.warning("claims.ack_failed", claims=len(messages), error=error_name(error))
            await self._bus.requeue(messages)

    def _end_turns(self, questions: Iterable[AssignedQuestion]) -> None:
        self._turns.give_back([assigned.expected.payment_id for assigned in questions])
