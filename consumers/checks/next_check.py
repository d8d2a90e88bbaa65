"""When the sweep looks at a payment next, what a question changes on it, and when the clock may close it."""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

from msgspec.structs import replace

from consumers.checks import candidates
from consumers.checks.execute import executing
from consumers.checks.planned_questions import Due, by_candidate, can_ask, next_due, recent_asks, waits_since
from consumers.checks.schedule import (
    closes_at,
    gives_up_at,
    repeats_missed_check,
    schedule_of,
    success_unanswered,
)
from consumers.ports.gateway import Capabilities
from consumers.timing import TIMING
from schemas.answers import Question
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import Hold, QuestionKind, Status

JITTER_FROM, LONGEST_JITTER = timedelta(minutes=1), timedelta(minutes=10)


def next_check(payment: Payment, capabilities: Capabilities, checks: Checks) -> datetime | None:
    """When the sweep has to look next: at the next question, or when the clock may close the payment or give it up."""
    if payment.lease_until is not None:
        return payment.lease_until
    due = next_due(payment, capabilities, checks)
    times = [waits_since(payment, due)] if due else []
    if payment.status.closed and payment.execute_state == "kept" and payment.execute_asked_at is not None:
        times.append(payment.execute_asked_at + TIMING.execute_again)  # it frees its order then
    if payment.status is Status.PENDING:
        if Hold.UNRESOLVED not in payment.holds:
            times.append(gives_up_at(payment, checks))
        if by_clock_alone(payment, capabilities) and may_close(payment):
            times.append(closes_at(payment, checks))
    return min(times, default=None)


def by_clock_alone(payment: Payment, capabilities: Capabilities) -> bool:
    """Whether the payment closes without a question, because there is no id to ask by.

    A candidate that came with our reference alone does not count.
    """
    if by_candidate(capabilities):
        return not candidates.confirmed(payment) and not candidates.lasting(payment)
    return not can_ask(payment, capabilities)


def start_question(payment: Payment, asked: Question, due: Due, checks: Checks, now: datetime) -> Payment:
    """The payment with the question `asked` in flight since `now`. An Execute has a lease until its reply comes.

    A question that repeats one without an answer is no next step of the schedule. Nor is a question that is written
    after a question which was asked later.
    """
    later = payment.asked_at is not None and payment.asked_at > now
    again = payment.lease_until is not None or repeats_missed_check(payment, checks) or later
    hints, referred = recent_asks(payment.hint_asks, now), recent_asks(payment.referred_asks, now)
    one = candidates.candidate(payment, asked.candidate) if asked.candidate else None
    if one is not None and (one.asked_at is None or one.asked_at <= now):
        end = closes_at(payment, checks)
        asked_now = replace(one, asked_at=now)
        asked_now = candidates.stepped(payment, one, checks, end, now) if due.alone else asked_now
        payment = candidates.changed(payment, asked_now)
    payment = replace(
        payment,
        lease_until=_lease(payment, asked, now, later=later),
        asked_at=max(payment.asked_at or now, now),
        not_before=None,
        execute_waits_until=None if due.trigger == "wish" else payment.execute_waits_until,
        hint_asks=(*hints, now) if due.trigger == "hint" else hints,
        referred_asks=(*referred, now) if due.trigger == "reference" else referred,
        step=payment.step + (due.trigger == "schedule" and not due.alone and not again),
    )
    return executing(payment, now) if asked.kind is QuestionKind.EXECUTE else payment


def _lease(payment: Payment, asked: Question, now: datetime, *, later: bool) -> datetime | None:
    """Until when an Execute counts as in flight. A status question keeps the lease of an Execute asked later."""
    if asked.kind is QuestionKind.EXECUTE:
        return now + TIMING.lease(asked.kind)
    return payment.lease_until if later else None


def reschedule(
    payment: Payment, capabilities: Capabilities, checks: Checks, now: datetime, jitter: float = 0.0
) -> Payment:
    """The payment with the schedule that applies now, and `next_check_at`, when the sweep looks at it next.

    While an Execute is in flight the schedule stays, because its answer decides. A look that is at least a minute away
    comes later by up to `jitter` of the wait, at most ten minutes. A claim that comes earlier is not delayed.
    """
    if payment.lease_until is None:
        if payment.returned_by and payment.schedule == "claimed" and payment.step >= len(checks.claimed):
            payment = replace(payment, returned_through=True)
        name = schedule_of(payment, capabilities, checks, now)
        if name != payment.schedule:
            payment = replace(payment, schedule=name, step=0)
    at = next_check(payment, capabilities, checks)
    if at is not None and jitter > 0 and at - now >= JITTER_FROM:
        at += min((at - now) * jitter, LONGEST_JITTER) * (crc32(f"{payment.id}/{payment.step}".encode()) / 2**32)
    return replace(payment, next_check_at=at)


def may_close(payment: Payment) -> bool:
    """Whether the clock may close it: it has no hold, no unanswered claim of success and no dropped candidate."""
    return not payment.holds and not success_unanswered(payment) and not payment.candidate_dropped
