"""A payment whose own claims or replies fail each time: asking it in a loop ends, and somebody is told.

A pending one is looked at now and then all the same, so that it learns the truth once the fault is mended.

The one thing to get wrong: the fold. It may be the very thing that fails, so nothing here folds: the payment stands as
it was written last, and at most a hold is added.
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
from schemas.checks import Checks
from schemas.letters import KeptReply
from schemas.payments import Change, Entry, Payment
from schemas.words import EntryKind, Hold, Status

FAILURES_BEFORE_STOP = 5
OVER = timedelta(minutes=5)
"""So often, over so long at least, and nothing more is asked in a loop."""

LOST = "the process that recorded its reply, or took its claim, died"
RULE = "what fails by itself each time is not asked in a loop: a person is told"
STOPPED = "nothing more is asked in a loop"


class Failing(Struct, frozen=True, kw_only=True):
    """How often in a row a payment failed by itself, and of what last; `stopped_at`: not asked in a loop since."""

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
    """Where they are counted, each call in a transaction of its own, so that a process that dies leaves the count."""

    async def count(self, payment_id: str, account: str, reason: str | None, by: int) -> Failing | None:
        """Add `by` to the count: 1, 0 or -1. None where the account has no such payment.

        Without a `reason`, because the process died before it could tell one, the last one stands.
        """
        ...

    async def keep(self, letter_id: str, reply: KeptReply, reason: str) -> None:
        """Put a reply among the dead letters, once."""
        ...

    async def stop(self, payment_id: str, checks: Checks) -> None:
        """Note that nothing more is asked in a loop, and see to it, whatever else of the payment can be written.

        A pending one is looked at after the last `pending` delay, until `give_up`; another by no clock.
        """
        ...

    async def forget(self, payment_id: str, letter_id: str | None = None) -> None:
        """A reply was recorded, so the payment fails no more; the reply's letter goes, if it has one."""
        ...


async def stop_asking(ledger: Ledger, rules: Rules, failing: Failing) -> Change | None:
    """Free it of its lease, and put it before a person while it is pending; None where that was done before.

    A pending one stands at the last step of its schedule then; when it is looked at is for `Failures.stop` to write.
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
        step = advance(payment, _folded(payment, tuple(hold for hold in Hold if hold in holds)))
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
    """How it failed, in words. The reason names a place in the code, for the person who mends it."""
    return f"it failed by itself {failing.failures} times since {failing.first_at:%Y-%m-%d %H:%M:%SZ}: {failing.reason}"


def letter_of(reply: Reply, account: Account) -> tuple[str, KeptReply]:
    """A reply as it is kept, and the id of its letter: the same for the same reply, so that it is kept once."""
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
    """The reply that was kept. Raises ValueError for one without an outcome."""
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
