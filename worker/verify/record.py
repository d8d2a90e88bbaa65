"""Recording replies: all pending replies go into one transaction, and none is lost while the database is away.

If a batch fails, each of its replies is tried alone, so that only the reply at fault fails. A reply that a process may
have died of is tried alone too, and counted before, because a crash leaves the count. So it does not come back for
ever. A process that dies during a batch says nothing about a single reply of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from zlib import crc32

import structlog
from msgspec import Struct, structs

from consumers.pipeline import AssignedQuestion
from consumers.ports.call_limits import AccountLimits
from consumers.ports.ledger import Ledger
from consumers.ports.reply import Reply
from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable, error_name
from consumers.record_replies import HealthRecorded, record_replies
from consumers.rules import Rules
from schemas.changes import Change
from schemas.words import QuestionKind
from worker.postgres.database import despite_others
from worker.runtime.clock import DatabaseClock
from worker.runtime.retries import PAUSE_SECONDS
from worker.telemetry.tracing import Tracing
from worker.verify.blame import Blame, reason_of
from worker.verify.concurrency import BATCH, apart
from worker.verify.in_hand import InHand

LOCKED_TRIES = 5
"""How often the reply of an Execute is tried again if others lock its payment; each try waits for a lock's timeout."""

log = structlog.get_logger()


class PendingReply(Struct, frozen=True):
    """A question and its reply. `tries`: how often it was tried again because others had locked the payment."""

    assigned: AssignedQuestion
    reply: Reply
    tries: int = 0

    def traced(self, traceparent: str | None) -> PendingReply:
        """The same, with a reply that continues this trace."""
        return structs.replace(self, reply=structs.replace(self.reply, traceparent=traceparent))

    @property
    def turn(self) -> int:
        """A number that orders the replies that are tried alone.

        It differs for each question. With a fixed order, replies behind a reply that kills processes would never be
        tried.
        """
        return crc32(f"{self.reply.payment_id}/{self.reply.asked_at}".encode())


class Recorder:
    """Records the replies that are added. After `end`, `run` returns when all of them are recorded."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Rules,
        in_hand: InHand,
        blame: Blame,
        limits_by_account: dict[str, AccountLimits],
        clock: DatabaseClock,
        tracing: Tracing,
    ) -> None:
        self._ledger, self._rules, self._clock = ledger, rules, clock
        self._in_hand, self._blame, self._limits_by_account, self._tracing = in_hand, blame, limits_by_account, tracing
        self._pending: asyncio.Queue[PendingReply | None] = asyncio.Queue()
        self._trying_again = asyncio.TaskGroup()

    def add(self, assigned: AssignedQuestion, reply: Reply) -> None:
        """Have a reply recorded soon. Its claims are acknowledged then."""
        self._pending.put_nowait(PendingReply(assigned, reply))

    def end(self) -> None:
        """Let `run` return when the replies that were added are recorded."""
        self._pending.put_nowait(None)

    async def run(self) -> None:
        async with self._trying_again:
            await self._run()

    async def _run(self) -> None:
        while (first := await self._pending.get()) is not None:
            counted: HealthRecorded = {}  # for all tries of this batch
            batch = [first]
            while len(batch) < BATCH and not self._pending.empty():
                more = self._pending.get_nowait()
                if more is None:
                    self._pending.put_nowait(None)
                    break
                batch.append(more)
            with self._tracing.follow_all("record", [pending.reply.traceparent for pending in batch]) as traces:
                batch = [pending.traced(trace) for pending, trace in zip(batch, traces, strict=True)]
                if together := [pending for pending in batch if not pending.assigned.lost]:
                    await self._record(together, counted)
                for alone in sorted(
                    (pending for pending in batch if pending.assigned.lost), key=lambda lost: lost.turn
                ):
                    await self._record([alone], counted)

    async def unanswered(
        self, assigned: AssignedQuestion, error: Exception, count: Callable[[], Awaitable[None]]
    ) -> None:
        """Write a question without a reply, after an error of ours, so that its schedule goes on.

        `count` counts the failure. It is called last, because it may end the schedule.
        """
        try:
            await self._write([(assigned, None)], {})
        except DatabaseUnavailable as unavailable:
            log.warning(
                "question.record_failed", payment_id=assigned.expected.payment_id, error=error_name(unavailable)
            )
            await self._in_hand.not_recorded(assigned)
        except Exception:
            log.exception("question.record_failed", payment_id=assigned.expected.payment_id)
            await self._in_hand.failed(assigned, reason_of(error))
        else:
            await self._in_hand.recorded([assigned])
        try:
            await count()
        except DatabaseUnavailable as unavailable:  # the fault is counted when it comes again
            log.warning("failure.count_failed", payment_id=assigned.expected.payment_id, error=error_name(unavailable))

    async def _record(self, batch: list[PendingReply], counted: HealthRecorded) -> None:
        """Write replies, again and again while the database is away. Then their claims are acknowledged.

        A reply whose question was `lost` is alone in its batch, and is marked first.
        """
        first = batch[0]
        while True:
            try:
                if first.assigned.lost and not await self._blame.mark(first.reply, first.assigned.account):
                    reason = "several workers tried to record the reply, and none of them finished"
                    await self._in_hand.hopeless(first.assigned, reason)
                    return
                await self._write([(one.assigned, one.reply) for one in batch], counted)
            except Exception as error:  # noqa: BLE001 - the reply is counted or tried again, and never lost
                if away(error):
                    log.warning("replies.record_retrying", replies=len(batch), error=error_name(error))
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                if len(batch) > 1:
                    await apart(batch, lambda one: self._record([one], counted))
                elif isinstance(error, DatabaseBusy):
                    await self._locked(first, error, counted)
                else:
                    await self._failed(first.assigned, first.reply, error)
                return
            for one in batch:
                await self._blame.recorded(one.reply, one.assigned.account)
            await self._in_hand.recorded([one.assigned for one in batch])
            return

    async def _failed(self, assigned: AssignedQuestion, reply: Reply, error: Exception) -> None:
        """The reply failed by itself: count it. The gateway is asked again, until it failed too often."""
        log.error("reply.failed", payment_id=reply.payment_id, exc_info=error)
        await self.unanswered(assigned, error, partial(self._blame.reply_failed, reply, assigned.account, error))

    async def _locked(self, pending: PendingReply, error: Exception, counted: HealthRecorded) -> None:
        """Others lock the payment. A status can be asked for again; an Execute cannot.

        So the reply of an Execute is tried again, beside the other batches. After LOCKED_TRIES it is kept as a dead
        letter, and its claims come again, for a Query.
        """
        assigned, payment_id = pending.assigned, pending.reply.payment_id
        log.warning("reply.locked_out", payment_id=payment_id, tries=pending.tries, error=error_name(error))
        await self._blame.excuse(payment_id, payment_id, assigned.account.id)
        if assigned.question.kind is QuestionKind.EXECUTE and not await self._keep_if_tried_enough(pending, error):
            again = structs.replace(pending, tries=pending.tries + 1)
            self._trying_again.create_task(self._record([again], counted))
        else:
            await self._in_hand.not_recorded(assigned)

    async def _keep_if_tried_enough(self, pending: PendingReply, error: Exception) -> bool:
        """Keep the reply as a dead letter if it was tried LOCKED_TRIES times. Returns whether it is kept."""
        if pending.tries < LOCKED_TRIES:
            return False
        try:
            await self._blame.keep(
                pending.reply, pending.assigned.account, f"others locked its payment: {error_name(error)}"
            )
        except DatabaseUnavailable as unavailable:
            log.warning("reply.dead_letter_failed", payment_id=pending.reply.payment_id, error=error_name(unavailable))
            await asyncio.sleep(PAUSE_SECONDS)
            return False
        return True

    async def _write(self, asked: list[tuple[AssignedQuestion, Reply | None]], counted: HealthRecorded) -> None:
        changes = await despite_others(
            lambda: record_replies(
                self._ledger, self._rules, asked, self._clock.now(), self._limits_by_account, counted
            )
        )
        self._tell(changes)

    def _tell(self, changes: list[Change]) -> None:
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


def away(error: Exception) -> bool:
    """Whether the database is away. False for a locked row: then the other payments of a batch can go on."""
    return isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseBusy)
