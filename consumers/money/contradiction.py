"""Whether a later answer denies the money, or the refund, that an earlier answer reported.

Two answers contradict each other only if they were asked by the same transaction and name no two sessions.
"""

from __future__ import annotations

from decimal import Decimal

from consumers.money.matching import returned
from schemas.answers import Fact
from schemas.payments import Payment, Resolution
from schemas.words import Status


def contradicted(
    payment: Payment, challengers: list[Fact], paid: list[Fact], resolution: Resolution | None, whole: Decimal
) -> bool:
    """Whether an answer to a question asked after a paid answer, or a paid resolution, denies its money or its refund.

    `challengers`: answers that fit and are covered by no resolution. `paid`: answers that fit and say paid. `whole`:
    the amount that a full refund returns.

    Where a gateway is asked by transaction (Moneybag), one transaction does not contradict another. Nor does an answer
    about a session that an opening replaced contradict the new session.
    """
    for later in challengers:
        for earlier in paid:
            after = later.last_asked_at > earlier.first_answered_at
            if after and _same_question(later, earlier) and _takes_back(later, earlier, whole):
                return True
        if resolution and resolution.status.paid and later.last_asked_at > resolution.at:
            about_it = later.transaction_asked in (None, resolution.recorded_transaction or later.transaction_asked)
            closes = about_it and _closes(later) and not closes_replaced(later, payment)
            answered = later.row is None and later.answer.paid
            if closes or (answered and resolution.status is Status.REFUNDED and returned(later.answer, whole) < whole):
                return True
    return False


def _same_question(later: Fact, earlier: Fact) -> bool:
    sessions = {session for fact in (later, earlier) if (session := fact.answer.session_id)}
    return later.transaction_asked == earlier.transaction_asked and len(sessions) < 2


def _takes_back(later: Fact, earlier: Fact, whole: Decimal) -> bool:
    """Whether the later answer denies the earlier one. A statement covers some days only, so it denies no refund."""
    status = later.answer.status
    if status is None or status is Status.PENDING:
        return False
    if status.closed:
        return True
    if later.row is not None:
        return False
    before, after = returned(earlier.answer, whole), returned(later.answer, whole)
    silent = later.answer.refunded_amount is None and status is Status.COMPLETED
    return before >= whole if silent else after < before


def closes_replaced(fact: Fact, payment: Payment) -> bool:
    """Whether the Fact closes a checkout that another opening replaced. It says nothing about the present checkout."""
    if not _closes(fact):
        return False
    if fact.answer.session_id and fact.answer.session_id in payment.aliases:
        return fact.answer.session_id != payment.session_id
    return fact.row is None and fact.last_asked_at < payment.opened_at


def _closes(fact: Fact) -> bool:
    return fact.answer.status is not None and fact.answer.status.closed
