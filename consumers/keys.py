"""What the answers about a payment claim for it alone: sessions, transactions, the order.

The one thing to get wrong: the order of the steps. An answer that turns out to name another payment's session claims no
transaction, and one whose transaction is another's does not pay the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from consumers.fitting import misfits, transaction_of
from consumers.ledger import Batch, Keys
from consumers.lifecycle import Standing, fold
from consumers.rules import Rules
from schemas.answers import Fact
from schemas.payments import Case, Owners


class Judged(Struct, frozen=True):
    """Which of a payment's keys are others', and what it comes to by those that are its own."""

    owners: Owners
    standing: Standing


async def judge(batch: Batch, rules: Rules, cases: Sequence[Case]) -> dict[str, Judged]:
    """Take the keys of each payment and judge it, step by step: what does not fit by one claims nothing in the next.

    Most payments need one call, for their transactions; sessions are new and orders are named for few.
    """
    always = {case.payment.id: rules.capabilities(case.payment).always for case in cases}
    owners = {case.payment.id: Owners() for case in cases}
    for wanted in (_sessions, _transactions):
        await _reserve(batch, owners, [wanted(case, owners[(one := case.payment.id)], always[one]) for case in cases])
    standings = {(one := case.payment.id): fold(case, owners[one], always[one]) for case in cases}
    await _reserve(batch, owners, [_order(case, standings[case.payment.id]) for case in cases])
    return {
        (one := case.payment.id): Judged(
            owners[one], fold(case, owners[one], always[one]) if owners[one].order else standings[one]
        )
        for case in cases
    }


async def _reserve(batch: Batch, owners: dict[str, Owners], wanted: Iterable[Keys | None]) -> None:
    """Reserve keys, and note those that are others'."""
    keys = [key for key in wanted if key is not None]
    for payment_id, others in (await batch.reserve(keys) if keys else {}).items():
        known = owners[payment_id]
        owners[payment_id] = Owners(
            transactions=known.transactions | others.transactions,
            sessions=known.sessions | others.sessions,
            order=known.order or others.order,
        )


def _sessions(case: Case, owners: Owners, always: frozenset[str]) -> Keys | None:
    """The sessions that fitting answers name for a payment whose opening told us none."""
    facts = [] if case.payment.opened else _fitting(case, owners, always)
    sessions = {fact.answer.session_id for fact in facts if fact.answer.session_id is not None}
    return Keys.of(case.payment, sessions=sessions) if sessions else None


def _transactions(case: Case, owners: Owners, always: frozenset[str]) -> Keys | None:
    """The transactions that money came by, as fitting answers say, and the one a person recorded."""
    transactions = {
        transaction_of(fact.answer, case.payment)
        for fact in _fitting(case, owners, always)
        if fact.answer.status is not None and fact.answer.status.paid and not fact.refund
    }
    if case.resolutions and case.resolutions[-1].recorded_transaction is not None:
        transactions.add(case.resolutions[-1].recorded_transaction)
    return Keys.of(case.payment, transactions=transactions) if transactions else None


def _order(case: Case, standing: Standing) -> Keys | None:
    """The order, once the payment is paid by what is its own."""
    order_ref = case.payment.order_ref
    return Keys.of(case.payment, order_ref=order_ref) if order_ref is not None and standing.status.paid else None


def _fitting(case: Case, owners: Owners, always: frozenset[str]) -> list[Fact]:
    return [fact for fact in case.facts if not misfits(fact, case.payment, owners, always)]
