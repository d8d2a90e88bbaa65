"""When a payment is asked about, and what: claims start it, schedules repeat it, the clock ends it.

Everything is derived from a few times on the payment: when it was last asked, when the last question that brought a
Fact was asked, and when the newest claims of each kind came in. The one thing to get wrong: an Inconclusive reply
answers nothing, so it moves `asked_at` and never `fact_asked_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Literal
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from consumers.gateway import Capabilities
from schemas.answers import Question
from schemas.checks import Checks
from schemas.payments import Candidate, Payment, ScheduleName
from schemas.words import Hold, QuestionKind, Status

HINTS_PER_HOUR = 10
HOUR = timedelta(hours=1)
LEASE = {QuestionKind.STATUS: timedelta(seconds=30), QuestionKind.EXECUTE: timedelta(seconds=40)}
JITTER_FROM, LONGEST_JITTER = timedelta(minutes=1), timedelta(minutes=10)
EXECUTE_SPACING = timedelta(seconds=2)
EXECUTE_AGAIN = timedelta(seconds=60)
EXECUTE_TRIES = 20
EXECUTE_DOUBT = timedelta(hours=24)

Trigger = Literal["urgent", "hint", "schedule"]


class Due(Struct, frozen=True, kw_only=True):
    """When the next question comes, and what makes it come."""

    at: datetime
    trigger: Trigger


def question(payment: Payment, capabilities: Capabilities) -> Question | None:
    """The status question that can be asked now; None where the gateway can be asked by nothing we have."""
    if "transaction_id" in capabilities.asked_by:
        chosen = min((one for one in payment.candidates if one.state != "struck"), key=_turn(payment), default=None)
        return Question(transaction_id=chosen.transaction_id) if chosen else None
    known = {"reference"} | ({"session_id"} if payment.session_id else set())
    return Question() if known & capabilities.asked_by else None


def next_due(payment: Payment, capabilities: Capabilities, checks: Checks) -> Due | None:
    """When the payment is asked next; None when no question is planned or none can be asked."""
    if question(payment, capabilities) is None:
        return None
    due = min(_triggers(payment, checks), key=lambda due: due.at, default=None)
    if due is not None and payment.not_before is not None and due.at < payment.not_before:
        return Due(at=payment.not_before, trigger=due.trigger)
    return due


def next_look(payment: Payment, capabilities: Capabilities, checks: Checks) -> datetime | None:
    """When the sweep has to look again: at the next question, or when the clock may close it or gives up on it."""
    if payment.lease_until is not None:
        return payment.lease_until
    due = next_due(payment, capabilities, checks)
    times = [due.at] if due else []
    if payment.status is Status.PENDING:
        if Hold.UNRESOLVED not in payment.holds:
            times.append(gives_up_at(payment, checks))
        if question(payment, capabilities) is None and may_close(payment):
            times.append(closes_at(payment, checks))
    return min(times, default=None)


def may_execute(payment: Payment, capabilities: Capabilities, now: datetime) -> bool:
    """Whether Execute may be asked now, the order's other attempts apart. It takes money."""
    return (
        capabilities.executes
        and payment.execute_state == "wanted"
        and payment.session_id is not None
        and payment.status is Status.PENDING
        and not payment.held_for_money
        and now < payment.expires_at
        and payment.execute_tries < EXECUTE_TRIES
        and (payment.execute_asked_at is None or now >= payment.execute_asked_at + EXECUTE_SPACING)
    )


def begun(payment: Payment, asked: Question, due: Due, now: datetime) -> Payment:
    """The payment with a question in flight; stored and committed before the gateway is called."""
    hints = tuple(at for at in payment.hint_asks if at > now - HOUR)
    payment = replace(
        payment,
        lease_until=now + LEASE[asked.kind],
        asked_at=now,
        not_before=None,
        hint_asks=(*hints, now) if due.trigger == "hint" else hints,
        step=payment.step + (due.trigger == "schedule"),
        candidates=tuple(
            replace(candidate, asked_at=now) if candidate.transaction_id == asked.transaction_id else candidate
            for candidate in payment.candidates
        ),
    )
    if asked.kind is QuestionKind.EXECUTE:
        return replace(
            payment,
            execute_state="kept",
            execute_unanswered=True,
            execute_asked_at=now,
            execute_tries=payment.execute_tries + 1,
        )
    return payment


def scheduled(
    payment: Payment, capabilities: Capabilities, checks: Checks, now: datetime, jitter: float = 0.0
) -> Payment:
    """The payment with the schedule that now applies, and the time at which the sweep looks at it next.

    While a question is in flight the schedule stays: its answer decides. A look that is a minute away or more comes up
    to `jitter` of the wait later, at most ten minutes; what is due is due all the same when a claim comes before.
    """
    if payment.lease_until is None:
        name = _schedule(payment, capabilities, checks, now)
        if name != payment.schedule:
            payment = replace(payment, schedule=name, step=0)
    at = next_look(payment, capabilities, checks)
    if at is not None and jitter > 0 and at - now >= JITTER_FROM:
        at += min((at - now) * jitter, LONGEST_JITTER) * (crc32(f"{payment.id}/{payment.step}".encode()) / 2**32)
    return replace(payment, next_check_at=at)


def may_close(payment: Payment) -> bool:
    """Whether nothing speaks against closing it by the clock: no hold, no unheard claim, no id never asked about."""
    return not payment.holds and not success_unanswered(payment) and not never_asked(payment)


def closes_at(payment: Payment, checks: Checks) -> datetime:
    """From when on the clock may close it: after grace, and a day after opening where an Execute went unanswered.

    A row whose checkout never existed needs no grace.
    """
    at = payment.expires_at + timedelta(seconds=checks.grace if payment.opened else 0)
    return max(at, payment.opened_at + EXECUTE_DOUBT) if payment.execute_unanswered else at


def gives_up_at(payment: Payment, checks: Checks) -> datetime:
    """When asking ends: counted from the opening, and from a person's word that released it as pending."""
    return (payment.unresolved_at or payment.opened_at) + timedelta(seconds=checks.give_up)


def hints_used_up(payment: Payment, at: datetime) -> bool:
    """Whether unsigned claims made us ask as often as they may in the hour before."""
    return sum(ask > at - HOUR for ask in payment.hint_asks) >= HINTS_PER_HOUR


def success_unanswered(payment: Payment) -> bool:
    """Whether someone said "paid" and no question asked after that brought a Fact."""
    return payment.success_at is not None and not _answered(payment, payment.success_at)


def never_asked(payment: Payment) -> bool:
    """Whether a transaction id that a callback brought was dropped, or has not been answered about."""
    return payment.candidate_dropped or any(candidate.state == "unasked" for candidate in payment.candidates)


def _turn(payment: Payment) -> Callable[[Candidate], tuple[int, datetime]]:
    """Which transaction is asked about first.

    Those that claims want asked about, signed before unsigned; then those never answered about, and the one the money
    came by (any, while none did); of equals the one asked longest ago. The few looks for refunds are not shared with an
    id that was asked about for a week and is still unknown.
    """

    def turn(one: Candidate) -> tuple[int, datetime]:
        asked = one.asked_at or _EVER
        if _wants(one.urgent_at, asked):
            return 0, asked
        if _wants(one.hinted_at, asked):
            return 1, asked
        hoped = one.state == "unasked" and (one.asked_at is None or payment.schedule != "refunds")
        matters = hoped or not payment.status.paid or one.transaction_id == payment.transaction_id
        return 2 if matters else 3, asked

    return turn


def _triggers(payment: Payment, checks: Checks) -> Iterable[Due]:
    asked = payment.asked_at or _EVER
    if payment.lease_until is not None:  # it passed, and whoever asked has died
        yield Due(at=payment.lease_until, trigger="schedule")
    for one in _questions(payment):
        if one.urgent_at is not None and _wants(one.urgent_at, one.asked_at):
            yield Due(at=one.urgent_at, trigger="urgent")
        if one.hinted_at is not None and _wants(one.hinted_at, one.asked_at):
            yield Due(at=_hint_at(payment, one.hinted_at, checks), trigger="hint")
    delay = _delay(payment, checks)
    base = max(asked, payment.opened_at)  # a row opened again was asked about before
    if delay is not None and not _ended(payment, base + delay, checks):
        yield Due(at=base + delay, trigger="schedule")
    if payment.status is Status.PENDING and not payment.holds and asked < closes_at(payment, checks):
        yield Due(at=closes_at(payment, checks), trigger="schedule")


def _questions(payment: Payment) -> Iterable[Payment | Candidate]:
    """What claims can want asked about: the payment, and each transaction that may be its own."""
    yield payment
    yield from (one for one in payment.candidates if one.state != "struck")


def _wants(claimed_at: datetime | None, asked_at: datetime | None) -> bool:
    return claimed_at is not None and (asked_at is None or claimed_at > asked_at)


def _hint_at(payment: Payment, at: datetime, checks: Checks) -> datetime:
    """An unsigned claim asks a moment after the last question, and at most ten times an hour beside the schedule."""
    if payment.asked_at is not None:
        at = max(at, payment.asked_at + timedelta(seconds=checks.claimed[0]))
    if not hints_used_up(payment, at):
        return at
    recent = [ask for ask in payment.hint_asks if ask > at - HOUR]
    return max(at, recent[-HINTS_PER_HOUR] + HOUR)


def _delay(payment: Payment, checks: Checks) -> timedelta | None:
    """How long after the last question the schedule asks again; None when it has run through."""
    if payment.schedule is None:
        return None
    delays: tuple[float, ...] = getattr(checks, payment.schedule)
    if payment.step < len(delays):
        return timedelta(seconds=delays[payment.step])
    return timedelta(seconds=delays[-1]) if payment.schedule in ("claimed", "pending") else None


def _ended(payment: Payment, at: datetime, checks: Checks) -> bool:
    return payment.status is Status.PENDING and at > gives_up_at(payment, checks)


def _schedule(payment: Payment, capabilities: Capabilities, checks: Checks, now: datetime) -> ScheduleName | None:
    if Hold.UNRESOLVED in payment.holds:
        return None
    if not payment.status.paid and _claimed(payment) and now < gives_up_at(payment, checks):
        return "claimed"
    if any(now < at + timedelta(seconds=checks.give_up) for at in _unheard(payment)):
        return "claimed"
    match payment.status:
        case Status.PENDING:
            return "pending"
        case Status.COMPLETED:
            announced = Hold.UNEXPECTED not in payment.holds
            return "refunds" if capabilities.shows_refunds and announced else None
        case Status.REFUNDED:
            return None
        case _:
            return "closed"


def _unheard(payment: Payment) -> list[datetime]:
    """When the claims came that made us ask and got no answer; a pending payment's own schedule hears unsigned ones."""
    return [
        at
        for one in _questions(payment)
        for at in (one.urgent_at, None if payment.status is Status.PENDING else one.hinted_at)
        if at is not None and not _wants(at, one.asked_at) and not _answered(one, at)
    ]


def _claimed(payment: Payment) -> bool:
    """Whether someone said "paid" and the gateway has neither confirmed nor denied it since."""
    if any(candidate.success_at and candidate.state != "struck" for candidate in payment.candidates):
        return not payment.status.closed
    if payment.success_at is None:
        return False
    return not payment.status.closed or not _answered(payment, payment.success_at)


def _answered(one: Payment | Candidate, received_at: datetime) -> bool:
    return one.fact_asked_at is not None and one.fact_asked_at > received_at


_EVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
