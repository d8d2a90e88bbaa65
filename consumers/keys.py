"""What the answers about a payment claim for it alone: sessions, transactions, the order.

The one thing to get wrong: the order of the steps. An answer that turns out to name another payment's session claims no
transaction, and one whose transaction is another's does not pay the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.fitting import misfits, transaction_of
from consumers.ledger import Batch, Keys
from consumers.lifecycle import fold
from consumers.rules import Rules
from schemas.answers import Fact
from schemas.payments import Case, Owners


async def reserve(batch: Batch, rules: Rules, cases: Sequence[Case]) -> dict[str, Owners]:
    """Take the keys of each payment step by step: what does not fit by one step claims nothing in the next.

    Most payments need one call, for their transactions; sessions are new and orders are named for few.
    """
    owners = {case.payment.id: Owners() for case in cases}
    for wanted in (_sessions, _transactions, _order):
        keys = [
            key
            for case in cases
            if (key := wanted(case, owners[case.payment.id], rules.capabilities(case.payment).always)) is not None
        ]
        for payment_id, others in (await batch.reserve(keys) if keys else {}).items():
            known = owners[payment_id]
            owners[payment_id] = Owners(
                transactions=known.transactions | others.transactions,
                sessions=known.sessions | others.sessions,
                order=known.order or others.order,
            )
    return owners


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


def _order(case: Case, owners: Owners, always: frozenset[str]) -> Keys | None:
    """The order, once the payment is paid by what is its own."""
    order_ref = case.payment.order_ref
    paid = order_ref is not None and fold(case, owners, always).status.paid
    return Keys.of(case.payment, order_ref=order_ref) if paid else None


def _fitting(case: Case, owners: Owners, always: frozenset[str]) -> list[Fact]:
    return [fact for fact in case.facts if not misfits(fact, case.payment, owners, always)]
