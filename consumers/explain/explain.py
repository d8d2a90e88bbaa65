"""The story of one payment in plain sentences. It answers "the buyer says he paid, where is my order?".

Each line of the story tells a recorded entry. Only the present state and the next steps come from the payment itself.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from consumers.checks.planned_questions import can_ask
from consumers.explain.answer_text import statement_row
from consumers.explain.collapse import TimelineLine, collapse_rounds
from consumers.explain.evidence import Evidence, evidence
from consumers.explain.next_steps import Plan, next_steps, where_it_stands
from consumers.explain.reached import Receiver, delivery_sentence
from consumers.explain.snapshot import PaymentSnapshot
from consumers.explain.timeline_text import timeline_lines
from schemas.changes import Entry
from schemas.payments import Payment
from schemas.words import EntryKind, Risk, Said, Status


class Explanation(Struct, frozen=True, kw_only=True):
    """The explanation of a payment.

    `summary` answers the question; `paid` is its part about the money alone. `story`: the timeline, with repetitions in
    one line. `standing`: the present state.
    `plans`: the next steps. `deliveries`: whether the newest event reached each endpoint.
    """

    summary: str
    paid: str
    evidence: Evidence | None
    story: tuple[TimelineLine, ...]
    standing: str
    plans: tuple[Plan, ...]
    deliveries: tuple[Receiver, ...] = ()


def explain_payment(snapshot: PaymentSnapshot) -> Explanation:
    payment = snapshot.payment
    paid = f"{_paid(snapshot)}{_risk(payment)}"
    return Explanation(
        summary=f"{paid} {delivery_sentence(snapshot.entries, snapshot.receivers)}",
        paid=paid,
        evidence=evidence(snapshot),
        story=tuple(collapse_rounds(list(timeline_lines(payment, snapshot.entries, snapshot.left_out)))),
        standing=where_it_stands(payment),
        plans=tuple(next_steps(snapshot)),
        deliveries=snapshot.receivers,
    )


def _paid(snapshot: PaymentSnapshot) -> str:
    """Whether it is paid, by whose word, and since when."""
    payment, money = snapshot.payment, f"{snapshot.payment.amount:.2f} {snapshot.payment.currency}"
    word = _word(snapshot)
    held = f", but held as {payment.hold}" if payment.hold else ""
    match payment.status:
        case Status.PENDING if payment.hold is not None:
            return f"Not proven: {money} is held as {payment.hold}, and a person must decide."
        case Status.PENDING:
            return _unpaid(snapshot, money)
        case Status.COMPLETED:
            back = f", {payment.refunded_amount:.2f} of it paid back" if payment.refunded_amount else ""
            late = ", late" if payment.late else ""
            return f"Paid{late}{held}: {money}{back}, {word}."
        case Status.REFUNDED:
            return f"Paid back{held}: {money}, {word}."
        case status:
            return f"Not paid{held}: {money} is {status}, {word}."


def _risk(payment: Payment) -> str:
    """A warning in words, where the gateway advises to wait with the goods."""
    if payment.status is not Status.COMPLETED or payment.risk is not Risk.HIGH:
        return ""
    return " The gateway rates its risk as high, and advises to look at it before the goods leave."


def _unpaid(snapshot: PaymentSnapshot, money: str) -> str:
    payment, account = snapshot.payment, snapshot.account
    if payment.checked_at is not None:
        answered_so = f"the gateway last said so at {_time(payment.checked_at)}"
    elif account is None or can_ask(payment, account.capabilities):
        answered_so = "and the gateway has given no answer yet"
    else:
        answered_so = "and the gateway cannot be asked" + (" yet" if account.capabilities.asked_by else "")
    claims = [
        one.at for one in snapshot.entries if one.kind is EntryKind.CLAIM and one.data.get("said") == Said.SUCCESS
    ]
    claimed = f" Someone said success at {_time(claims[-1])}, and that proves nothing." if claims else ""
    return f"Not paid so far: {money} is pending, {answered_so}.{claimed}"


def _word(snapshot: PaymentSnapshot) -> str:
    """In words: who decided the payment's status, and when that was recorded."""
    payment, last = snapshot.payment, None
    for entry in snapshot.entries:
        if entry.kind is EntryKind.RESOLUTION or (entry.kind is EntryKind.ANSWER and _says(entry, payment)):
            last = entry
        if entry.kind is EntryKind.DECISION and f"rose to {payment.status}" in entry.data["change"]:
            if last is not None and last.kind is EntryKind.RESOLUTION:
                return f"as {last.data['actor']} decided at {_time(entry.at)}"
            if last is not None and "statement" in last.data:
                return f"as {statement_row(last.data)} says, recorded at {_time(entry.at)}"
            if last is None and payment.expired_by_clock_at is not None:
                break
            return f"as the gateway itself said at {_time(entry.at)}"
    if payment.status is Status.EXPIRED and payment.expired_by_clock_at is not None:
        return f"as its time was over at {_time(payment.expired_by_clock_at)}"
    return f"since {_time(payment.completed_at or payment.checked_at or payment.opened_at)}"


def _says(entry: Entry, payment: Payment) -> bool:
    said = entry.data.get("status")
    return said == payment.status or (payment.status.paid and said in (Status.COMPLETED, Status.REFUNDED))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}"
