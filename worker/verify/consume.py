"""The role consume: takes claims (consumers.pipeline), asks gateways (worker.verify.ask). One loop for each gateway.

Each gateway has its own limit, so the outage of a gateway does not slow the others. Replies wait only for the recorder
(worker.verify.record). A claim stays in hand (worker.verify.in_hand) until it is written.

A claim that fails with others is taken alone (`_take_or_split`). Then Blame counts it if it fails by itself, and InHand
retries or dead-letters it. The Recorder does the same for replies.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial

import structlog
from msgspec.structs import replace

from consumers.checks.repeated_failure import Failures
from consumers.pipeline import AssignedQuestion, TakenClaims, take_claims
from consumers.ports.bus import Bus
from consumers.ports.call_limits import AccountLimits
from consumers.ports.ledger import Ledger, Turns
from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable, error_name
from consumers.rules import Rules
from schemas.callbacks import Claim
from worker.postgres.database import despite_others
from worker.runtime.clock import DatabaseClock
from worker.runtime.retries import PAUSE_SECONDS
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import OFF, Tracing, traced
from worker.verify.ask import Asker
from worker.verify.blame import Blame, reason_of
from worker.verify.concurrency import MAX_CONCURRENT, ConcurrencyLimit, apart
from worker.verify.gateways import Gateways
from worker.verify.in_hand import InHand
from worker.verify.intake import Intake, Part
from worker.verify.record import Recorder, away

UNKNOWN_ACCOUNT = timedelta(hours=1)
"""After this time in the queue, a claim of an account that no worker knows is dead-lettered."""

log = structlog.get_logger()

Start = Callable[[AssignedQuestion], None]
"""Starts to ask a question, and counts it in its gateway's limit."""


class Consumer:
    """Works until `stop`. Then it gives back claims that wait, and `run` returns when every reply is recorded."""

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        turns: Turns,
        rules: Rules,
        gateways: Gateways,
        failures: Failures,
        clock: DatabaseClock,
        metrics: Metrics,
        tracing: Tracing = OFF,
    ) -> None:
        self._bus, self._ledger, self._turns, self._rules = bus, ledger, turns, rules
        self._clock, self._tracing = clock, tracing
        self._in_hand, self._blame = InHand(bus, turns, metrics), Blame(ledger, rules, failures)
        self._limits_by_account = dict[str, AccountLimits]()
        self._recorder = Recorder(ledger, rules, self._in_hand, self._blame, self._limits_by_account, clock, tracing)
        self._asker = Asker(gateways, self._recorder, self._in_hand, self._blame, clock, metrics, tracing)
        self._stopping = asyncio.Event()
        self._intakes = list[Intake]()

    def stop(self) -> None:
        self._stopping.set()

    def payments_changed(self, payment_ids: Collection[str]) -> None:
        """Look at waiting claims about these payments, which changed in this or another process."""
        for intake in self._intakes:
            intake.payments_changed(payment_ids)

    async def run(self) -> None:
        providers = sorted({account.provider.name for account in self._rules.accounts.values()})
        async with asyncio.TaskGroup() as recording:
            recording.create_task(self._recorder.run())
            async with asyncio.TaskGroup() as working:
                for provider in providers:
                    working.create_task(self._consume(provider, self._shares(provider)))
            self._recorder.end()

    def _shares(self, provider: str) -> dict[str, int]:
        """How many open questions each account may have in this process, if several accounts share a gateway's limit.

        No account gets all of the limit, so an account whose calls hang leaves a part to the others.
        """
        accounts = [account.id for account in self._rules.accounts.values() if account.provider.name == provider]
        return dict.fromkeys(accounts, MAX_CONCURRENT * 3 // 4) if len(accounts) > 1 else {}

    async def _consume(self, provider: str, shares: Mapping[str, int]) -> None:
        limit = ConcurrencyLimit()

        def start(assigned: AssignedQuestion) -> None:
            account = assigned.account.id
            limit.acquire(account)
            asking.create_task(self._asker.ask(assigned)).add_done_callback(partial(limit.release, account))

        async with asyncio.TaskGroup() as asking:
            intake = Intake(self._bus, provider, self._in_hand, self._stopping, asking)
            self._intakes.append(intake)
            while (part := await intake.next(await limit.free(intake.stopped))) is not None:
                for claims in self._suspects_apart(await self._without_unknown_accounts(part.claims)):
                    room = {account: share - limit.used[account] for account, share in shares.items()}
                    intake.wait(await self._take_or_split(replace(part, claims=claims), room, start), part)

    async def _without_unknown_accounts(self, claims: Sequence[Claim]) -> list[Claim]:
        """The claims of configured accounts. Others are postponed for a worker with a newer configuration.

        After UNKNOWN_ACCOUNT they are dead-lettered.
        """
        unknown = [claim for claim in claims if claim.account not in self._rules.accounts]
        if unknown:
            log.warning("claims.unknown_account", accounts=sorted({claim.account for claim in unknown}))
            old = self._clock.now() - UNKNOWN_ACCOUNT
            late = [claim for claim in unknown if self._in_hand.queued_before(claim, old)]
            await self._in_hand.postpone([claim for claim in unknown if claim not in late])
            for claim in late:
                await self._in_hand.dead_letter(claim, f"no worker has known the account {claim.account} for an hour")
        return [claim for claim in claims if claim.account in self._rules.accounts]

    def _suspects_apart(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        """First the claims to take together. Then, payment by payment, the claims that workers may have died of."""
        groups = _by_payment(claims)
        suspects = [group for group in groups if self._in_hand.suspect(group)]
        together = [claim for group in groups if group not in suspects for claim in group]
        return [part for part in (together, *suspects) if part]

    async def _take_or_split(self, part: Part, room: Mapping[str, int], start: Start) -> list[Claim]:
        """Take claims together, and start their questions. Returns the claims that wait for another question.

        If that fails, the claims are taken one by one, or, if a row is locked, payment by payment. So only the claims
        at fault are postponed or dead-lettered. Questions start before the other claims are acknowledged, because their
        time runs already.
        """
        claims, suspect = part.claims, self._in_hand.suspect(part.claims)
        try:
            if suspect is not None and not await self._blame.mark_claim(suspect):
                for claim in claims:
                    await self._in_hand.dead_letter(claim, "several workers took it, and none of them finished")
                return []
            taken = await self._take_once(part, room)
        except Exception as error:  # noqa: BLE001 - a claim that fails by itself is logged and put aside, never lost
            parts = _by_payment(claims) if isinstance(error, DatabaseBusy) else [[one] for one in claims]
            if len(parts) > 1 and not away(error):
                waiting = await apart(parts, lambda some: self._take_or_split(replace(part, claims=some), room, start))
                return [claim for claims in waiting for claim in claims]
            if isinstance(error, DatabaseUnavailable):
                await self._not_taken(claims, error)
            else:
                await self._claim_failed(claims[0], error)
            return []
        for assigned in taken.questions:
            start(assigned)
        if suspect is not None:
            await self._blame.excuse_claim(suspect)
        asked = {claim.id for assigned in taken.questions for claim in assigned.claims}
        wait = {claim.id for claim in taken.waiting}
        await self._in_hand.written([claim for claim in claims if claim.id not in asked | wait])
        return [claim for claim in claims if claim.id in wait]

    async def _take_once(self, part: Part, room: Mapping[str, int]) -> TakenClaims:
        """Take the claims in one pass of the pipeline.

        `asked_at` of its questions is the database's time, and our clock is checked against it.
        """
        with self._tracing.follow_all("take", [claim.traceparent for claim in part.claims]) as traces:
            claims = [traced(claim, trace) for claim, trace in zip(part.claims, traces, strict=True)]
            began, taken_at = self._clock.ticking(), self._clock.now()
            taken = await despite_others(
                lambda: take_claims(
                    self._ledger,
                    self._rules,
                    claims,
                    self._turns,
                    room,
                    patient=part.patient,
                    limits_by_account=self._limits_by_account,
                )
            )
        for assigned in taken.questions[:1]:
            self._clock.check(assigned.asked_at, asked=began, answered=self._clock.ticking())
        suspect = self._in_hand.suspect(part.claims) is not None
        questions = [
            replace(assigned, taken_at=taken_at, lost=assigned.lost or suspect) for assigned in taken.questions
        ]
        return replace(taken, questions=questions)

    async def _not_taken(self, claims: Sequence[Claim], error: Exception) -> None:
        """The claims are not at fault: take back their marks, and requeue or, for a locked payment, postpone them."""
        log.warning("claims.take_failed", claims=len(claims), error=error_name(error))
        if away(error):
            await asyncio.sleep(PAUSE_SECONDS)
        for claim in claims:
            await self._blame.excuse_claim(claim)
        await (self._in_hand.requeue(claims) if away(error) else self._in_hand.postpone(claims))

    async def _claim_failed(self, claim: Claim, error: Exception) -> None:
        log.error("claim.failed", claim_id=claim.id, exc_info=error)
        try:
            await self._blame.claim_failed(claim, error)
        except DatabaseUnavailable:
            await self._in_hand.requeue([claim])
        else:
            await self._in_hand.retry_or_dead_letter(claim, reason_of(error))


def _by_payment(claims: Sequence[Claim]) -> list[list[Claim]]:
    """The claims in groups that name the same payment by the same ids. No payment is looked up."""
    named = defaultdict[tuple[str | None, ...], list[Claim]](list)
    for claim in claims:
        ids = (claim.session_id, claim.transaction_id, claim.reference) if claim.payment_id is None else ()
        named[claim.account, claim.payment_id, *ids].append(claim)
    return list(named.values())
