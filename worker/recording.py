"""Recording replies: those that wait go into one transaction, and none is lost while the database is away.

The one thing to get wrong: one reply that fails by itself. It is tried alone, so that the others do not fail with it.
One that a process may have died of is counted before, where a crash leaves the count, so that it does not come back for
ever; a process that dies of a batch says nothing about any of it.
"""

from __future__ import annotations

import asyncio
from zlib import crc32

import structlog
from msgspec import Struct, structs

from consumers.account import Account
from consumers.answering import Reply
from consumers.ledger import Ledger
from consumers.pipeline import record
from consumers.rules import Rules
from schemas.payments import Change
from worker.failing import Blame
from worker.postgres.database import LOCKED, UNAVAILABLE, despite_others
from worker.tracing import Tracing

BATCH = 100  # replies recorded in one transaction
PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class Unrecorded(Struct, frozen=True):
    """A reply, and the account it came from. `lost`: the reply before it was lost, perhaps as a process died of it."""

    reply: Reply
    account: Account
    lost: bool

    def traced(self, traceparent: str | None) -> Unrecorded:
        return structs.replace(self, reply=structs.replace(self.reply, traceparent=traceparent))

    @property
    def turn(self) -> int:
        """When it is tried among those tried alone.

        Another order each time, or those behind one that processes die of would never have a turn.
        """
        return crc32(f"{self.reply.payment_id}/{self.reply.asked_at}".encode())


class Recorder:
    """Records the replies that `hear` is given. After `end`, `run` returns when all of them are recorded."""

    def __init__(self, ledger: Ledger, rules: Rules, blame: Blame, tracing: Tracing) -> None:
        self._ledger, self._rules, self._blame, self._tracing = ledger, rules, blame, tracing
        self._heard: asyncio.Queue[Unrecorded | None] = asyncio.Queue()

    def hear(self, reply: Reply, account: Account, *, lost: bool) -> None:
        self._heard.put_nowait(Unrecorded(reply, account, lost))

    def end(self) -> None:
        self._heard.put_nowait(None)

    async def run(self) -> None:
        while (first := await self._heard.get()) is not None:
            batch = [first]
            while len(batch) < BATCH and not self._heard.empty():
                more = self._heard.get_nowait()
                if more is None:
                    self._heard.put_nowait(None)
                    break
                batch.append(more)
            with self._tracing.follow_all("record", [one.reply.traceparent for one in batch]) as traces:
                if self._tracing.on:
                    pairs = zip(batch, traces, strict=True)
                    batch = [one.traced(trace) for one, trace in pairs]
                if together := [one for one in batch if not one.lost]:
                    await self._record(together)
                for one in sorted((one for one in batch if one.lost), key=lambda one: one.turn):
                    await self._record([one])

    async def _record(self, batch: list[Unrecorded]) -> None:
        """Those of a batch were never lost; one that was is alone in it, and marked."""
        replies = [one.reply for one in batch]
        while True:
            try:
                if batch[0].lost and not await self._blame.mark(batch[0].reply, batch[0].account):
                    return
                changes = await despite_others(lambda: record(self._ledger, self._rules, replies))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted or tried again, and never lost
                if away(error):
                    log.warning("replies.not_recorded", replies=len(batch), error=type(error).__name__)
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                if len(batch) > 1:
                    for one in batch:
                        await self._record([one])
                else:
                    await self._failed(batch[0], error)
                return
            for one in batch:
                await self._blame.recorded(one.reply, one.account)
            self._tell(changes)
            return

    async def _failed(self, one: Unrecorded, error: Exception) -> None:
        """The lease ends, and the gateway is asked again, unless that is hopeless."""
        payment_id = one.reply.payment_id
        if isinstance(error, LOCKED):
            log.warning("reply.dropped", payment_id=payment_id, error=type(error).__name__)
            await self._blame.excuse(payment_id, payment_id, one.account.id)
            return
        log.error("reply.failed", payment_id=payment_id, exc_info=error)
        try:
            await self._blame.reply_failed(one.reply, one.account, error)
        except UNAVAILABLE as unavailable:  # it is counted when it fails again
            log.warning("reply.not_counted", payment_id=payment_id, error=type(unavailable).__name__)

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


def _followed(one: Unrecorded, traceparent: str | None) -> Unrecorded:
    return structs.replace(one, reply=structs.replace(one.reply, traceparent=traceparent))


def away(error: Exception) -> bool:
    """Whether the database is away for all. Where only a row is locked, the rest of the batch can go on without it."""
    return isinstance(error, UNAVAILABLE) and not isinstance(error, LOCKED)
