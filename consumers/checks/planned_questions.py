"""When a payment is asked about, and by which id: claims start it, schedules repeat it, the clock ends it.

Everything is derived from times on the payment: when the last question was asked, when the last question that brought a
Fact was asked, and when the newest claim of each kind came in. An Inconclusive reply answers nothing: it moves
`asked_at` and never `fact_asked_at`, or a claim would count as answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from consumers.checks import candidates
from consumers.checks.execute import request_checked_at, under_way
from consumers.checks.schedule import (
    closes_at,
    delay_of,
    schedule_ended,
    unanswered_at,
    wants,
)
from consumers.ports.gateway import Capabilities
from schemas.checks import Checks
from schemas.payments import Candidate, Payment
from schemas.words import Id, Status

UNSIGNED_ASKS_PER_HOUR = 10
ONE_HOUR = timedelta(hours=1)
END_INSISTS = ONE_HOUR
"""How long a question about the end that brought no answer is repeated, on the last `claimed` delay."""

Trigger = Literal["urgent", "hint", "reference", "wish", "schedule"]
"""Why a question is due. `urgent`: a signed claim, or a person. `hint` and `reference`: an unsigned claim, on the
payment's own path or by our reference alone. `wish`: an Execute that waits for its order, which may still not be free.
`schedule`: a check by the clock."""


class Due(Struct, frozen=True, kw_only=True):
    """When a question is due, and why.

    `transaction_id`: the candidate to ask about, where the gateway is asked by candidates. `alone`: it is due by that
    candidate's own schedule, not the payment's.
    """

    at: datetime
    trigger: Trigger
    transaction_id: str | None = None
    alone: bool = False


def by_candidate(capabilities: Capabilities) -> bool:
    """Whether the gateway is asked by ids that only callbacks bring."""
    return capabilities.candidates is not None


def can_ask(payment: Payment, capabilities: Capabilities) -> bool:
    """Whether the payment has an id that its gateway can be asked by."""
    if by_candidate(capabilities):
        return any(not candidates.is_rejected(one) for one in payment.candidates)
    known = {Id.REFERENCE, Id.SESSION} if payment.session_id else {Id.REFERENCE}
    return bool(known & capabilities.asked_by)


def next_due(payment: Payment, capabilities: Capabilities, checks: Checks, now: datetime | None = None) -> Due | None:
    """The question that is due next; of several that are due by `now`, the one that is asked first.

    None where no question is planned, or none can be asked.
    """
    if not can_ask(payment, capabilities):
        return None
    planned = [_not_before(due, payment) for due in _planned(payment, capabilities, checks)]
    ripe = [due for due in planned if now is not None and due.at <= now]
    if ripe and by_candidate(capabilities):
        return min(ripe, key=lambda due: _turn(payment, due))
    return min(planned, key=lambda due: due.at, default=None)


def waits_since(payment: Payment, due: Due) -> datetime:
    """Since when the payment waits for this question: since it is due, but not from before its last question.

    So a payment with many questions due at once asks one of them, and then waits behind the other payments.
    """
    return due.at if payment.asked_at is None else max(due.at, payment.asked_at)


def unsigned_asks_used_up(payment: Payment, at: datetime, *, own: bool) -> bool:
    """Whether unsigned claims, on the `own` path or not, have used up their questions of the hour before `at`."""
    return len(recent_asks(payment.hint_asks if own else payment.referred_asks, at)) >= UNSIGNED_ASKS_PER_HOUR


def recent_asks(asks: tuple[datetime, ...], at: datetime) -> tuple[datetime, ...]:
    return tuple(ask for ask in asks if ask > at - ONE_HOUR)


def _not_before(due: Due, payment: Payment) -> Due:
    return due if payment.not_before is None or due.at >= payment.not_before else replace(due, at=payment.not_before)


def _turn(payment: Payment, due: Due) -> tuple[bool, bool, bool, bool, float]:
    one = candidates.candidate(payment, due.transaction_id)
    assert one is not None, "a question that is due then is about a candidate"
    return candidates.turn(one, urgent=due.trigger == "urgent")


def _planned(payment: Payment, capabilities: Capabilities, checks: Checks) -> Iterable[Due]:
    """Every planned question."""
    if not by_candidate(capabilities):
        yield from _asked_for(payment, payment, checks, None)
        yield from _by_clock(payment, capabilities, payment.asked_at, checks)
        return
    end, give_up = closes_at(payment, checks), timedelta(seconds=checks.give_up)
    for one in payment.candidates:
        if not candidates.is_rejected(one):
            yield from _asked_for(payment, one, checks, one.transaction_id)
    for one in candidates.unproven(payment):
        at = candidates.next_ask(payment, one, checks, end, give_up)
        if at is not None and (one.own or one.signed):
            yield Due(at=at, trigger="schedule", transaction_id=one.transaction_id, alone=True)
        elif at is not None:
            at = _unsigned_ask_at(payment, at, payment.referred_asks, checks)
            yield Due(at=at, trigger="reference", transaction_id=one.transaction_id, alone=True)
    chosen = _whole(payment)
    yield from _asked_for(payment, payment, checks, chosen.transaction_id)
    if chosen.state == "confirmed":
        known = [one.asked_at for one in candidates.confirmed(payment) if one.asked_at is not None]
        yield from _by_clock(payment, capabilities, max(known, default=None), checks, chosen.transaction_id)
    elif payment.lease_until is not None:
        yield Due(at=payment.lease_until, trigger="schedule", transaction_id=chosen.transaction_id)


def _whole(payment: Payment) -> Candidate:
    """The candidate to ask about for the payment as a whole.

    Confirmed candidates come first. Among several: one with an unanswered claim, then the transaction of the money,
    then the one asked longest ago. Where none is confirmed, they take turns.
    """

    def order(one: Candidate) -> tuple[bool, bool, bool, datetime]:
        elsewhere = payment.status.paid and one.transaction_id not in (payment.transaction_id, payment.session_id)
        return one.state != "confirmed", not unanswered_at(one, payment), elsewhere, one.asked_at or _LONG_AGO

    return min((one for one in payment.candidates if not candidates.is_rejected(one)), key=order)


def _asked_for(payment: Payment, one: Payment | Candidate, checks: Checks, transaction_id: str | None) -> Iterable[Due]:
    """The questions that claims ask for, about the payment or one candidate."""
    if one.urgent_at is not None and wants(one.urgent_at, one.asked_at):
        yield Due(at=one.urgent_at, trigger="urgent", transaction_id=transaction_id)
    if one.hinted_at is not None and wants(one.hinted_at, one.asked_at):
        at = _unsigned_ask_at(payment, one.hinted_at, payment.hint_asks, checks)
        yield Due(at=at, trigger="hint", transaction_id=transaction_id)
    if one.referred_at is not None and wants(one.referred_at, one.asked_at):
        at = _unsigned_ask_at(payment, one.referred_at, payment.referred_asks, checks)
        yield Due(at=at, trigger="reference", transaction_id=transaction_id)


def _by_clock(
    payment: Payment,
    capabilities: Capabilities,
    asked_at: datetime | None,
    checks: Checks,
    transaction_id: str | None = None,
) -> Iterable[Due]:
    """The questions that the payment's schedule and its end plan. `asked_at`: when the last one was asked."""
    asked = asked_at or _LONG_AGO
    if payment.lease_until is not None:  # its worker died or still asks; of an Execute the turn tells which
        at = asked if under_way(payment) else payment.lease_until
        yield Due(at=at, trigger="schedule", transaction_id=transaction_id)
    look_at = request_checked_at(payment)
    if look_at is not None:
        yield Due(at=look_at, trigger="wish")
    delay = delay_of(payment, checks)
    base = max(asked, payment.opened_at)  # a reopened row was asked about before
    if delay is not None and not schedule_ended(payment, base + delay, checks):
        yield Due(at=base + delay, trigger="schedule", transaction_id=transaction_id)
    if payment.status is Status.PENDING and not payment.holds:
        end = _asks_about_end(payment, capabilities, asked, checks)
        if end is not None:
            yield Due(at=end, trigger="schedule", transaction_id=transaction_id)


def _asks_about_end(payment: Payment, capabilities: Capabilities, asked: datetime, checks: Checks) -> datetime | None:
    """When to ask about the end: once when it has come, and again to confirm an answer that says unpaid.

    With `pending_expires_after` it is also asked that long after the end, about each confirmed candidate. A question
    that brought no answer is repeated for an hour, so that a short outage of the gateway does not keep the payment
    open.
    """
    end, first = closes_at(payment, checks), payment.unpaid_at
    fact_asked_at = payment.fact_asked_at
    if capabilities.pending_expires_after is not None and (known := candidates.confirmed(payment)):
        asked = min(one.asked_at or _LONG_AGO for one in known)
        fact_asked_at = min(candidates.answered_at(payment))
    if first is not None and first >= end:
        moments = [first + timedelta(seconds=checks.confirm_end)]
    else:
        after = capabilities.pending_expires_after
        moments = [end] if after is None else [end, end + timedelta(seconds=after)]
    for at in moments:
        if asked < at:
            return at
        answered = fact_asked_at is not None and fact_asked_at >= at
        if not answered and asked < at + END_INSISTS:
            return asked + timedelta(seconds=checks.claimed[-1])
    return None


def _unsigned_ask_at(payment: Payment, at: datetime, asks: tuple[datetime, ...], checks: Checks) -> datetime:
    """When an unsigned claim of `at` asks: a moment after the last question, and at most ten times an hour."""
    if payment.asked_at is not None:
        at = max(at, payment.asked_at + timedelta(seconds=checks.claimed[0]))
    recent = recent_asks(asks, at)
    return at if len(recent) < UNSIGNED_ASKS_PER_HOUR else max(at, recent[-UNSIGNED_ASKS_PER_HOUR] + ONE_HOUR)


_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
