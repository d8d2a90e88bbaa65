"""What the answers about a payment claim for it alone: sessions, transactions, the order.

The one thing to get wrong: the order of the steps. An answer that turns out to name another payment's session claims no
transaction, and one whose transaction is another's does not pay the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from consumers.money.fold import Standing, fold
from consumers.money.matching import differences, measure_of, says_paid, transaction_of
from consumers.ports.ledger import Batch, Keys
from consumers.rules import Rules
from schemas.answers import Fact
from schemas.payments import Case, Owners
from schemas.words import Status


class Judged(Struct, frozen=True):
    """Which of a payment's keys are others', and what it comes to by those that are its own."""

    owners: Owners
    standing: Standing


def claimed_by(case: Case, owners: Owners, always: frozenset[str]) -> tuple[Standing, Keys]:
    """What a payment comes to, and all the keys that its answers claim for it, but for those that are others'.

    An answer that does not fit by `owners` claims nothing. Where a key turns out to be another's, this is called again
    with that in `owners`.
    """
    standing = fold(case, owners, always)
    found = [one for one in (_names(case, owners, always), _transactions(case, owners, always)) if one is not None]
    order = _order(case, standing)
    keys = Keys.of(
        case.payment,
        order_ref=None if order is None or owners.order else order.order_ref,
        returned=order is not None and order.returned,
        transactions=frozenset().union(*(one.transactions for one in found)) - owners.transactions,
        sessions=frozenset().union(*(one.sessions for one in found)) - owners.sessions,
        references=frozenset().union(*(one.references for one in found)) - owners.references,
    )
    return standing, keys


async def judge(batch: Batch, rules: Rules, cases: Sequence[Case]) -> dict[str, Judged]:
    """Take the keys of each payment and judge it, step by step: what does not fit by one claims nothing in the next."""
    by_id = {case.payment.id: case for case in cases}
    always = {payment_id: rules.capabilities(case.payment).always for payment_id, case in by_id.items()}
    owners = {payment_id: Owners() for payment_id in by_id}

    def judged(payment_id: str) -> Standing:
        return fold(by_id[payment_id], owners[payment_id], always[payment_id])

    for wanted in (_names, _transactions):
        await _reserve(batch, owners, [wanted(by_id[one], owners[one], always[one]) for one in by_id])
    standings = {payment_id: judged(payment_id) for payment_id in by_id}
    await _reserve(batch, owners, [_order(by_id[one], standings[one]) for one in by_id])
    return {one: Judged(owners[one], judged(one) if owners[one].order else standings[one]) for one in by_id}


async def _reserve(batch: Batch, owners: dict[str, Owners], wanted: Iterable[Keys | None]) -> None:
    """Reserve keys, and add those that others have to `owners`."""
    keys = [key for key in wanted if key is not None]
    for payment_id, others in (await batch.reserve(keys)).items():
        known = owners[payment_id]
        owners[payment_id] = Owners(
            transactions=known.transactions | others.transactions,
            sessions=known.sessions | others.sessions,
            references=known.references | others.references,
            order=known.order or others.order,
        )


def _names(case: Case, owners: Owners, always: frozenset[str]) -> Keys:
    """The sessions that fitting answers name for a payment whose opening told us none.

    With them, the sessions and references that are not ours and that a person accepted with the money.
    """
    payment, facts = case.payment, _fitting(case, owners, always)
    ours = {payment.session_id, *payment.aliases} if payment.opened else set()
    sessions = {fact.answer.session_id for fact in facts if fact.answer.session_id} - ours
    references = {fact.answer.reference for fact in facts if fact.answer.reference} - {payment.reference}
    return Keys.of(payment, sessions=sessions, references=references)


def _transactions(case: Case, owners: Owners, always: frozenset[str]) -> Keys:
    """The transactions that money came by, as fitting answers say, and the one a person recorded."""
    transactions = {
        transaction_of(fact.answer, case.payment)
        for fact in _fitting(case, owners, always)
        if says_paid(fact.answer) and not fact.refund
    }
    if case.resolutions and case.resolutions[-1].recorded_transaction is not None:
        transactions.add(case.resolutions[-1].recorded_transaction)
    return Keys.of(case.payment, transactions=transactions)


def _order(case: Case, standing: Standing) -> Keys | None:
    """The order, once the payment is paid by what is its own. Where all went back, the order is let go."""
    payment = case.payment
    status = max(payment.status, standing.status, key=lambda status: status.rank)
    if payment.order_ref is None or not status.paid:
        return None
    return Keys.of(payment, order_ref=payment.order_ref, returned=status is Status.REFUNDED)


def _fitting(case: Case, owners: Owners, always: frozenset[str]) -> list[Fact]:
    measured = measure_of(case, owners, always)
    return [fact for fact in case.facts if not differences(fact, case.payment, owners, always, measured)]
