"""The basis of a decision: a digest of all that a person saw, so that nothing else is decided on."""

from __future__ import annotations

from hashlib import sha256

from schemas.payments import Case, TakenKeys


def basis_of(case: Case, others: TakenKeys) -> str:
    """A digest of all that a decision about the payment rests on. An answer that came again changes nothing.

    `others`: the keys of the payment, of its answers and of the decision that other payments have.
    """
    payment = case.payment
    money = (payment.amount, payment.accepted_amount, payment.refunded_amount, payment.currency)
    groups = (
        (payment.id, payment.version, payment.status, payment.transaction_id, *money, len(case.resolutions)),
        payment.holds,
        sorted(fact.key for fact in case.facts),
        sorted(others.transactions),
        sorted(others.sessions),
        sorted(others.references),
        (others.order,),
    )
    return sha256("\n\n".join("\n".join(map(str, group)) for group in groups).encode()).hexdigest()
