"""Execute, which takes the buyer's money (OnePayBD): when it may be asked, and what stays in doubt after it.

The one thing to get wrong: a second Execute, of the payment or of its order. While one is under way, or its reply was
lost, the money may have been taken. Its own reply ends that doubt, and so does an answer that says paid; another answer
can end it only if it was asked for at least a minute after the Execute.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers.ports.gateway import Capabilities
from consumers.timing import TIMING
from schemas.answers import Answer, Executed, QuestionOutcome
from schemas.payments import Payment
from schemas.words import Status

EXECUTE_TRIES = 20
EXECUTE_DOUBT = timedelta(hours=24)
REQUEST_VALID_FOR = timedelta(hours=1)
"""A claim that was kept for longer than this requests no Execute: the buyer who approved has gone."""

WAITS_SECONDS = 60
"""An older request goes before a younger one of its order, unless nobody has looked at it for so long."""

_SOON, _LATER = timedelta(seconds=2), timedelta(seconds=15)


def request_execute(payment: Payment, at: datetime) -> Payment:
    """The payment with the request of a success claim received at that time; a request that stands is not replaced."""
    if payment.execute_state is not None:
        return payment
    return replace(payment, execute_state="wanted", execute_wanted_at=at)


def drop_execute_request(payment: Payment) -> Payment:
    """The payment without a request; only a new claim of success brings one again."""
    return replace(payment, execute_state=None, execute_wanted_at=None, execute_waits_until=None)


def may_execute(payment: Payment, capabilities: Capabilities, now: datetime) -> bool:
    """Whether Execute may be asked now, the order's other attempts apart."""
    return (
        capabilities.executes
        and payment.execute_state == "wanted"
        and payment.session_id is not None
        and payment.status is Status.PENDING
        and not payment.held_for_money
        and now < payment.expires_at
        and payment.execute_tries < EXECUTE_TRIES
        and (payment.execute_asked_at is None or now >= payment.execute_asked_at + TIMING.execute_spacing)
    )


def waiting(payment: Payment, now: datetime) -> Payment:
    """The payment whose request waits for another attempt of its order: it is looked at again soon, then less often."""
    wanted = payment.execute_wanted_at or now
    wait = _SOON if now - wanted < TIMING.execute_again else _LATER
    return replace(payment, execute_waits_until=now + wait)


def request_checked_at(payment: Payment) -> datetime | None:
    """When a request that waits is looked at again; None where none waits, or its time is over."""
    at = payment.execute_waits_until
    return at if at is not None and payment.execute_state is not None and at < payment.expires_at else None


def to_the_back(payment: Payment, now: datetime) -> Payment:
    """The payment whose request had its turn and could not be sent: the order's other attempts go first."""
    return replace(payment, execute_wanted_at=now) if payment.execute_state == "wanted" else payment


def under_way(payment: Payment) -> bool:
    """Whether the last question was its Execute, and its reply is not written.

    The worker that asked it has the payment's turn while it lives. Where the turn is free, Query may be asked at once.
    """
    return payment.lease_until is not None and payment.asked_at == payment.execute_asked_at


def in_doubt(payment: Payment, now: datetime) -> bool:
    """Whether its Execute may be under way still: until a minute is over, or its reply is known."""
    asked = payment.execute_asked_at
    unanswered = payment.execute_state == "kept" and payment.execute_unanswered
    return unanswered and asked is not None and now < asked + TIMING.execute_again


def executing(payment: Payment, now: datetime) -> Payment:
    """The payment with an Execute in flight, in doubt until its reply is known.

    An earlier one whose reply was lost stays in doubt whatever becomes of this one.
    """
    return replace(
        payment,
        execute_doubted=payment.execute_unanswered,
        execute_state="kept",
        execute_waits_until=None,
        execute_unanswered=True,
        execute_asked_at=now,
        execute_tries=payment.execute_tries + 1,
    )


def taken_over(payment: Payment, since: datetime | None, now: datetime) -> Payment:
    """The payment on a server that took over from another at that time, where what was committed last may be missing.

    An Execute may have been sent and be missing too, so a request counts as one that was sent then and whose reply was
    lost: Query is asked, and again a minute later. For a payment that was opened afterwards only the minute counts,
    because other attempts of its order may be missing.
    """
    if since is None or payment.execute_state != "wanted":
        return payment
    before = payment.opened_at < since or now < since + TIMING.execute_again
    if not before or (payment.execute_asked_at is not None and payment.execute_asked_at >= since):
        return payment
    again_at = since + TIMING.execute_again
    return replace(
        payment, execute_state="kept", execute_waits_until=again_at, execute_unanswered=True, execute_asked_at=since
    )


def executed(payment: Payment, outcome: Executed, asked_at: datetime) -> Payment:
    """The payment after the reply to the Execute asked at that time, which ends the doubt about it.

    No reply, or one that cannot be read, leaves the doubt. A refusal drops the request, unless someone said "paid"
    while Execute was under way: a stranger may have brought this one about, and the buyer approved a moment later. An
    earlier Execute whose reply was lost stays in doubt.
    """
    doubted = payment.execute_doubted
    match outcome.reply:
        case "none" | "unread":
            return payment
        case "not_sent":
            tries, again_at = max(0, payment.execute_tries - 1), asked_at + TIMING.execute_spacing
            payment = replace(payment, execute_unanswered=doubted, execute_tries=tries, execute_waits_until=again_at)
            return to_the_back(replace(payment, execute_state="wanted"), asked_at)
        case "refused":
            said = payment.success_at
            payment = replace(payment, execute_unanswered=doubted)
            if said is not None and said > asked_at:
                return replace(payment, execute_state="wanted", execute_wanted_at=said)
            return drop_execute_request(payment)
        case "completed" | "settled" | "other":
            return replace(payment, execute_unanswered=doubted)


def ends_doubt(payment: Payment, outcome: QuestionOutcome, asked_at: datetime) -> bool:
    """Whether the payment is in doubt about the Execute asked at that time, and no more after this reply to it."""
    own = payment.execute_asked_at == asked_at and payment.execute_unanswered and not payment.execute_doubted
    return own and isinstance(outcome, Executed) and outcome.reply not in ("none", "unread")


def too_soon(payment: Payment, asked_at: datetime, outcome: QuestionOutcome) -> bool:
    """Whether an answer closes a payment whose Execute may still be under way: it was asked too soon to count.

    The reply to that Execute tells by itself whether it is over. The late reply to an earlier one tells nothing of it.
    """
    unanswered, executed_at = payment.execute_unanswered, payment.execute_asked_at
    if isinstance(outcome, Executed):
        unanswered = outcome.reply in ("none", "unread") if asked_at == executed_at else unanswered
        outcome = outcome.then
    closes = isinstance(outcome, Answer) and outcome.status is not None and outcome.status.closed
    return unanswered and closes and executed_at is not None and asked_at < executed_at + TIMING.execute_again


def answered_again(payment: Payment, capabilities: Capabilities, asked_at: datetime, answer: Answer) -> Payment:
    """The payment after a status answer: a minute after Execute, "pending" says that nothing was taken."""
    kept_long = (
        capabilities.executes
        and payment.execute_state == "kept"
        and payment.execute_asked_at is not None
        and asked_at >= payment.execute_asked_at + TIMING.execute_again
    )
    if kept_long and answer.status is Status.PENDING:
        return replace(payment, execute_state="wanted", execute_waits_until=asked_at)
    return payment


def frees_order(payment: Payment, capabilities: Capabilities) -> bool:
    """Whether the order's other attempts may execute as far as this one is concerned."""
    return capabilities.executes and payment.execute_state != "kept"
