"""The consume role: claims in, questions out, replies recorded, one loop per gateway.

The one thing to get wrong: a slow gateway. Each has its own slots, so its outage leaves the others flowing. Replies
wait for the recorder alone (worker.recording).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog

from consumers.bus import Bus, Delivery
from consumers.failing import Failures
from consumers.ledger import Ledger
from consumers.pipeline import Inquiry, take
from consumers.rules import Rules
from schemas.words import Source
from worker.asking import Asker
from worker.clock import DatabaseClock
from worker.failing import Blame, place_of
from worker.gateways import Gateways
from worker.metrics import Metrics
from worker.postgres.database import LOCKED, UNAVAILABLE, despite_others
from worker.recording import PAUSE_SECONDS, Recorder, away
from worker.slots import SLOTS, Slots
from worker.tracing import OFF, Tracing, traced

ATTEMPTS = 5
APART = 4
"""So many transactions at once where one over all claims failed; each may wait for a lock, with a connection."""

SUSPECT = 3
"""A claim that was handed out so often may be one that workers die of: it is counted first, and then taken alone."""

UNKNOWN_ACCOUNT = timedelta(hours=1)
"""A claim of an account that this worker does not know waits so long, from when it was queued, for one that does."""

log = structlog.get_logger()

Start = Callable[[Inquiry], None]


class Consumer:
    """Works until `stop`; then takes nothing new, and `run` returns when what is in flight is recorded."""

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        rules: Rules,
        gateways: Gateways,
        failures: Failures,
        clock: DatabaseClock,
        metrics: Metrics,
        tracing: Tracing = OFF,
    ) -> None:
        self._bus, self._ledger, self._rules = bus, ledger, rules
        self._clock, self._metrics, self._tracing = clock, metrics, tracing
        self._blame = Blame(ledger, rules, failures)
        self._recorder = Recorder(ledger, rules, self._blame, tracing)
        self._asker = Asker(gateways, self._recorder, self._blame, clock, metrics, tracing)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        providers = sorted({account.provider.name for account in self._rules.accounts.values()})
        async with asyncio.TaskGroup() as recording:
            recording.create_task(self._recorder.run())
            async with asyncio.TaskGroup() as working:
                for provider in providers:
                    working.create_task(self._consume(provider, self._shares(provider)))
            self._recorder.end()

    def _shares(self, provider: str) -> dict[str, int]:
        """How many questions each account may have in flight here, where several share a gateway's slots.

        No account gets all of them, so that one whose calls hang leaves some to the others.
        """
        accounts = [account.id for account in self._rules.accounts.values() if account.provider.name == provider]
        return dict.fromkeys(accounts, SLOTS * 3 // 4) if len(accounts) > 1 else {}

    async def _consume(self, provider: str, shares: Mapping[str, int]) -> None:
        slots = Slots()

        def start(inquiry: Inquiry) -> None:
            account = inquiry.account.id
            slots.take(account)
            asking.create_task(self._asker.ask(inquiry)).add_done_callback(partial(slots.give_back, account))

        async with asyncio.TaskGroup() as asking:
            while (deliveries := await self._receive(provider, await slots.free())) is not None:
                for part in _apart(await self._known(provider, deliveries)):
                    room = {account: share - slots.used[account] for account, share in shares.items()}
                    await self._take(provider, part, room, start)

    async def _receive(self, provider: str, most: int) -> Sequence[Delivery] | None:
        """The next claims, as many as may be asked about at once; None when stopping."""
        if self._stopping.is_set():
            return None
        receiving = asyncio.ensure_future(self._bus.receive(provider, most))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                return None
            return await receiving
        except UNAVAILABLE as error:
            log.warning("claims.unavailable", provider=provider, error=type(error).__name__)
            await asyncio.wait({stopping}, timeout=PAUSE_SECONDS)
            return None if stopping.done() else ()
        finally:
            receiving.cancel()
            stopping.cancel()

    async def _known(self, provider: str, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Those of accounts that are configured here. The others wait for a worker with a newer configuration."""
        unknown = [one for one in deliveries if one.claim.account not in self._rules.accounts]
        if unknown:
            accounts = sorted({one.claim.account for one in unknown})
            log.warning("claims.unknown_account", provider=provider, accounts=accounts)
            old = self._clock.now() - UNKNOWN_ACCOUNT
            late = [one for one in unknown if one.queued_at is not None and one.queued_at <= old]
            try:
                await self._bus.leave([one for one in unknown if one not in late])
                for one in late:
                    await self._park(provider, one, f"no worker knows the account {one.claim.account}, for an hour")
            except UNAVAILABLE:
                self._bus.give_back(unknown)
        return [one for one in deliveries if one.claim.account in self._rules.accounts]

    async def _take(self, provider: str, deliveries: Sequence[Delivery], room: Mapping[str, int], start: Start) -> None:
        """Take claims in one transaction; when that fails, apart, so that only what is at fault is left or put aside.

        Questions start before the claims are acknowledged: their time runs already, and acknowledging may take long.
        """
        suspect = deliveries[0] if deliveries[0].handed_out >= SUSPECT else None
        try:
            if suspect is not None and not await self._blame.mark_claim(suspect.claim):
                await self._settle_hopeless(provider, suspect)
                return
            inquiries = await self._taken(deliveries, room)
        except Exception as error:  # noqa: BLE001 - a claim that fails by itself is logged and put aside, never lost
            parts = _by_payment(deliveries) if isinstance(error, LOCKED) else [[one] for one in deliveries]
            if len(parts) > 1 and not away(error):
                await self._take_apart(provider, parts, room, start)
            elif isinstance(error, UNAVAILABLE):
                await self._not_taken(provider, deliveries, error)
            else:
                await self._put_aside(provider, deliveries[0], error)
            return
        for inquiry in inquiries:
            start(inquiry)
        if suspect is not None:
            await self._blame.excuse_claim(suspect.claim)
        try:
            await self._bus.done(deliveries)
        except UNAVAILABLE as error:  # they come again and ask nothing; what they asked now is still to be asked
            log.warning("claims.not_forgotten", provider=provider, error=type(error).__name__)
        self._metrics.claims.labels(provider).inc(len(deliveries))

    async def _taken(self, deliveries: Sequence[Delivery], room: Mapping[str, int]) -> list[Inquiry]:
        """Take the claims in a transaction, and check our clock by the database's time that it tells."""
        claims = [delivery.claim for delivery in deliveries]
        with self._tracing.follow_all("take", [claim.traceparent for claim in claims]) as traces:
            claims = [traced(claim, trace) for claim, trace in zip(claims, traces, strict=True)]
            began = self._clock.ticking()
            inquiries = await despite_others(lambda: take(self._ledger, self._rules, claims, room))
        for inquiry in inquiries[:1]:
            self._clock.check(inquiry.asked_at, asked=began, answered=self._clock.ticking())
        return inquiries

    async def _take_apart(
        self, provider: str, parts: Sequence[Sequence[Delivery]], room: Mapping[str, int], start: Start
    ) -> None:
        """Take each by itself, some at a time: one that waits for a lock keeps nobody else waiting."""
        turns = asyncio.Semaphore(APART)

        async def one(part: Sequence[Delivery]) -> None:
            async with turns:
                await self._take(provider, part, room, start)

        async with asyncio.TaskGroup() as taking:
            for part in parts:
                taking.create_task(one(part))

    async def _not_taken(self, provider: str, deliveries: Sequence[Delivery], error: Exception) -> None:
        """No fault of theirs. While one payment is locked the others go on, so its claims are left for later."""
        log.warning("claims.not_taken", provider=provider, claims=len(deliveries), error=type(error).__name__)
        if away(error):
            await asyncio.sleep(PAUSE_SECONDS)
        for one in deliveries:
            await self._blame.excuse_claim(one.claim)
        with suppress(*UNAVAILABLE):
            if not away(error):
                await self._bus.leave(deliveries)
                return
        self._bus.give_back(deliveries)

    async def _put_aside(self, provider: str, delivery: Delivery, error: Exception) -> None:
        log.error("claim.failed", claim_id=delivery.claim.id, attempts=delivery.attempts, exc_info=error)
        try:
            await self._blame.claim_failed(delivery.claim, error)
            if delivery.claim.source is Source.SWEEP:  # the sweep says it again, until nothing more is asked
                await self._bus.done([delivery])
            elif delivery.attempts < ATTEMPTS:
                await self._bus.retry(delivery)
            else:
                reason = f"{type(error).__name__} at {place_of(error)}, {delivery.attempts} times"
                await self._park(provider, delivery, reason)
        except UNAVAILABLE:
            self._bus.give_back([delivery])

    async def _settle_hopeless(self, provider: str, delivery: Delivery) -> None:
        """Put aside a claim that workers die of: it is taken no more."""
        if delivery.claim.source is Source.SWEEP:
            await self._bus.done([delivery])
        else:
            await self._park(provider, delivery, f"no worker ever finished it, {delivery.handed_out} times")

    async def _park(self, provider: str, delivery: Delivery, reason: str) -> None:
        await self._bus.park(delivery, reason)
        self._metrics.parked.labels(provider).inc()


def _by_payment(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Those that name the same payment together, as far as their own words tell."""
    named = defaultdict[tuple[str | None, ...], list[Delivery]](list)
    for one in deliveries:
        claim = one.claim
        ids = (claim.session_id, claim.transaction_id, claim.reference) if claim.payment_id is None else ()
        named[claim.account, claim.payment_id, *ids].append(one)
    return list(named.values())


def _apart(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """The claims to take together, and then each by itself that workers may have died of."""
    together = [one for one in deliveries if one.handed_out < SUSPECT]
    return [part for part in (together, *([one] for one in deliveries if one.handed_out >= SUSPECT)) if part]
