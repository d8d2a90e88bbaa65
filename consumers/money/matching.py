"""What fits: whether an answer is about this payment, this amount and this currency, and about which money.

The one thing to get wrong: a gateway that says "paid" has said nothing yet. What it says must be about what was asked.
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
"""What a row of a statement carries for sure; the amount too, but for those of refunds."""


class Mismatch(Struct, frozen=True, kw_only=True):
    """One field in which an answer disagrees with its payment, and the hold that this is.

    `given` is what the answer has there; None where it has nothing, or nothing that can be read. `expected` is ours,
    and of a refund the most that can have gone back. `of_others`: the id is another payment's. `unreadable`: the field
    holds something that is no money; a later answer about the same money lifts that without a person.
    """

    hold: Hold
    field: AnswerField
    given: str | Decimal | None = None
    expected: str | Decimal | None = None
    of_others: bool = False
    unreadable: bool = False

    @property
    def acceptable(self) -> bool:
        """Whether a person who takes the money takes this with it: its amount, its currency, the ids it goes by."""
        return not self.of_others and self.field is not MoneyField.REFUNDED


class Measure(Struct, frozen=True, kw_only=True):
    """What a payment is measured by: what the shop asked, or what a person accepted of the transaction they recorded.

    `whole` is all of the money, in takas and paisas. `accepted` are the mismatches of the answers that the person had
    before them. An answer is about the transaction if it names it, or if it names none in one of its `sessions`.
    """

    whole: Decimal
    transaction: str | None = None
    sessions: frozenset[str] = frozenset()
    accepted: frozenset[Mismatch] = frozenset()

    def of(self, answer: Answer, payment: Payment) -> frozenset[Mismatch]:
        """The mismatches that were accepted, for an answer about that transaction."""
        return self.accepted if _about(answer, payment, self.transaction, self.sessions) else frozenset()


def measure_of(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> Measure:
    """What was accepted by the last resolution, if it says paid, from the answers that it covers.

    An id that another payment has is never accepted, and nothing that was said of refunds is. Of several amounts the
    one that the shop asked for counts, else the greatest, because nothing is left only when all of that went back.
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
    """In what an answer disagrees with its payment, without what a person accepted; empty when it fits.

    Ids that are echoed must be ours whatever the status; an empty one is absent. Amount, currency and what the gateway
    declares to send always are demanded of an answer that says paid. Fees and times are never compared.
    """
    always = always if fact.row is None else IN_EVERY_ROW
    found = set(foreign_ids(fact, payment, taken_keys))
    if fact.answer.paid:
        found.update(_missing_ids(fact.answer, payment, always))
        found.update(_money_mismatches(fact.answer, payment, always, measured.whole))
    return frozenset(found) - measured.of(fact.answer, payment)


def foreign_ids(fact: Fact, payment: Payment, taken_keys: TakenKeys) -> Iterable[Mismatch]:
    """The ids it echoes that are not ours, whatever its status and whatever a person accepted."""
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
    """Whether the session it echoes is none of ours.

    Where the opening's reply was lost, no session of ours is known. The session that is answered first must not decide
    about the next one, or the order of recording would: so each has to be echoed beside our reference. The same holds
    where the question was on its way while the checkout was opened again.
    """
    reopened = payment.adopted_at is None and fact.row is None and fact.last_asked_at < payment.opened_at
    if payment.opened and not reopened:
        return fact.answer.session_id not in payment.sessions
    return not fact.answer.reference


def ids_of(known: Answer | Payment) -> dict[Id, str | None]:
    return {Id.SESSION: known.session_id, Id.REFERENCE: known.reference, Id.TRANSACTION: known.transaction_id}


def first_said(fact: Fact) -> tuple[datetime, datetime, str]:
    """The sort key for the order in which Facts were first answered."""
    return fact.first_answered_at, fact.first_asked_at, fact.key


def transaction_of(answer: Answer, payment: Payment) -> str:
    """The money's id: the transaction's, or where the gateway reports none, the session's, or our own reference."""
    return answer.transaction_id or session_of(answer, payment)


def session_of(answer: Answer, payment: Payment) -> str:
    """The session an answer is about; our reference where the answer names none and no opening gave one."""
    return answer.session_id or (payment.session_id if payment.opened else None) or payment.reference


def transactions_of(payment: Payment, paid: Iterable[Fact]) -> dict[str, str]:
    """Which transaction each Fact is about, by the Fact's key.

    One that names none is about the transaction that another Fact of its session named; of several, the first one's.
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
    """Whether two answers name one transaction or, where not both name one, are about one session."""
    if one.transaction_id and other.transaction_id:
        return one.transaction_id == other.transaction_id
    return session_of(one, payment) == session_of(other, payment)


def _about(answer: Answer, payment: Payment, transaction: str | None, sessions: frozenset[str]) -> bool:
    if answer.transaction_id:
        return answer.transaction_id == transaction
    return transaction is not None and session_of(answer, payment) in sessions


def reuses(answer: Answer, payment: Payment, taken_keys: TakenKeys) -> bool:
    """Whether a paid answer names a transaction that another payment was recorded with first."""
    return answer.paid and transaction_of(answer, payment) in taken_keys.transactions


def returned(answer: Answer, whole: Decimal) -> Decimal:
    """How much of the money went back, by one paid answer. `refunded` without a figure means all of it."""
    if answer.refunded_amount is not None:
        return in_paisas(answer.refunded_amount)
    return whole if answer.status is Status.REFUNDED else ZERO


def in_paisas(amount: Decimal) -> Decimal:
    """What tables and shops are told of an amount: never more than it is."""
    return max(amount, ZERO).quantize(PAISA, ROUND_DOWN)
