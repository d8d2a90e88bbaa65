"""A payment whose claims or replies raise an error each time: it is no longer asked about in a loop, and is held.

A pending payment is still looked at now and then, so that it can go on once the fault is mended.

Nothing here calls the fold, because the fold may be what fails: then the payment could not be stopped, and every worker
would fail on it. The payment stays as it was written last, and at most a hold is added.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.money.fold import Folded, advance
from consumers.money.write_event import event_entry, write_event
from consumers.ports.ledger import Ledger
from consumers.ports.reply import Reply
from consumers.rules import Rules
from schemas.answers import Answer, Executed, ExecuteReply, ForeignTransaction, Inconclusive, QuestionOutcome
from schemas.changes import Change, Entry
from schemas.checks import Checks
from schemas.letters import KeptReply
from schemas.payments import Payment
from schemas.words import EntryKind, Hold, Status

FAILURES_BEFORE_STOP = 5
OVER = timedelta(minutes=5)
"""After FAILURES_BEFORE_STOP failures, over at least this time, a payment is no longer asked about in a loop."""

LOST = "the process that recorded its reply, or took its claim, died"
RULE = "what fails by itself each time is not asked in a loop: a person is told"
STOPPED = "nothing more is asked in a loop"


class Failing(Struct, frozen=True, kw_only=True):
    """How often in a row a payment failed by itself, with the last `reason`. `stopped_at`: since when it is stopped."""

    payment_id: str
    failures: int
    first_at: datetime
    last_at: datetime
    reason: str
    stopped_at: datetime | None = None

    @property
    def often(self) -> bool:
        return self.failures >= FAILURES_BEFORE_STOP

    @property
    def hopeless(self) -> bool:
        return self.often and self.last_at - self.first_at >= OVER


class Failures(Protocol):
    """Stores the failures of payments. Each call is a transaction of its own, so that the count survives a process."""

    async def count(self, payment_id: str, account: str, reason: str | None, by: int) -> Failing | None:
        """Add `by`, which is 1, 0 or -1, to the count and return it. None where the account has no such payment.

        `reason` is None where the process died before it could give one. Then the last reason stays.
        """
        ...

    async def keep(self, letter_id: str, reply: KeptReply, reason: str) -> None:
        """Put a reply among the dead letters. A `letter_id` that is there already is not added again."""
        ...

    async def stop(self, payment_id: str, checks: Checks) -> None:
        """Note that the payment is stopped, and plan its next look, even if nothing else of it can be written.

        A pending payment is looked at after the last `pending` delay, until `give_up`. Any other is not looked at
        again.
        """
        ...

    async def forget(self, payment_id: str, letter_id: str | None = None) -> None:
        """Delete the payment's count, because a reply was recorded, and that reply's dead letter, if it has one."""
        ...


async def stop_asking(ledger: Ledger, rules: Rules, failing: Failing) -> Change | None:
    """End the lease of a failing payment and, if it is pending, hold it as `unresolved`. Returns the change.

    None where that was done before. A pending payment is put at the last step of its `pending` schedule;
    `Failures.stop` writes when it is looked at.
    """
    async with ledger.batch([failing.payment_id]) as batch:
        case = batch.cases.get(failing.payment_id)
        if case is None or (failing.stopped_at is not None and case.payment.lease_until is None):
            return None
        before = case.payment
        holds = set(before.holds)
        payment = replace(before, lease_until=None)
        if payment.status is Status.PENDING:
            payment = replace(payment, schedule="pending", step=len(rules.checks.pending) - 1)
            if Hold.UNRESOLVED not in holds:
                holds.add(Hold.UNRESOLVED)
                payment = replace(payment, unresolved_at=batch.now)
        step = advance(replace(case, payment=payment), _folded(payment, tuple(hold for hold in Hold if hold in holds)))
        payment, entries, event = step.payment, [], None
        if step.event is not None:
            event = write_event(payment, step.event, batch.now, rules.public_url)
        if event is not None or failing.stopped_at is None:
            decision: dict[str, Any] = {"change": step.change if event else STOPPED, "rule": RULE, "why": why(failing)}
            if event is not None:
                decision |= {"status": payment.status, "hold": payment.hold, "version": payment.version}
            entries.append(Entry(kind=EntryKind.DECISION, at=batch.now, data=decision))
        if event is not None:
            entries.append(event_entry(event))
        change = Change(payment=payment, entries=tuple(entries), event=event)
        await batch.store([change])
        await batch.commit()
    return change


def why(failing: Failing) -> str:
    """How often and why it failed, in words. The reason names a place in the code, for the person who mends it."""
    return f"it failed by itself {failing.failures} times since {failing.first_at:%Y-%m-%d %H:%M:%SZ}: {failing.reason}"


def letter_of(reply: Reply, account: Account) -> tuple[str, KeptReply]:
    """The id of a reply's dead letter, and its content. Replies of equal content have one id, so each is kept once."""
    outcome: QuestionOutcome = reply.outcome
    execute: ExecuteReply | None = None
    if isinstance(outcome, Executed):
        execute, outcome = outcome.reply, outcome.then
    kept = KeptReply(
        payment_id=reply.payment_id,
        account=account.id,
        provider=account.provider.name,
        question=reply.question,
        asked_at=reply.asked_at,
        answered_at=reply.answered_at,
        calls=reply.calls,
        execute=execute,
        answer=outcome if isinstance(outcome, Answer) else None,
        inconclusive=outcome if isinstance(outcome, Inconclusive) else None,
        stranger=outcome if isinstance(outcome, ForeignTransaction) else None,
    )
    said = msgspec.json.encode([kept.question, execute, kept.answer, kept.inconclusive, kept.stranger])
    return f"{reply.payment_id}-{sha256(said).hexdigest()[:8]}", kept


def reply_of(kept: KeptReply) -> Reply:
    """The reply of a dead letter. Raises ValueError where it has no outcome, or one that no Execute can have."""
    found = kept.answer or kept.inconclusive or kept.stranger
    if found is None or (kept.execute is not None and isinstance(found, ForeignTransaction)):
        raise ValueError("the reply says nothing")
    outcome: QuestionOutcome = found
    if kept.execute is not None and not isinstance(found, ForeignTransaction):
        outcome = Executed(reply=kept.execute, then=found)
    return Reply(
        payment_id=kept.payment_id,
        question=kept.question,
        asked_at=kept.asked_at,
        answered_at=kept.answered_at,
        outcome=outcome,
        calls=kept.calls,
    )


def _folded(payment: Payment, holds: tuple[Hold, ...]) -> Folded:
    return Folded(
        status=payment.status,
        whole=payment.accepted_amount or payment.amount,
        holds=holds,
        refunded_amount=payment.refunded_amount,
    )
