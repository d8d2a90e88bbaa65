"""The end of a payment that was not paid: when the clock closes it, and when it is held for a person instead.

A payment closed too early could still be paid. `pending` proves that it was not paid only where the gateway's
documentation says so (iPay), where only our own Execute takes money (OnePayBD), or after the time in an account's
`pending_expires_after`. Everywhere else a payment that the gateway calls pending is asked about until `give_up`, and
then held. One answer is not enough, because the gateway may answer from a stale replica: it takes two, `confirm_end`
apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from consumers.checks import candidates
from consumers.checks.next_check import by_clock_alone, may_close
from consumers.checks.planned_questions import by_candidate
from consumers.checks.schedule import closes_at, gives_up_at
from consumers.ports.gateway import Capabilities
from schemas.answers import Answer, Inconclusive, Trouble
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import Hold, Status


class AskedReply(Struct, frozen=True):
    """The reply about the payment as a whole to the question asked at `asked_at`.

    `forgetful`: its gateway says "not found" about one payment after the other, so "not found" closes no payment.
    """

    reply: Answer | Inconclusive
    asked_at: datetime
    forgetful: bool = False


def expire_or_give_up(
    payment: Payment, capabilities: Capabilities, checks: Checks, now: datetime, asked: AskedReply | None = None
) -> Payment:
    """The payment with a mark of the clock, if it is time: `expired_by_clock_at`, or `unresolved_at` when we give up.

    `asked` is None where no reply came. The fold turns the marks into a status or a hold.
    """
    if payment.status is not Status.PENDING:
        return payment
    end, proven = closes_at(payment, checks), False
    if asked is not None and asked.asked_at >= end:
        known = payment.unpaid_at if payment.unpaid_at is not None and payment.unpaid_at >= end else None
        if _says_unpaid(payment, capabilities, checks, end, asked):
            known = known or asked.asked_at
            last = min([asked.asked_at, *candidates.answered_at(payment)])
            proven = last - known >= timedelta(seconds=checks.confirm_end)
        elif isinstance(asked.reply, Answer):
            known = None
        payment = replace(payment, unpaid_at=known)
    if now >= end and may_close(payment):
        if proven or by_clock_alone(payment, capabilities):
            return replace(payment, expired_by_clock_at=now)
        if by_candidate(capabilities) and not candidates.confirmed(payment):
            return _unknown_to_the_end(payment, capabilities, checks, end, now)
    return _given_up(payment, checks, now)


def _given_up(payment: Payment, checks: Checks, now: datetime) -> Payment:
    if now < gives_up_at(payment, checks) or Hold.UNRESOLVED in payment.holds:
        return payment
    if not payment.opened and may_close(payment):
        return replace(payment, expired_by_clock_at=now)
    return replace(payment, unresolved_at=now)


def _says_unpaid(
    payment: Payment, capabilities: Capabilities, checks: Checks, end: datetime, asked: AskedReply
) -> bool:
    """Whether the reply says that the payment was not paid.

    `pending` is said of one candidate. So with `pending_expires_after` every other candidate has to be unpaid as well.
    Where the opening's reply was lost, no buyer can pay, because the checkout's URL is not known. So `pending`, "not
    found" and an unreadable reply all say so there.
    """
    reply = asked.reply
    if isinstance(reply, Inconclusive):
        unknown = reply.trouble is Trouble.NOT_FOUND and not asked.forgetful
        unread = reply.trouble in (Trouble.NOT_FOUND, Trouble.UNREADABLE, Trouble.UNDOCUMENTED)
        return unknown or (not payment.opened and unread)
    if reply.status is not Status.PENDING:
        return False
    if capabilities.pending_expires or not payment.opened:
        return True
    if capabilities.pending_expires_after is None:
        return False
    after = end + timedelta(seconds=capabilities.pending_expires_after)
    said = [payment.success_at, *(one.success_at for one in payment.candidates if not candidates.is_rejected(one))]
    said_since = any(at is not None and at >= end for at in said)
    answered = all(at >= after for at in [asked.asked_at, *candidates.answered_at(payment)])
    return answered and not said_since and _known_unpaid(payment, capabilities, checks, end)


def _known_unpaid(payment: Payment, capabilities: Capabilities, checks: Checks, end: datetime) -> bool:
    """Whether the gateway said "not found" of each unproven candidate, where that proves the payment unpaid."""
    left = candidates.lasting(payment)
    if not left:
        return True
    unknown = all(
        candidates.unknown_at_its_end(payment, one, end) and candidates.unpaid(one, checks, end) for one in left
    )
    return capabilities.unknown_expires and unknown and not candidates.vouched(left)


def _unknown_to_the_end(
    payment: Payment, capabilities: Capabilities, checks: Checks, end: datetime, now: datetime
) -> Payment:
    """The payment after its end, where the gateway knows it by no candidate.

    It closes once each candidate had its time and was "not found" twice, where that proves the payment unpaid. If one
    is `vouched` for, by a signed claim or by a success on the payment's own path, a person decides instead.
    """
    if not all(candidates.unknown_at_its_end(payment, one, end) for one in candidates.lasting(payment)):
        return _given_up(payment, checks, now)
    if candidates.vouched(candidates.unproven(payment)):
        held_before = payment.unresolved_at is not None  # and a person released it
        return _given_up(payment, checks, now) if held_before else replace(payment, unresolved_at=now)
    if _known_unpaid(payment, capabilities, checks, end):
        return replace(payment, expired_by_clock_at=now)
    return _given_up(payment, checks, now)
