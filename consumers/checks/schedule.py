"""Which schedule applies to a payment, the delays between its questions, and when it ends.

No pending payment is forgotten. `claimed` and `pending` repeat their last delay until we give up, and a payment that is
still pending then is held for a person. `closed` and `refunds` run through once, because the outcome is known.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers.checks import candidates
from consumers.checks.execute import EXECUTE_DOUBT
from consumers.ports.gateway import Capabilities
from schemas.checks import Checks
from schemas.payments import Candidate, Payment, ScheduleName
from schemas.words import Hold, Status


def closes_at(payment: Payment, checks: Checks) -> datetime:
    """From when on the clock may close the payment: `grace` after it expires, without `grace` if it has no checkout.

    After an Execute without a known reply, at least a day after the opening.
    """
    at = payment.expires_at + timedelta(seconds=checks.grace if payment.opened else 0)
    return max(at, payment.opened_at + EXECUTE_DOUBT) if payment.execute_unanswered else at


def gives_up_at(payment: Payment, checks: Checks) -> datetime:
    """When asking ends: `give_up` after the opening, or after a person released the payment as pending.

    A payment that is held as unresolved before that time, because it fails by itself, is asked about until then.
    """
    released = payment.unresolved_at if Hold.UNRESOLVED not in payment.holds else None
    return (released or payment.opened_at) + timedelta(seconds=checks.give_up)


def success_unanswered(payment: Payment) -> bool:
    """Whether a claim of success came and no question asked after it brought a Fact."""
    return payment.success_at is not None and not answered(payment, payment.success_at)


def schedule_of(payment: Payment, capabilities: Capabilities, checks: Checks, now: datetime) -> ScheduleName | None:
    if any(now < at + timedelta(seconds=checks.give_up) for at in _unanswered(payment)):
        return "claimed"
    if Hold.UNRESOLVED in payment.holds:
        return "pending" if now < gives_up_at(payment, checks) else None
    if not payment.status.paid and _claimed(payment) and now < gives_up_at(payment, checks):
        return "claimed"
    decided = payment.status is not Status.PENDING
    if decided and Hold.UNMAPPED_STATUS in payment.holds and now < gives_up_at(payment, checks):
        return "pending"  # a later answer may lift the hold; no event of money is written under it
    match payment.status:
        case Status.PENDING:
            return "claimed" if payment.returned_by and not payment.returned_through else "pending"
        case Status.COMPLETED:
            announced = Hold.UNEXPECTED not in payment.holds
            return "refunds" if capabilities.shows_refunds and announced else None
        case Status.REFUNDED:
            return None
        case _:
            return "closed"


def came_back(payment: Payment, *, own: bool) -> Payment:
    """The payment after a return without an outcome: the `claimed` schedule runs through once.

    It runs through once more if a return to the payment's own path (`own`) follows one with our reference alone.
    """
    if payment.returned_by is None or (own and payment.returned_by == "reference"):
        payment = replace(payment, returned_by="own" if own else "reference", returned_through=False)
        return claimed_anew(payment)
    return payment


def claimed_anew(payment: Payment) -> Payment:
    """The payment with its `claimed` schedule begun again, if that is its schedule."""
    return replace(payment, step=0) if payment.schedule == "claimed" else payment


def delay_of(payment: Payment, checks: Checks) -> timedelta | None:
    """How long after the last question the schedule asks again; None where it has ended."""
    if payment.schedule is None:
        return None
    again = _again_at(payment, checks)
    return _step_of(payment, payment.schedule, checks) if again is None else again - (payment.asked_at or again)


def _step_of(payment: Payment, name: ScheduleName, checks: Checks) -> timedelta | None:
    """The delay of the payment's step in a schedule; None after the last step of `closed` or `refunds`."""
    delays: tuple[float, ...] = getattr(checks, name)
    if payment.step < len(delays):
        return timedelta(seconds=delays[payment.step])
    return timedelta(seconds=delays[-1]) if name in ("claimed", "pending") else None


def repeats_missed_check(payment: Payment, checks: Checks) -> bool:
    """Whether the last scheduled check brought no answer, and is repeated before the next step of its schedule."""
    return _again_at(payment, checks) is not None


def _again_at(payment: Payment, checks: Checks) -> datetime | None:
    """When a scheduled check that brought no answer is repeated: after ever longer waits, until an answer or `give_up`.

    No wait is longer than the longest delay of the schedule. A repetition is no step, so the next step still comes; in
    `pending` that step ends the repetitions. The last repetition comes at the moment when we give up, because the
    gateway may answer again by then. The `claimed` schedule repeats nothing.
    """
    missed, asked, name = payment.missed_at, payment.asked_at, payment.schedule
    if missed is None or asked is None or name is None or name == "claimed" or payment.missed_step != payment.step:
        return None
    wait = max(timedelta(seconds=checks.claimed[-1]), asked - missed)
    if name == "pending":
        step, until = _step_of(payment, name, checks), gives_up_at(payment, checks)
        if asked < until:
            wait = min(wait, until - asked)
        return asked + wait if step is not None and wait < step else None
    delays: tuple[float, ...] = getattr(checks, name)
    wait, until = min(wait, timedelta(seconds=max(delays))), missed + timedelta(seconds=checks.give_up)
    return min(asked + wait, until) if asked < until else None


def check_ended(payment: Payment, asked_at: datetime, *, answered: bool) -> Payment:
    """The payment after a reply that is no Fact: a scheduled check that was not `answered` is noted as missed."""
    if answered or payment.schedule in (None, "claimed"):
        return replace(payment, missed_at=None, missed_step=None)
    if payment.missed_step == payment.step:
        return payment
    return replace(payment, missed_at=asked_at, missed_step=payment.step)


def end_lease(payment: Payment) -> Payment:
    """The payment without a lease that ran out: no reply was recorded, so the check is noted as missed."""
    if payment.lease_until is None or payment.asked_at is None:
        return payment
    return replace(check_ended(payment, payment.asked_at, answered=False), lease_until=None)


def schedule_ended(payment: Payment, at: datetime, checks: Checks) -> bool:
    if payment.status is not Status.PENDING:
        return False
    heard_until = [claimed + timedelta(seconds=checks.give_up) for claimed in _unanswered(payment)]
    return at > max([gives_up_at(payment, checks), *heard_until])


def wants(claimed_at: datetime | None, asked_at: datetime | None) -> bool:
    """Whether a claim came and no question was asked since."""
    return claimed_at is not None and (asked_at is None or claimed_at > asked_at)


def unanswered_at(one: Payment | Candidate, payment: Payment) -> list[datetime]:
    """When the claims came that have led to a question about `one`, and that no Fact has answered yet.

    Unsigned claims do not count while the payment is pending and not given up, because its schedule asks anyway.
    """
    waits = payment.status is Status.PENDING and Hold.UNRESOLVED not in payment.holds
    hints = () if waits else (one.hinted_at, one.referred_at)
    return [
        at for at in (one.urgent_at, *hints) if at is not None and not wants(at, one.asked_at) and not answered(one, at)
    ]


def answered(one: Payment | Candidate, received_at: datetime) -> bool:
    """Whether a question that was asked after `received_at` brought a Fact."""
    return one.fact_asked_at is not None and one.fact_asked_at > received_at


def _unanswered(payment: Payment) -> list[datetime]:
    """As `unanswered_at`, of the payment and its confirmed candidates."""
    asked: list[Payment | Candidate] = [payment, *candidates.confirmed(payment)]
    return [at for one in asked for at in unanswered_at(one, payment)]


def _claimed(payment: Payment) -> bool:
    """Whether a claim of success came that the gateway has not denied since."""
    if any(one.success_at for one in candidates.confirmed(payment)):
        return not payment.status.closed
    if payment.success_at is None:
        return False
    return not payment.status.closed or not answered(payment, payment.success_at)
