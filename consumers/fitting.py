"""What fits: whether an answer is about this payment, this amount and this currency, and about which money.

The one thing to get wrong: a gateway that says "paid" has said nothing yet. What it says must be about what was asked.
"""

from __future__ import annotations

from decimal import Decimal

from schemas.answers import Answer, Fact
from schemas.payments import Owners, Payment
from schemas.words import Hold, Status

ZERO = Decimal("0.00")
IN_EVERY_ROW = frozenset({"currency"})
"""What a row of a statement carries for sure; the amount too, but for those of refunds."""


def misfits(fact: Fact, payment: Payment, owners: Owners, always: frozenset[str]) -> frozenset[Hold]:
    """How an answer disagrees with the payment it was asked about; empty when it fits.

    Ids that are echoed must be ours whatever the status. Amount, currency and what the gateway declares to send always
    are demanded of an answer that says paid.
    """
    answer, always = fact.answer, always if fact.row is None else IN_EVERY_ROW
    found = set[Hold]()
    if answer.reference is not None and answer.reference != payment.reference:
        found.add(Hold.IDENTITY_MISMATCH)
    if answer.session_id is not None and (answer.session_id in owners.sessions or _strange(answer, payment)):
        found.add(Hold.IDENTITY_MISMATCH)
    if answer.status is None or not answer.status.paid:
        return frozenset(found)
    if any(getattr(answer, name) is None for name in always & {"session_id", "reference", "transaction_id"}):
        found.add(Hold.IDENTITY_MISMATCH)
    if answer.amount != payment.amount and (answer.amount is not None or "amount" in always):
        found.add(Hold.AMOUNT_MISMATCH)
    if answer.currency != payment.currency and (answer.currency is not None or "currency" in always):
        found.add(Hold.CURRENCY_MISMATCH)
    if answer.refunded_amount is not None and answer.refunded_amount > payment.amount:
        found.add(Hold.AMOUNT_MISMATCH)
    return frozenset(found)


def _strange(answer: Answer, payment: Payment) -> bool:
    """Whether the session it echoes is none of ours.

    Where the opening's reply was lost, no session of ours is known, and the one answered first must not decide about
    the next, or the order of recording would. There our reference has to stand beside it.
    """
    if payment.opened:
        return answer.session_id not in (payment.session_id, *payment.aliases)
    return answer.reference is None


def transaction_of(answer: Answer, payment: Payment) -> str:
    """The money's id: the transaction's, or where the gateway reports none, the session's, or our own reference."""
    return answer.transaction_id or session_of(answer, payment)


def session_of(answer: Answer, payment: Payment) -> str:
    """The session an answer is about; our reference where the answer names none and no opening gave one."""
    return answer.session_id or (payment.session_id if payment.opened else None) or payment.reference


def reuses(answer: Answer, payment: Payment, owners: Owners) -> bool:
    """Whether a paid answer names a transaction that another payment was recorded with first."""
    return answer.status is not None and answer.status.paid and transaction_of(answer, payment) in owners.transactions


def returned(answer: Answer, amount: Decimal) -> Decimal:
    """How much of the money went back, by one paid answer. `refunded` without a figure means all of it."""
    if answer.refunded_amount is not None:
        return answer.refunded_amount
    return amount if answer.status is Status.REFUNDED else ZERO
