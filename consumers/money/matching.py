"""Whether an answer is about this payment, this amount and this currency, and which money it is about.

"Paid" alone proves nothing. The ids, the amount and the currency of the answer must be those of the payment.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from msgspec import Struct

from schemas.answers import Answer, Fact
from schemas.payments import Case, Payment, TakenKeys
from schemas.words import AnswerField, Hold, Id, MoneyField, Status

ZERO, PAISA = Decimal("0.00"), Decimal("0.01")
IN_EVERY_ROW: frozenset[AnswerField] = frozenset({MoneyField.CURRENCY})
"""The fields that every row of a statement has. Rows of payments have an amount as well."""


class Mismatch(Struct, frozen=True, kw_only=True):
    """One field in which an answer disagrees with its payment, and the hold that this causes.

    `given`: the answer's value; None where the field is missing or unreadable. `expected`: ours; for a refund, the most
    that can have gone back. `of_others`: the id belongs to another payment. `unreadable`: the field is no amount of
    money; a later answer about the same money lifts that without a person.
    """

    hold: Hold
    field: AnswerField
    given: str | Decimal | None = None
    expected: str | Decimal | None = None
    of_others: bool = False
    unreadable: bool = False

    @property
    def acceptable(self) -> bool:
        """Whether a person who accepts the money accepts this mismatch with it. Others' ids and refunds never are."""
        return not self.of_others and self.field is not MoneyField.REFUNDED


class Measure(Struct, frozen=True, kw_only=True):
    """The amount that a payment is measured by: the shop's, or one that a person accepted with a transaction.

    `whole`: all of the money, with two decimals. `accepted`: the mismatches of the answers that the resolution covers.
    An answer is about `transaction` if it names it, or if it names none and is about one of `sessions`.
    """

    whole: Decimal
    transaction: str | None = None
    sessions: frozenset[str] = frozenset()
    accepted: frozenset[Mismatch] = frozenset()

    def of(self, answer: Answer, payment: Payment) -> frozenset[Mismatch]:
        """The mismatches that are accepted for this answer; none where it is about another transaction."""
        return self.accepted if _about(answer, payment, self.transaction, self.sessions) else frozenset()


def measure_of(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> Measure:
    """The Measure of a case, by its last resolution; without one that says paid, `whole` is the amount known before.

    Of several amounts in the answers that the resolution covers, the amount that the shop asked for counts, else the
    greatest: only its full return leaves nothing.
    """
    payment, resolution = case.payment, case.resolutions[-1] if case.resolutions else None
    asked = Measure(whole=payment.accepted_amount or payment.amount)
    recorded = resolution.recorded_transaction if resolution and resolution.status.paid else None
    if resolution is None or recorded is None or recorded in taken_keys.transactions:
        return asked
    resolved_keys = [fact for fact in case.facts if fact.key in resolution.settled and fact.answer.paid]
    sessions = frozenset(
        session_of(one.answer, payment) for one in resolved_keys if one.answer.transaction_id == recorded
    )
    sessions |= {recorded}
    mine = [fact for fact in resolved_keys if _about(fact.answer, payment, recorded, sessions)]
    said = frozenset[Mismatch]().union(*(mismatches(fact, payment, taken_keys, always, asked) for fact in mine))
    amounts = {fact.answer.amount for fact in mine if fact.answer.amount is not None}
    fits = payment.amount in amounts
    whole = payment.amount if fits else max((in_paisas(amount) for amount in amounts), default=ZERO)
    return Measure(
        whole=whole if whole > 0 else asked.whole,
        transaction=recorded,
        sessions=sessions,
        accepted=frozenset(one for one in said if one.acceptable),
    )


def mismatches(
    fact: Fact, payment: Payment, taken_keys: TakenKeys, always: frozenset[AnswerField], measured: Measure
) -> frozenset[Mismatch]:
    """The mismatches of an answer with its payment, without those that a person accepted; empty when it fits.

    Echoed ids must be the payment's, for any status; an empty id counts as absent. An answer that says paid must also
    agree in amount and currency, where it has them, and have every field of `always`. Fees and times are never
    compared.
    """
    always = always if fact.row is None else IN_EVERY_ROW
    found = set(foreign_ids(fact, payment, taken_keys))
    if fact.answer.paid:
        found.update(_missing_ids(fact.answer, payment, always))
        found.update(_money_mismatches(fact.answer, payment, always, measured.whole))
    return frozenset(found) - measured.of(fact.answer, payment)


def foreign_ids(fact: Fact, payment: Payment, taken_keys: TakenKeys) -> Iterable[Mismatch]:
    """The mismatches of an answer's reference and session, for any status, and even if a person accepted them."""
    reference, session = fact.answer.reference, fact.answer.session_id
    if reference and (reference in taken_keys.references or reference != payment.reference):
        yield _foreign(Id.REFERENCE, reference, payment.reference, taken_keys.references)
    if session and (session in taken_keys.sessions or _foreign_session(fact, payment)):
        yield _foreign(Id.SESSION, session, payment.session_id, taken_keys.sessions)


def _foreign(kind: Id, given: str, expected: str | None, taken: frozenset[str]) -> Mismatch:
    hold, of_others = Hold.IDENTITY_MISMATCH, given in taken
    return Mismatch(hold=hold, field=kind, given=given, expected=expected, of_others=of_others)


def _missing_ids(answer: Answer, payment: Payment, always: frozenset[AnswerField]) -> Iterable[Mismatch]:
    for kind, given in ids_of(answer).items():
        if kind in always and not given:
            yield Mismatch(hold=Hold.IDENTITY_MISMATCH, field=kind, expected=ids_of(payment)[kind])


def _money_mismatches(
    answer: Answer, payment: Payment, always: frozenset[AnswerField], whole: Decimal
) -> Iterable[Mismatch]:
    amount, currency, refunded = answer.amount, answer.currency or None, answer.refunded_amount
    most = amount or whole
    if MoneyField.AMOUNT in answer.unreadable:
        yield Mismatch(hold=Hold.AMOUNT_MISMATCH, field=MoneyField.AMOUNT, expected=payment.amount, unreadable=True)
    elif amount != payment.amount and (amount is not None or MoneyField.AMOUNT in always):
        yield Mismatch(hold=Hold.AMOUNT_MISMATCH, field=MoneyField.AMOUNT, given=amount, expected=payment.amount)
    if currency != payment.currency and (currency or MoneyField.CURRENCY in always):
        yield Mismatch(
            hold=Hold.CURRENCY_MISMATCH, field=MoneyField.CURRENCY, given=currency, expected=payment.currency
        )
    if MoneyField.REFUNDED in answer.unreadable:
        yield Mismatch(hold=Hold.AMOUNT_MISMATCH, field=MoneyField.REFUNDED, expected=most, unreadable=True)
    elif refunded is not None and refunded > most:
        yield Mismatch(hold=Hold.AMOUNT_MISMATCH, field=MoneyField.REFUNDED, given=refunded, expected=most)


def _foreign_session(fact: Fact, payment: Payment) -> bool:
    """Whether the session that it echoes is none of the payment's.

    Where the opening's reply was lost, the payment has no session. If the session that is answered first decided about
    the next one, the order of recording would matter. So each session has to be echoed beside our reference. The same
    holds where the checkout was opened again while the question was on its way, and for a session that was asked by as
    a candidate.
    """
    reopened = payment.adopted_at is None and fact.row is None and fact.last_asked_at < payment.opened_at
    if payment.opened and not reopened and fact.answer.session_id != fact.transaction_asked:
        return fact.answer.session_id not in payment.sessions
    return not fact.answer.reference


def ids_of(known: Answer | Payment) -> dict[Id, str | None]:
    return {Id.SESSION: known.session_id, Id.REFERENCE: known.reference, Id.TRANSACTION: known.transaction_id}


def first_said(fact: Fact) -> tuple[datetime, datetime, str]:
    """The sort key of Facts by when they were first answered."""
    return fact.first_answered_at, fact.first_asked_at, fact.key


def transaction_of(answer: Answer, payment: Payment) -> str:
    """The id of the money that an answer is about: its transaction, else its session, else our reference."""
    return answer.transaction_id or session_of(answer, payment)


def session_of(answer: Answer, payment: Payment) -> str:
    """The session that an answer is about: its own, else that of the opened checkout, else our reference."""
    return answer.session_id or (payment.session_id if payment.opened else None) or payment.reference


def transactions_of(payment: Payment, paid: Iterable[Fact]) -> dict[str, str]:
    """Which transaction each Fact is about, by the Fact's key.

    A Fact without a transaction is about the one that the first Fact of its session names, else about `transaction_of`.
    """
    paid = list(paid)
    named = {
        session_of(fact.answer, payment): fact.answer.transaction_id
        for fact in reversed(paid)
        if fact.answer.transaction_id
    }
    return {
        fact.key: fact.answer.transaction_id
        or named.get(session_of(fact.answer, payment))
        or transaction_of(fact.answer, payment)
        for fact in paid
    }


def same_money(one: Answer, other: Answer, payment: Payment) -> bool:
    """Whether two answers name the same transaction or, if one names none, are about the same session."""
    if one.transaction_id and other.transaction_id:
        return one.transaction_id == other.transaction_id
    return session_of(one, payment) == session_of(other, payment)


def _about(answer: Answer, payment: Payment, transaction: str | None, sessions: frozenset[str]) -> bool:
    if answer.transaction_id:
        return answer.transaction_id == transaction
    return transaction is not None and session_of(answer, payment) in sessions


def reuses(answer: Answer, payment: Payment, taken_keys: TakenKeys) -> bool:
    """Whether a paid answer is about a transaction that belongs to another payment."""
    return answer.paid and transaction_of(answer, payment) in taken_keys.transactions


def returned(answer: Answer, whole: Decimal) -> Decimal:
    """The amount that went back, by one paid answer. The status `refunded` without an amount means all of `whole`."""
    if answer.refunded_amount is not None:
        return in_paisas(answer.refunded_amount)
    return whole if answer.status is Status.REFUNDED else ZERO


def in_paisas(amount: Decimal) -> Decimal:
    """The amount with two decimals, rounded down; at least zero."""
    return max(amount, ZERO).quantize(PAISA, ROUND_DOWN)
