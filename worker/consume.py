"""The consume role: claims in, questions out, replies recorded, one loop per gateway.

The one thing to get wrong: a slow gateway. Each has its own slots, so its outage leaves the others flowing, and replies
wait for no one but the recorder, which takes whatever has come together into one transaction.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

import structlog
from msgspec import structs

from consumers.answering import Reply
from consumers.bus import Bus, Delivery
from consumers.ledger import Ledger
from consumers.pipeline import Inquiry, record, take
from consumers.rules import Rules
from schemas.answers import Executed, Inconclusive, Outcome, Stranger
from worker.clock import DatabaseClock
from worker.gateways import Calls, Gateways
from worker.metrics import Metrics
from worker.postgres.database import LOCKED, UNAVAILABLE
from worker.slots import SLOTS, Slots
from worker.tracing import OFF, Span, Tracing, traced

BATCH = 100  # replies recorded in one transaction
PAUSE_SECONDS = 1.0
ATTEMPTS = 5

log = structlog.get_logger()


class Consumer:
    """Works until `stop`; then takes nothing new, and `run` returns when what is in flight is recorded."""

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        rules: Rules,
        gateways: Gateways,
        clock: DatabaseClock,
        metrics: Metrics,
        tracing: Tracing = OFF,
    ) -> None:
        self._bus, self._ledger, self._rules = bus, ledger, rules
        self._gateways, self._clock, self._metrics, self._tracing = gateways, clock, metrics, tracing
        self._replies: asyncio.Queue[Reply | None] = asyncio.Queue()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        providers = sorted({account.provider.name for account in self._rules.accounts.values()})
        async with asyncio.TaskGroup() as recording:
            recording.create_task(self._record())
            async with asyncio.TaskGroup() as working:
                for provider in providers:
                    working.create_task(self._consume(provider, self._shares(provider)))
            self._replies.put_nowait(None)

    def _shares(self, provider: str) -> dict[str, int]:
        """How many questions each account may have in flight here, where several share a gateway's slots.

        None gets them all, so that one whose calls hang leaves some to the others.
        """
        accounts = [account.id for account in self._rules.accounts.values() if account.provider.name == provider]
        return dict.fromkeys(accounts, SLOTS * 3 // 4) if len(accounts) > 1 else {}

    async def _consume(self, provider: str, shares: Mapping[str, int]) -> None:
        slots = Slots()
        async with asyncio.TaskGroup() as asking:
            while (deliveries := await self._receive(provider, await slots.free())) is not None:
                room = {account: share - slots.used[account] for account, share in shares.items()}
                for inquiry in await self._take(provider, deliveries, room):
                    account = inquiry.account.id
                    slots.take(account)
                    asking.create_task(self._ask(inquiry)).add_done_callback(partial(slots.give_back, account))

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

    async def _take(self, provider: str, deliveries: Sequence[Delivery], room: Mapping[str, int]) -> list[Inquiry]:
        """Take claims in one transaction; when that fails, one by one, so that only the one at fault is put aside."""
        if not deliveries:
            return []
        try:
            claims = [delivery.claim for delivery in deliveries]
            with self._tracing.follow_all("take", [claim.traceparent for claim in claims]) as traces:
                claims = [traced(claim, trace) for claim, trace in zip(claims, traces, strict=True)]
                inquiries = await take(self._ledger, self._rules, claims, room)
        except Exception as error:  # noqa: BLE001 - a claim that fails by itself is logged and put aside, never lost
            if len(deliveries) > 1 and not _away(error):
                return [inquiry for one in deliveries for inquiry in await self._take(provider, [one], room)]
            if isinstance(error, UNAVAILABLE):
                log.warning("claims.not_taken", provider=provider, error=type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
                self._bus.give_back(deliveries)
            else:
                await self._put_aside(provider, deliveries[0], error)
            return []
        try:
            await self._bus.done(deliveries)
        except UNAVAILABLE as error:  # they come again and ask nothing; what they asked now is still to be asked
            log.warning("claims.not_forgotten", provider=provider, error=type(error).__name__)
        self._metrics.claims.labels(provider).inc(len(deliveries))
        return inquiries

    async def _put_aside(self, provider: str, delivery: Delivery, error: Exception) -> None:
        log.error("claim.failed", claim_id=delivery.claim.id, attempts=delivery.attempts, exc_info=error)
        try:
            if delivery.attempts < ATTEMPTS:
                await self._bus.retry(delivery)
                return
            await self._bus.park(delivery, f"{type(error).__name__} at {place_of(error)}, {delivery.attempts} times")
        except UNAVAILABLE:
            self._bus.give_back([delivery])
            return
        self._metrics.parked.labels(provider).inc()

    async def _ask(self, inquiry: Inquiry) -> None:
        account = inquiry.account
        about = {"payment_id": inquiry.expected.payment_id, "account": account.id, "kind": inquiry.question.kind.value}
        about["host"] = urlsplit(account.provider.base_url).hostname or ""
        with self._tracing.follow("ask", inquiry.traceparent, **about) as span:
            await self._ask_within(span, inquiry)

    async def _ask_within(self, span: Span, inquiry: Inquiry) -> None:
        started, calls = time.perf_counter(), Calls()
        try:
            outcome = await self._gateways.ask(inquiry.account, inquiry.question, inquiry.expected, calls)
        except UNAVAILABLE as error:  # its token is kept in the database; the lease ends and it is asked again
            log.warning("question.not_asked", payment_id=inquiry.expected.payment_id, error=type(error).__name__)
            return
        except Exception:  # our bug in one gateway's file; the lease ends and it is asked again
            log.exception("question.failed", payment_id=inquiry.expected.payment_id)
            return
        labels = (inquiry.account.provider.name, inquiry.question.kind.value)
        self._metrics.question_seconds.labels(*labels).observe(time.perf_counter() - started)
        self._metrics.questions.labels(*labels, _word(outcome)).inc()
        reply = Reply(
            payment_id=inquiry.expected.payment_id,
            question=inquiry.question,
            asked_at=inquiry.asked_at,
            answered_at=max(self._clock.now(), inquiry.asked_at),
            outcome=outcome,
            calls=calls.made,
            traceparent=span.traceparent,
        )
        span.note(outcome=_word(outcome), calls=calls.made)
        self._replies.put_nowait(reply)

    async def _record(self) -> None:
        while (reply := await self._replies.get()) is not None:
            batch = [reply]
            while len(batch) < BATCH and not self._replies.empty():
                more = self._replies.get_nowait()
                if more is None:
                    self._replies.put_nowait(None)
                    break
                batch.append(more)
            with self._tracing.follow_all("record", [reply.traceparent for reply in batch]) as traces:
                if self._tracing.on:
                    pairs = zip(batch, traces, strict=True)
                    batch = [structs.replace(reply, traceparent=trace) for reply, trace in pairs]
                await self._record_batch(batch)

    async def _record_batch(self, batch: list[Reply]) -> None:
        while True:
            try:
                changes = await record(self._ledger, self._rules, batch)
            except Exception as error:
                if _away(error):
                    log.warning("replies.not_recorded", replies=len(batch), error=type(error).__name__)
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                if len(batch) > 1:
                    for one in batch:
                        await self._record_batch([one])
                elif isinstance(error, LOCKED):  # the lease ends and the gateway is asked again
                    log.warning("reply.dropped", payment_id=batch[0].payment_id, error=type(error).__name__)
                else:  # our bug; the same
                    log.exception("reply.failed", payment_id=batch[0].payment_id)
                return
            for change in changes:
                if change.event is not None:
                    about = {"event_id": change.event.id, "type": change.event.type.value}
                    with self._tracing.follow("event", change.event.traceparent, **about):
                        pass
                    log.info(
                        "payment.changed",
                        payment_id=change.payment.id,
                        status=change.payment.status,
                        hold=change.payment.hold,
                        version=change.payment.version,
                        event_type=change.event.type,
                    )
            return


def _away(error: Exception) -> bool:
    """Whether all fare alike. A payment that somebody keeps locked fails by itself; its batch goes on without it."""
    return isinstance(error, UNAVAILABLE) and not isinstance(error, LOCKED)


def place_of(error: Exception) -> str:
    """The innermost place that the error passed, as `consumers/receiving.py:41`."""
    passed = traceback.extract_tb(error.__traceback__)
    return "/".join(passed[-1].filename.split("/")[-2:]) + f":{passed[-1].lineno}" if passed else "nowhere"


def _word(outcome: Outcome) -> str:
    match outcome:
        case Inconclusive():
            return outcome.trouble.value
        case Stranger():
            return "stranger"
        case Executed():
            return _word(outcome.then)
        case _:
            return outcome.status.value if outcome.status is not None else "unmapped"
