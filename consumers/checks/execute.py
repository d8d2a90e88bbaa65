"""Execute takes the buyer's money (OnePayBD, bKash): when it may be asked, and how long its effect is in doubt.

A second Execute, of the payment or of its order, could take money twice. While one is under way, or its reply was lost,
the money may have been taken. Its own reply ends that doubt, and so does an answer that says paid. Any other answer can
end it only if it was asked for at least a minute after the Execute.
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
"""An early claim that was kept for longer than this requests no Execute, because its buyer has gone."""

WAITS_SECONDS = 60
"""An older request of an order goes before a younger one, unless it was not looked at for so many seconds."""

_SOON, _LATER = timedelta(seconds=2), timedelta(seconds=15)


def request_execute(payment: Payment, at: datetime) -> Payment:
    """The payment with a request to execute, by a claim of success received `at`. An earlier request stays."""
    if payment.execute_state is not None:
        return payment
    return replace(payment, execute_state="wanted", execute_wanted_at=at)


def drop_execute_request(payment: Payment) -> Payment:
    """The payment without a request to execute. Only a new claim of success makes one again."""
    return replace(payment, execute_state=None, execute_wanted_at=None, execute_waits_until=None)


def may_execute(payment: Payment, capabilities: Capabilities, now: datetime) -> bool:
    """Whether Execute may be asked now, without regard to the order's other attempts."""
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
    """The payment with its request waiting for another attempt of its order: looked at again soon, later less often."""
    wanted = payment.execute_wanted_at or now
    wait = _SOON if now - wanted < TIMING.execute_again else _LATER
    return replace(payment, execute_waits_until=now + wait)


def request_checked_at(payment: Payment) -> datetime | None:
    """When a waiting request is looked at again; None where no request waits, or the payment expires before."""
    at = payment.execute_waits_until
    return at if at is not None and payment.execute_state is not None and at < payment.expires_at else None


def to_the_back(payment: Payment, now: datetime) -> Payment:
    """The payment whose request could not be sent in its turn, so that the order's other attempts go first."""
    return replace(payment, execute_wanted_at=now) if payment.execute_state == "wanted" else payment


def under_way(payment: Payment) -> bool:
    """Whether the last question was an Execute whose reply is not written.

    The worker that asked has the payment's turn while it lives. So where the turn is free, Query may be asked at once.
    """
    return payment.lease_until is not None and payment.asked_at == payment.execute_asked_at


def in_doubt(payment: Payment, now: datetime) -> bool:
    """Whether its last Execute may still be under way: its reply is not known, and it is less than a minute old."""
    asked = payment.execute_asked_at
    unanswered = payment.execute_state == "kept" and payment.execute_unanswered
    return unanswered and asked is not None and now < asked + TIMING.execute_again


def executing(payment: Payment, now: datetime) -> Payment:
    """The payment with an Execute asked now. It is in doubt until its reply is known.

    An earlier Execute whose reply was lost stays in doubt, whatever the reply to this one is.
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
    """The payment on a database server that took over at `since`, where the last commits of the other may be missing.

    An Execute may have been sent and be missing too. So a request counts as an Execute that was sent at `since` and
    whose reply was lost: Query is asked, and again a minute later. A payment that was opened after `since` only waits
    for that minute, because other attempts of its order may be missing.
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
    """The payment after the reply to its last Execute, which was asked at `asked_at`.

    The reply ends the doubt about that Execute, except for `none` and `unread`. A refusal drops the request, unless a
    claim of success came while Execute was under way: a stranger's claim may have led to this Execute, and the buyer
    approved a moment later. An earlier Execute whose reply was lost stays in doubt.
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
    """Whether the payment is in doubt about the Execute asked at `asked_at`, and this reply would end that doubt."""
    own = payment.execute_asked_at == asked_at and payment.execute_unanswered and not payment.execute_doubted
    return own and isinstance(outcome, Executed) and outcome.reply not in ("none", "unread")


def too_soon(payment: Payment, asked_at: datetime, outcome: QuestionOutcome) -> bool:
    """Whether an answer would close a payment and was asked too soon to count: its Execute may still be under way.

    The reply to that Execute tells by itself whether it has ended. A late reply to an earlier Execute does not.
    """
    unanswered, executed_at = payment.execute_unanswered, payment.execute_asked_at
    if isinstance(outcome, Executed):
        unanswered = outcome.reply in ("none", "unread") if asked_at == executed_at else unanswered
        outcome = outcome.then
    closes = isinstance(outcome, Answer) and outcome.status is not None and outcome.status.closed
    return unanswered and closes and executed_at is not None and asked_at < executed_at + TIMING.execute_again


def answered_again(payment: Payment, capabilities: Capabilities, asked_at: datetime, answer: Answer) -> Payment:
    """The payment after a status answer. A minute after Execute, `pending` proves that it took nothing."""
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
    """Whether this payment lets the order's other attempts execute."""
    return capabilities.executes and payment.execute_state != "kept"
