"""The keys that a payment takes by its answers: sessions, transactions and the order. Each belongs to one payment.

The steps have to keep their order: sessions and references, then transactions, then the order. An answer that names
another payment's session takes no transaction, and an answer whose transaction is another payment's does not pay the
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from consumers.money.fold import Folded, fold
from consumers.money.matching import measure_of, mismatches, transaction_of
from consumers.ports.ledger import Batch
from consumers.ports.writes import Keys
from consumers.rules import Rules
from schemas.answers import Fact
from schemas.payments import Case, TakenKeys
from schemas.words import AnswerField, Status


class ReservedFold(Struct, frozen=True):
    """The keys of a payment that belong to other payments, and its fold without them."""

    taken_keys: TakenKeys
    folded: Folded


def fold_with_keys(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> tuple[Folded, Keys]:
    """Returns a payment's fold, and the keys that it takes by its answers, without those in `taken_keys`.

    An answer that echoes a session or reference of `taken_keys` does not fit, and takes nothing. If a key turns out to
    be another payment's when it is written, call this again with that key in `taken_keys`.
    """
    folded = fold(case, taken_keys, always)
    found = [
        one for one in (_names(case, taken_keys, always), _transactions(case, taken_keys, always)) if one is not None
    ]
    order = _order(case, folded)
    keys = Keys.of(
        case.payment,
        order_ref=None if order is None or taken_keys.order else order.order_ref,
        returned=order is not None and order.returned,
        transactions=frozenset().union(*(one.transactions for one in found)) - taken_keys.transactions,
        sessions=frozenset().union(*(one.sessions for one in found)) - taken_keys.sessions,
        references=frozenset().union(*(one.references for one in found)) - taken_keys.references,
    )
    return folded, keys


async def reserve_and_fold(batch: Batch, rules: Rules, cases: Sequence[Case]) -> dict[str, ReservedFold]:
    """Reserve the keys of each payment step by step, and fold it. Returns the folds by payment id.

    An answer that does not fit after one step takes no keys in the next.
    """
    by_id = {case.payment.id: case for case in cases}
    always = {payment_id: rules.capabilities(case.payment).always for payment_id, case in by_id.items()}
    taken_keys = {payment_id: TakenKeys() for payment_id in by_id}

    def reserved(payment_id: str) -> Folded:
        return fold(by_id[payment_id], taken_keys[payment_id], always[payment_id])

    for wanted in (_names, _transactions):
        await _reserve(batch, taken_keys, [wanted(by_id[one], taken_keys[one], always[one]) for one in by_id])
    folded_by_id = {payment_id: reserved(payment_id) for payment_id in by_id}
    await _reserve(batch, taken_keys, [_order(by_id[one], folded_by_id[one]) for one in by_id])
    return {
        one: ReservedFold(taken_keys[one], reserved(one) if taken_keys[one].order else folded_by_id[one])
        for one in by_id
    }


async def _reserve(batch: Batch, taken_keys: dict[str, TakenKeys], wanted: Iterable[Keys | None]) -> None:
    """Reserve keys, and add those that belong to other payments to `taken_keys`."""
    keys = [key for key in wanted if key is not None]
    for payment_id, others in (await batch.reserve(keys)).items():
        known = taken_keys[payment_id]
        taken_keys[payment_id] = TakenKeys(
            transactions=known.transactions | others.transactions,
            sessions=known.sessions | others.sessions,
            references=known.references | others.references,
            order=known.order or others.order,
        )


def _names(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> Keys:
    """The sessions that fitting answers name for a payment whose opening brought none.

    Other sessions and references are among them where a person accepted them with the money.
    """
    payment, facts = case.payment, _fitting(case, taken_keys, always)
    ours = set(payment.sessions) if payment.opened else set()
    sessions = {fact.answer.session_id for fact in facts if fact.answer.session_id} - ours
    references = {fact.answer.reference for fact in facts if fact.answer.reference} - {payment.reference}
    return Keys.of(payment, sessions=sessions, references=references)


def _transactions(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> Keys:
    """The transactions of the money, by fitting paid answers, and the one that a person recorded."""
    transactions = {
        transaction_of(fact.answer, case.payment)
        for fact in _fitting(case, taken_keys, always)
        if fact.answer.paid and not fact.refund
    }
    if case.resolutions and case.resolutions[-1].recorded_transaction is not None:
        transactions.add(case.resolutions[-1].recorded_transaction)
    return Keys.of(case.payment, transactions=transactions)


def _order(case: Case, folded: Folded) -> Keys | None:
    """The order, once the payment is paid; None before. Where all of the money went back, the order is released."""
    payment = case.payment
    status = max(payment.status, folded.status, key=lambda status: status.rank)
    if payment.order_ref is None or not status.paid:
        return None
    return Keys.of(payment, order_ref=payment.order_ref, returned=status is Status.REFUNDED)


def _fitting(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> list[Fact]:
    measured = measure_of(case, taken_keys, always)
    return [fact for fact in case.facts if not mismatches(fact, case.payment, taken_keys, always, measured)]
