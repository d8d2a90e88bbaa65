"""When nobody paid: what the clock may close, and what it must hand to a person instead.

The one thing to get wrong: `pending` proves that nobody paid only where the gateway says so (iPay) or where only our
own Execute takes money (OnePayBD). Everywhere else an open payment is asked on and then held, never closed.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from consumers.asking import closes_at, gives_up_at, may_close, question
from consumers.gateway import Capabilities
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
) -> Payment:
    """The payment with the clock's marks, if it is time: closed by the clock, or given up and handed to a person.

    `reply` is what the question asked at `asked_at` brought, if one was asked. The marks take effect in the fold.
    """
    if payment.status is not Status.PENDING:
        return payment
    end = closes_at(payment, checks)
    if now >= end and may_close(payment):
        proven = question(payment, capabilities) is None or (
            asked_at is not None and asked_at >= end and _proves_no_payment(payment, reply, capabilities)
        )
        if proven:
            return replace(payment, expired_by_clock_at=now)
    if now >= gives_up_at(payment, checks) and Hold.UNRESOLVED not in payment.holds:
        if not payment.opened and may_close(payment):
            return replace(payment, expired_by_clock_at=now)
        return replace(payment, unresolved_at=now)
    return payment


def _proves_no_payment(payment: Payment, reply: Answer | Inconclusive | None, capabilities: Capabilities) -> bool:
    """Whether nobody can have paid. A checkout whose opening was lost has a URL that nobody knows."""
    if isinstance(reply, Inconclusive):
        return reply.trouble is Trouble.NOT_FOUND
    if reply is None or reply.status is not Status.PENDING:
        return False
    return capabilities.pending_expires or not payment.opened
