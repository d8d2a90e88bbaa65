"""The amount of money that a decision about a payment is about, and whether two people have to make it."""

from __future__ import annotations

from decimal import Decimal

from schemas.payments import Case


def needs_second_person(case: Case, limit: Decimal | None, *named: Decimal) -> bool:
    """Whether two people decide about this payment.

    `limit` is the amount from which they do; None: one person does. `named`: further amounts that it is about.
    """
    at_stake = amount_at_stake(case)
    return limit is not None and (at_stake is None or max([at_stake, *named]) >= limit)


def amount_at_stake(case: Case) -> Decimal | None:
    """The greatest amount that the payment is about: asked for, accepted, gone back, or named in an answer.

    None where it is not known: an answer names money in another currency, or money that cannot be read.
    """
    payment, answers = case.payment, [fact.answer for fact in case.facts]
    if any(one.unreadable or one.currency not in (None, payment.currency) for one in answers):
        return None
    named = [amount for one in answers for amount in (one.amount, one.refunded_amount) if amount is not None]
    return max(payment.amount, payment.accepted_amount or payment.amount, payment.refunded_amount, *named)
