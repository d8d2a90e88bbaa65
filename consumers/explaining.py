"""The story of one payment in plain sentences: what was claimed, asked, answered and decided, and what comes next.

The one thing to get wrong: explaining what should have been. Each sentence is of an entry that was recorded; only the
last two are of the payment as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from schemas.payments import Entry, Payment
from schemas.words import EntryKind, Hold, Status

HOLDS = {
    Hold.IDENTITY_MISMATCH: "the gateway answered about another payment than the one asked about",
    Hold.CURRENCY_MISMATCH: "the gateway names another currency than was asked for",
    Hold.AMOUNT_MISMATCH: "the gateway names another amount than was asked for",
    Hold.TRANSACTION_REUSED: "this transaction was already recorded for another payment",
    Hold.DUPLICATE_FOR_ORDER: "the order is paid twice",
    Hold.CONTRADICTION: "the gateway said paid, and later took it back",
    Hold.UNEXPECTED: "it is paid at the gateway, and was unknown here",
    Hold.UNMAPPED_STATUS: "the gateway used a status word that is not in its documentation",
    Hold.UNVERIFIABLE: "someone says it is paid, and this gateway cannot be asked",
    Hold.UNRESOLVED: "it was asked about until the schedule ended, and no answer settled it",
}

_PLANS = {
    "claimed": "someone says that it is paid, and the gateway does not confirm it yet",
    "pending": "it is not paid yet",
    "closed": "money may come late",
    "refunds": "it may be refunded",
}

_SOURCES = {
    "webhook": "A webhook of the gateway",
    "ipn": "A notification in the gateway's name",
    "return": "A browser that came back",
}


def explain(payment: Payment, entries: Sequence[Entry]) -> Iterator[tuple[datetime | None, str]]:
    """Sentences in order, each with its time; the last ones, without a time, say how it stands and what comes next."""
    asked = f"{payment.amount:.2f} {payment.currency} through {payment.account} ({payment.provider})"
    yield payment.opened_at, f"The shop asked for {asked}, reference {payment.reference}."
    for entry in entries:
        yield entry.at, _sentence(entry)
    yield None, _standing(payment)
    yield None, _next(payment)


def _sentence(entry: Entry) -> str:
    data = entry.data
    match entry.kind:
        case EntryKind.CLAIM:
            return _claim(data)
        case EntryKind.QUESTION:
            return _question(data)
        case EntryKind.ANSWER:
            return _answer(data)
        case EntryKind.DECISION:
            return f"Decided: {data['change']}."
        case EntryKind.EVENT:
            return f"Told subscribers {data['type']} ({data['id']})."
        case EntryKind.RESOLUTION:
            return f"{data['actor']} resolved it as {data['status']}: {data['reason']}."
        case EntryKind.DELIVERY:
            return f"Delivered {data.get('event_id', 'an event')}: {data.get('result', '')}."


def _claim(data: dict[str, Any]) -> str:
    then = "so we ask the gateway" if data["verdict"] == "asks" else f"and nothing is asked: {data['verdict']}"
    if data["source"] == "sweep":
        return "Our own schedule says that it is time to look."
    if data["source"] == "operator":
        return f"A person, or the shop's API, wants it looked at, {then}."
    said = f"said {data['said']}" if "said" in data else "named this payment"
    trust = "It is signed" if data["authenticity"] == "signed" else "Anyone could have sent it"
    return f"{_SOURCES[data['source']]} {said}. {trust}, {then}."


def _question(data: dict[str, Any]) -> str:
    if data["question"] == "execute":
        return "We asked the gateway to take the money (Execute)."
    if "transaction_asked" in data:
        return f"We asked the gateway about transaction {data['transaction_asked']}."
    return "We asked the gateway what happened."


def _answer(data: dict[str, Any]) -> str:
    took = f"after {data['seconds']:.3f} s"
    if "refused" in data:
        known = "does not know that transaction" if data["refused"] == "not_found" else "knows it as another payment's"
        return f"The gateway {known} ({took}); the claim is refused."
    if "inconclusive" in data:
        return f"No answer {took}: {data['inconclusive']} ({data['detail']}). That means nothing for the money."
    amount = f", {data['amount']} {data.get('currency') or ''}".rstrip() if data.get("amount") else ""
    transaction = f", transaction {data['transaction_id']}" if data.get("transaction_id") else ""
    return f"The gateway answered {took}: {data['status']} (its word: {data['word']}){amount}{transaction}."


def _standing(payment: Payment) -> str:
    late = ", late" if payment.late else ""
    if payment.hold is not None:
        money = "Nobody is told anything more until a person resolves it." if payment.held_for_money else ""
        return f"It stands at {payment.status}{late}, held as {payment.hold}: {HOLDS[payment.hold]}. {money}".rstrip()
    paid = f", transaction {payment.transaction_id}" if payment.transaction_id else ""
    return f"It stands at {payment.status}{late}{paid}; version {payment.version}."


def _next(payment: Payment) -> str:
    plans = []
    if payment.hold is not None:
        lifted = "a person resolves it" if payment.held_for_money else "a later answer lifts the hold, or a person"
        plans.append(f"{lifted} (payproof payments resolve)")
    if payment.next_check_at is not None:
        why = f", because {_PLANS[payment.schedule]}" if payment.schedule is not None else ""
        plans.append(f"we look again at {payment.next_check_at:%Y-%m-%d %H:%M:%SZ}{why}")
    if not plans:
        plans.append("nothing until a claim comes in" if payment.status is Status.PENDING else "nothing; it is settled")
    return f"Next: {'; '.join(plans)}."
