"""The evidence for a decision on a held payment: the values asked by, answered and expected, side by side.

Answers that an earlier resolution covers are left out, because the others hold the payment now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from consumers.explain.hold_words import TO_DO, why_held
from consumers.explain.snapshot import Others, PaymentSnapshot
from consumers.money.matching import foreign_ids, measure_of, mismatches, reuses
from consumers.money.rule_names import named_row
from schemas.answers import Answer, Fact
from schemas.changes import Entry
from schemas.payments import Payment, TakenKeys
from schemas.words import AnswerField, EntryKind, Hold, Id, MoneyField, Said, Status

MOST_ANSWERS = 4

FIELD_NAMES: Mapping[AnswerField, str] = {
    MoneyField.AMOUNT: "amount",
    MoneyField.CURRENCY: "currency",
    MoneyField.REFUNDED: "refunded",
    Id.REFERENCE: "reference",
    Id.SESSION: "session",
    Id.TRANSACTION: "transaction",
}


class Compared(Struct, frozen=True, kw_only=True):
    """A field of an answer, side by side: what we asked by, what was answered, and what we know. None: nothing."""

    what: str
    asked: str | None = None
    answered: str | None = None
    expected: str | None = None
    differs: bool = False


class Answered(Struct, frozen=True, kw_only=True):
    """An answer, compared. `by` names the row of the statement that says so; None where the gateway answered."""

    first_at: datetime
    last_at: datetime
    by: str | None = None
    compared: tuple[Compared, ...]


class Evidence(Struct, frozen=True, kw_only=True):
    """Why a payment is held and what to do. `others`: sentences about related payments and claims."""

    hold: Hold
    holds: tuple[Hold, ...]
    since: datetime | None
    why: str
    to_do: str
    answers: tuple[Answered, ...]
    others: tuple[str, ...]


def evidence(snapshot: PaymentSnapshot) -> Evidence | None:
    """The evidence of a held payment; None where the payment is not held."""
    payment = snapshot.payment
    if payment.hold is None:
        return None
    return Evidence(
        hold=payment.hold,
        holds=payment.holds,
        since=held_since(snapshot.entries),
        why=why_held(snapshot, payment.hold),
        to_do=TO_DO[payment.hold],
        answers=tuple(_answered(fact, snapshot) for fact in _relevant(snapshot)),
        others=tuple(_others(snapshot)),
    )


def held_since(entries: Sequence[Entry]) -> datetime | None:
    """When the present hold began, even if its reason was another one then."""
    since = None
    for entry in entries:
        if entry.kind is EntryKind.DECISION and "hold" in entry.data:
            since = None if entry.data["hold"] is None else since or entry.at
    return since


def _relevant(snapshot: PaymentSnapshot) -> list[Fact]:
    """The answers to decide by, at most MOST_ANSWERS: those that hold it and those they contradict; else the newest."""
    payment, resolutions = snapshot.payment, snapshot.case.resolutions
    resolved_keys = resolutions[-1].settled if resolutions else frozenset[str]()
    taken_keys = _taken_keys(snapshot.others)

    def matters(fact: Fact) -> bool:
        if fact.answer.status is None or fact.answer.paid:
            return True
        against = fact.answer.status is not Status.PENDING and Hold.CONTRADICTION in payment.holds
        return against or any(foreign_ids(fact, payment, taken_keys))

    ordered = sorted(snapshot.case.facts, key=lambda fact: (fact.first_answered_at, fact.key))
    live = [fact for fact in ordered if fact.key not in resolved_keys and matters(fact)]
    earlier = [fact for fact in ordered if fact.key in resolved_keys and fact.answer.paid]
    chosen = (earlier[-1:] if Hold.CONTRADICTION in payment.holds else []) + live
    if len(chosen) > MOST_ANSWERS:
        chosen = [chosen[0], *chosen[1 - MOST_ANSWERS :]]
    return chosen or sorted(ordered, key=lambda fact: fact.last_answered_at)[-1:]


def _answered(fact: Fact, snapshot: PaymentSnapshot) -> Answered:
    return Answered(
        first_at=fact.first_answered_at,
        last_at=fact.last_answered_at,
        by=named_row(fact.row) if fact.row else None,
        compared=tuple(_compared(fact, snapshot)),
    )


def _compared(fact: Fact, snapshot: PaymentSnapshot) -> Iterable[Compared]:
    """Each field of an answer beside ours. `mismatches` says which of them differ, and the expected values."""
    answer, payment, taken_keys = fact.answer, snapshot.payment, _taken_keys(snapshot.others)
    capabilities = snapshot.account.capabilities if snapshot.account else None
    asked_by = capabilities.asked_by if capabilities else frozenset[Id]()
    candidate = (capabilities.candidates if capabilities else None) or Id.TRANSACTION
    session = fact.transaction_asked if candidate is Id.SESSION else payment.session_id
    by_session = Id.SESSION in asked_by and session is not None
    transaction = fact.transaction_asked if candidate is Id.TRANSACTION else None
    always = capabilities.always if capabilities else frozenset[AnswerField]()
    measured = measure_of(snapshot.case, taken_keys, always)
    wrong = {one.field: one for one in mismatches(fact, payment, taken_keys, always, measured)}

    def compared(
        field: AnswerField, answered: str | None, ours: str | None, *, asked: str | None = None, differs: bool = False
    ) -> Compared:
        one = wrong.get(field)
        return Compared(
            what=FIELD_NAMES[field],
            asked=asked,
            answered=answered,
            expected=ours if one is None or one.expected is None else _shown(one.expected),
            differs=differs or one is not None,
        )

    yield Compared(
        what="status",
        answered=_status(fact),
        expected=payment.status,
        differs=answer.status is None or (payment.status.paid and answer.status.closed),
    )
    yield compared(MoneyField.AMOUNT, _money(answer, MoneyField.AMOUNT, answer.amount), _shown(payment.amount))
    yield compared(MoneyField.CURRENCY, answer.currency, payment.currency)
    by_reference = Id.REFERENCE in asked_by and not by_session
    yield compared(Id.REFERENCE, answer.reference, payment.reference, asked=payment.reference if by_reference else None)
    yield compared(Id.SESSION, answer.session_id, payment.session_id, asked=session if by_session else None)
    known = payment.transaction_id or transaction
    another = None not in (known, answer.transaction_id) and answer.transaction_id != known
    yield compared(
        Id.TRANSACTION,
        answer.transaction_id,
        known,
        asked=transaction,
        differs=another or reuses(answer, payment, taken_keys),
    )
    told = answer.refunded_amount
    if told is not None or payment.refunded_amount or MoneyField.REFUNDED in wrong:
        yield compared(
            MoneyField.REFUNDED,
            _money(answer, MoneyField.REFUNDED, told),
            _shown(payment.refunded_amount),
            differs=answer.paid and told is not None and told < payment.refunded_amount,
        )


def _status(fact: Fact) -> str:
    if fact.unproven:
        return f"{fact.answer.word} (a statement's word alone)"
    return f"{fact.answer.status or 'unmapped'} ({fact.answer.word})"


def _others(snapshot: PaymentSnapshot) -> Iterable[str]:
    payment, others = snapshot.payment, snapshot.others
    for transaction_id, payment_id in sorted(others.transactions.items()):
        yield f"Transaction {transaction_id} was recorded first for {payment_id}."
    for session_id, payment_id in sorted(others.sessions.items()):
        yield f"Session {session_id} is that of {payment_id}."
    if others.order_paid_by is not None and Hold.DUPLICATE_FOR_ORDER in payment.holds:
        yield f"The order {payment.order_ref} is paid by {others.order_paid_by}."
    if Hold.UNVERIFIABLE in payment.holds:
        yield from _claimed(payment, snapshot.entries)


def _claimed(payment: Payment, entries: Sequence[Entry]) -> Iterable[str]:
    """The ids that the last claim of success named, beside ours, because the gateway cannot be asked."""
    claims = [entry for entry in entries if entry.kind is EntryKind.CLAIM and entry.data.get("said") == Said.SUCCESS]
    if claims:
        last = claims[-1]
        named = [
            f"{name.removesuffix('_id')} {last.data[name]}"
            for name in ("transaction_id", "session_id", "reference")
            if name in last.data
        ]
        told = f", and named {', '.join(named)}" if named else ""
        yield f"The last claim of success came at {last.at:%Y-%m-%d %H:%M:%SZ}{told}; expected is {payment.reference}."


def _taken_keys(others: Others) -> TakenKeys:
    return TakenKeys(transactions=frozenset(others.transactions), sessions=frozenset(others.sessions))


def _money(answer: Answer, field: MoneyField, told: Decimal | None) -> str | None:
    if field in answer.unreadable:
        return "no money"
    return None if told is None else _shown(told)


def _shown(value: str | Decimal) -> str:
    return f"{value:.2f}" if isinstance(value, Decimal) else value
