"""What the shop's belief about a payment means to people: a title, a sentence, and how it looks.

A page promises no more than an event said. Only `completed` without a hold is money.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from worker.playground.shop.books import Believed, Event

HOLDS = {
    "identity_mismatch": "the gateway answered about another payment than the one asked about",
    "currency_mismatch": "the gateway names another currency than was asked for",
    "amount_mismatch": "the gateway names another amount than was asked for",
    "transaction_reused": "the transaction was already recorded for another payment",
    "duplicate_for_order": "the order is paid twice",
    "contradiction": "the gateway said paid, and later took it back",
    "unexpected": "it is paid at the gateway, and was unknown to Payproof",
    "unmapped_status": "the gateway used a word that is not in its documentation",
    "unverifiable": "someone says it is paid, and this gateway cannot be asked",
    "unresolved": "the gateway was asked until the schedule ended, and no answer settled it",
}
_CLOSED = {
    "failed": ("Not paid", "The gateway says that the payment was refused."),
    "cancelled": ("Cancelled", "The gateway says that the buyer turned back."),
    "expired": ("Not paid in time", "Nobody paid before the checkout ended."),
}


class Outcome(Struct, frozen=True):
    title: str
    text: str
    tone: Literal["good", "warn", "bad", "wait"]


def outcome_shown(believed: Believed, shipped: Event | None) -> Outcome:
    """`shipped` is the event that the payment's order was fulfilled on."""
    payment = believed.payment
    if payment.hold is not None:
        why = HOLDS.get(payment.hold, payment.hold.replace("_", " "))
        if shipped is None:
            return Outcome("Held: nothing leaves", f"A person has to look, because {why}.", "warn")
        return Outcome("Held after it was shipped", f"A person has to look, because {why}.", "warn")
    if shipped is not None and not paid_by(believed, shipped):
        return Outcome("Another attempt was paid", f"The order was shipped for {shipped.data.reference}.", "wait")
    if payment.status == "refunded":
        then = "the order had been shipped" if shipped else "nothing was shipped"
        return Outcome("Refunded", f"All of the money went back; {then}.", "bad")
    if payment.status == "completed" and shipped is not None:
        return Outcome("Fulfilled", _fulfilled(believed, shipped), "good")
    if payment.status in _CLOSED:
        title, text = _CLOSED[payment.status]
        return Outcome(title, f"{text} Nothing was shipped.", "bad")
    return Outcome("Waiting for proof", "No gateway has confirmed this payment yet, so nothing leaves.", "wait")


def paid_by(believed: Believed, shipped: Event) -> bool:
    """Whether the order was shipped for this attempt, and not for another attempt of it."""
    return shipped.data.payment_id == believed.payment.payment_id


def word(believed: Believed) -> str:
    """The payment's state in a word or two."""
    hold = believed.payment.hold
    return believed.payment.status if hold is None else f"held: {hold.replace('_', ' ')}"


def _fulfilled(believed: Believed, shipped: Event) -> str:
    text = f"Paid and proven. The parcel left once, at {shipped.time[11:19]} UTC, on event {shipped.id}."
    if believed.payment.refunded_amount != "0.00":
        text += f" {believed.payment.refunded_amount} {believed.payment.currency} was given back since."
    return text
