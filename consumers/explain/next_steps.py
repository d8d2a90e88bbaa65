"""What happens next to a payment, when and why: the next question, the reason for a wait, and the end.

The times are no promise. The sweep looks at `next_check_at`, a little after a question is due, and a claim may make us
ask earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from consumers.account import Account
from consumers.checks.limits import forgetful, refilled
from consumers.checks.next_check import by_clock_alone, may_close
from consumers.checks.planned_questions import Due, can_ask, next_due
from consumers.checks.repeated_failure import why
from consumers.checks.schedule import closes_at, gives_up_at, success_unanswered
from consumers.explain.reached import open_deliveries
from consumers.explain.snapshot import PaymentSnapshot
from consumers.ports.gateway import Capabilities
from schemas.payments import Payment
from schemas.words import Hold, Id, Status

SCHEDULES = {
    "claimed": "someone says that it is paid, and the gateway does not confirm it yet",
    "pending": "it is not paid yet",
    "closed": "money may come late",
    "refunds": "it may be refunded",
}
_TRIGGERS = {
    "urgent": "a signed claim came in or a person wants to know",
    "hint": "a claim came in",
    "reference": "a claim named our reference",
    "wish": "the buyer approved, and another attempt of the order may be over by then",
}


class Plan(Struct, frozen=True, kw_only=True):
    """A next step. `at` is None where it depends on an event from outside."""

    at: datetime | None
    words: str


def next_steps(snapshot: PaymentSnapshot) -> list[Plan]:
    """The next steps: those without a time first, then by time. Never empty."""
    plans = [*_plans(snapshot)]
    sent = [Plan(at=at, words=words) for at, words in open_deliveries(snapshot.receivers, snapshot.now)]
    if plans or sent:
        plans += sent
    else:
        waits = snapshot.payment.status is Status.PENDING
        return [Plan(at=None, words="nothing until a claim comes in" if waits else "nothing; it is settled")]
    return sorted(plans, key=lambda plan: plan.at.timestamp() if plan.at else 0.0)


def _plans(snapshot: PaymentSnapshot) -> Iterator[Plan]:
    payment, account = snapshot.payment, snapshot.account
    if payment.hold is not None:
        alone = payment.held_for_money or (account is not None and not account.capabilities.asked_by)
        lifts = "a person resolves it" if alone else "a later answer lifts the hold, or a person"
        if Hold.UNEXPECTED in payment.holds:
            lifts = "the shop announces its reference or its session, or a person resolves it"
        yield Plan(at=None, words=f"{lifts} (payproof payments resolve)")
    if account is None:
        if payment.next_check_at is not None:
            words = f"nothing is asked while the account {payment.account} is not in the configuration"
            yield Plan(at=None, words=words)
        return
    stopped = snapshot.failing is not None and snapshot.failing.stopped_at is not None
    if stopped and payment.next_check_at is None and payment.lease_until is None:
        assert snapshot.failing is not None
        words = f"nothing more is asked by itself, because {why(snapshot.failing)} (payproof dead list)"
        yield Plan(at=None, words=words)
        return
    yield from _question(snapshot, account)
    yield from _ends(snapshot, account.capabilities)


def _question(snapshot: PaymentSnapshot, account: Account) -> Iterator[Plan]:
    payment, capabilities = snapshot.payment, account.capabilities
    if payment.lease_until is not None and payment.lease_until > snapshot.now:
        yield Plan(at=payment.lease_until, words="a question is on its way; without a reply by then we ask again")
        return
    due = next_due(payment, capabilities, snapshot.checks)
    if due is None:
        if not can_ask(payment, capabilities) and payment.status is Status.PENDING and payment.hold is None:
            known = "no id is known yet that it can be asked by" if capabilities.asked_by else "it cannot be asked"
            yield Plan(at=None, words=f"the gateway is not asked, because {known}")
        return
    because = _TRIGGERS.get(due.trigger) or SCHEDULES.get(payment.schedule or "", "its time is over then")
    if due.alone:
        kind = "session" if capabilities.candidates is Id.SESSION else "transaction"
        because = f"the gateway does not know {kind} {due.transaction_id} yet, which a callback named"
    elif _confirms(payment, due, snapshot):
        because = f"one answer that nobody paid is not enough: a second one, {_span(snapshot)} later, closes it"
    opens_at = snapshot.limits.shut_until if snapshot.limits else None
    looks_at = max(at for at in (due.at, payment.next_check_at, opens_at) if at is not None)
    waits = "".join(f"; {reason}" for reason in _waits(snapshot, account))
    if looks_at <= snapshot.now:
        yield Plan(at=looks_at, words=f"a question is due, because {because}{waits or _UNTAKEN}")
    else:
        yield Plan(at=looks_at, words=f"we ask the gateway again, because {because}{waits}")


_UNTAKEN = "; a running `payproof serve` asks it"


def _waits(snapshot: PaymentSnapshot, account: Account) -> Iterable[str]:
    """Why a question waits beyond its due time, in words."""
    payment, account_limits, now = snapshot.payment, snapshot.limits, snapshot.now
    if account_limits is not None and account_limits.shut_until is not None and account_limits.shut_until > now:
        until = f"{account_limits.shut_until:%H:%M:%SZ}"
        yield f"the gateway gave {account_limits.troubles} times in a row no answer, so nobody asks it before {until}"
        return
    rate = account.calls_per_second
    if account_limits is not None and rate is not None and refilled(account_limits, rate, now).calls < 1:
        yield f"the account's budget of {rate:g} calls a second is used up just now"
        return
    if payment.not_before is not None and payment.not_before > now:
        yield "the gateway asked us to wait, or its account's budget was used up"


def _confirms(payment: Payment, due: Due, snapshot: PaymentSnapshot) -> bool:
    """Whether the question is the second one about the end, which confirms the first."""
    first = payment.unpaid_at
    if payment.status is not Status.PENDING or first is None or first < closes_at(payment, snapshot.checks):
        return False
    return due.at == first + timedelta(seconds=snapshot.checks.confirm_end)


def _span(snapshot: PaymentSnapshot) -> str:
    return f"{snapshot.checks.confirm_end / 60:g} minutes"


def _ends(snapshot: PaymentSnapshot, capabilities: Capabilities) -> Iterator[Plan]:
    payment, checks = snapshot.payment, snapshot.checks
    if payment.status is not Status.PENDING:
        return
    if forgetful(snapshot.limits):
        words = "no payment of the account closes on `not found`, which its gateway said of several in a row"
        yield Plan(at=None, words=words)
    closes, gives_up = closes_at(payment, checks), gives_up_at(payment, checks)
    if may_close(payment):
        if by_clock_alone(payment, capabilities):
            yield Plan(at=closes, words="it closes as expired by the clock")
        elif capabilities.pending_expires or not payment.opened:
            words = f"it closes as expired, once two answers {_span(snapshot)} apart say that nobody paid"
            yield Plan(at=closes, words=words)
        elif (after := capabilities.pending_expires_after) is not None:
            words = f"it closes as expired, once two answers {_span(snapshot)} apart say that it is pending still"
            yield Plan(at=closes + timedelta(seconds=after), words=words)
        elif snapshot.now < closes:
            yield Plan(at=closes, words="its time is over; then it closes if the gateway says so")
    elif success_unanswered(payment) and not payment.holds:
        yield Plan(at=None, words="it is not closed while someone says that it is paid and no answer came since")
    if payment.hold is None:
        yield Plan(at=gives_up, words="we give up asking, and it is put before a person as unresolved")
    elif Hold.UNRESOLVED not in payment.holds and can_ask(payment, capabilities):
        yield Plan(at=gives_up, words="we give up asking")


def where_it_stands(payment: Payment) -> str:
    """The payment's status and hold, in a sentence."""
    late = ", late" if payment.late else ""
    if payment.hold is not None:
        others = f" (also: {', '.join(payment.holds[1:])})" if payment.holds[1:] else ""
        silence = "; nothing more is delivered to the shop until a person resolves it" if payment.held_for_money else ""
        return f"It stands at {payment.status}{late}, held as {payment.hold}{others}{silence}."
    paid = f", transaction {payment.transaction_id}" if payment.transaction_id else ""
    return f"It stands at {payment.status}{late}{paid}; version {payment.version}."
