"""When nobody paid: what the clock may close, and what it must hand to a person instead.

The one thing to get wrong: `pending` proves that nobody paid only where the gateway says so (iPay) or where only our
own Execute takes money (OnePayBD). Everywhere else an open payment is asked on and then held, never closed. And one
answer proves nothing: a replica may be behind, so two of them close, `confirm_end` apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers import candidates
from consumers.asking import by_clock_alone, by_transaction, may_close
from consumers.gateway import Capabilities
from consumers.schedules import closes_at, gives_up_at
from schemas.answers import Answer, Inconclusive, Trouble
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import Hold, Status


def marked(
    payment: Payment,
    capabilities: Capabilities,
    checks: Checks,
    now: datetime,
    reply: Answer | Inconclusive | None = None,
    asked_at: datetime | None = None,
    *,
    forgetful: bool = False,
) -> Payment:
    """The payment with the clock's marks, if it is time: closed by the clock, or given up and handed to a person.

    `reply` is what the question asked at `asked_at` brought, if one was asked. `forgetful`: its gateway says "not
    found" of one payment after the other, which then closes none. The marks take effect in the fold.
    """
    if payment.status is not Status.PENDING:
        return payment
    end, proven = closes_at(payment, checks), False
    if reply is not None and asked_at is not None and asked_at >= end:
        known = payment.unpaid_at if payment.unpaid_at is not None and payment.unpaid_at >= end else None
        if _says_unpaid(payment, capabilities, end, reply, asked_at, forgetful=forgetful):
            known = known or asked_at
            proven = asked_at - known >= timedelta(seconds=checks.confirm_end)
        elif isinstance(reply, Answer):
            known = None
        payment = replace(payment, unpaid_at=known)
    if now >= end and may_close(payment):
        if proven or by_clock_alone(payment, capabilities):
            return replace(payment, expired_by_clock_at=now)
        if by_transaction(capabilities) and not candidates.confirmed(payment):
            return _unknown_to_the_end(payment, checks, end, now)
    return _given_up(payment, checks, now)


def _given_up(payment: Payment, checks: Checks, now: datetime) -> Payment:
    if now < gives_up_at(payment, checks) or Hold.UNRESOLVED in payment.holds:
        return payment
    if not payment.opened and may_close(payment):
        return replace(payment, expired_by_clock_at=now)
    return replace(payment, unresolved_at=now)


def _says_unpaid(
    payment: Payment,
    capabilities: Capabilities,
    end: datetime,
    reply: Answer | Inconclusive,
    asked_at: datetime,
    *,
    forgetful: bool,
) -> bool:
    """Whether the reply says that nobody paid. A checkout whose opening was lost has a URL that nobody knows."""
    if isinstance(reply, Inconclusive):
        unknown = reply.trouble is Trouble.NOT_FOUND and not forgetful
        return unknown or (not payment.opened and reply.trouble in (Trouble.NOT_FOUND, Trouble.UNREADABLE))
    if reply.status is not Status.PENDING:
        return False
    if capabilities.pending_expires or not payment.opened:
        return True
    after = capabilities.pending_expires_after
    said_since = payment.success_at is not None and payment.success_at >= end
    return after is not None and not said_since and asked_at >= end + timedelta(seconds=after)


def _unknown_to_the_end(payment: Payment, checks: Checks, end: datetime, now: datetime) -> Payment:
    """A payment by none of whose ids the gateway knows it, once each had its time.

    Where a signed claim, or a buyer on the payment's own path, said that it was paid by one, a person decides.
    """
    if not all(candidates.unknown_at_its_end(payment, one, end) for one in candidates.lasting(payment)):
        return _given_up(payment, checks, now)
    if candidates.vouched(candidates.unproven(payment)):
        held_before = payment.unresolved_at is not None  # and a person released it, to be asked about as long again
        return _given_up(payment, checks, now) if held_before else replace(payment, unresolved_at=now)
    if all(candidates.unpaid(one, checks, end) for one in candidates.lasting(payment)):
        return replace(payment, expired_by_clock_at=now)
    return _given_up(payment, checks, now)
