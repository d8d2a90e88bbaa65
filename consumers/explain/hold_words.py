"""The words about a hold: why the payment is held, and what a person has to do."""

from __future__ import annotations

from datetime import timedelta

from consumers.checks import candidates
from consumers.checks.planned_questions import can_ask
from consumers.checks.repeated_failure import why
from consumers.explain.snapshot import PaymentSnapshot
from schemas.words import Hold

HOLD_CAUSES = {
    Hold.IDENTITY_MISMATCH: "the gateway answered about another payment than the one asked about",
    Hold.CURRENCY_MISMATCH: "the gateway names another currency than was asked for",
    Hold.AMOUNT_MISMATCH: "the gateway names another amount than was asked for, or one that is no money",
    Hold.TRANSACTION_REUSED: "this transaction was already recorded for another payment",
    Hold.DUPLICATE_FOR_ORDER: "the order is paid twice",
    Hold.CONTRADICTION: "the gateway said paid, and later took it back",
    Hold.UNEXPECTED: "it is paid at the gateway, and was unknown here",
    Hold.UNMAPPED_STATUS: "the gateway used a status word that is not in its documentation",
    Hold.UNVERIFIABLE: "someone says it is paid, and this gateway cannot be asked",
    Hold.UNRESOLVED: "it was asked about until the schedule ended, and no answer settled it",
}

TO_DO = {
    Hold.IDENTITY_MISMATCH: "find it in the gateway's panel by our reference; resolve it as what stands there",
    Hold.CURRENCY_MISMATCH: "look in the panel what was paid; completed if you accept it, else pay it back: refunded",
    Hold.AMOUNT_MISMATCH: "look in the panel what was paid; completed if you accept it, else pay it back: refunded",
    Hold.TRANSACTION_REUSED: "one payment of money, two orders: ship the first; resolve this one as failed",
    Hold.DUPLICATE_FOR_ORDER: "pay one of the two back at the gateway; refunded if it was this one, else completed",
    Hold.CONTRADICTION: "look in the panel if the money is there: completed if so, else refunded; ship nothing before",
    Hold.UNEXPECTED: "find whose money it is; ship and resolve it as completed, or pay it back: refunded",
    Hold.UNMAPPED_STATUS: "ask the gateway what its word means; resolve it, or wait for a later answer",
    Hold.UNVERIFIABLE: "look for the money in the gateway's panel or statement; completed if it is there, else failed",
    Hold.UNRESOLVED: "look in the gateway's panel; resolve it as what stands there, or as pending to ask on",
}
"""What the person has to do, by hold. The statuses in it are words of `payproof payments resolve --status`."""


def why_held(snapshot: PaymentSnapshot, hold: Hold) -> str:
    """Why it is held, in words. `unresolved` has four causes, and a person acts differently on each."""
    payment = snapshot.payment
    if hold is not Hold.UNRESOLVED:
        return HOLD_CAUSES[hold]
    if snapshot.failing is not None and snapshot.failing.stopped_at is not None:
        return f"what is known of it cannot be recorded: {why(snapshot.failing)}; see payproof dead list"
    gave_up_at = payment.opened_at + timedelta(seconds=snapshot.checks.give_up)
    named = [one.transaction_id for one in candidates.vouched(candidates.unproven(payment))]
    if named and payment.unresolved_at is not None and payment.unresolved_at < gave_up_at:
        return f"it was said to be paid by {', '.join(named)}, which the gateway never came to know"
    account = snapshot.account
    if payment.asked_at is None and account is not None and not can_ask(payment, account.capabilities):
        return "no question could be asked: no callback brought an id that the gateway can be asked by"
    return HOLD_CAUSES[hold]
