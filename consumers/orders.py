"""Execute beside an order's other attempts: which of them goes, which waits, and which came too late.

The one thing to get wrong: two that take money for one order. Before a payment executes, its order is marked as being
executed by it, in the transaction that starts the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers.executing import WAITS_SECONDS, dropped, may_execute, waiting
from consumers.keys import judge
from consumers.ledger import Batch, Order
from consumers.rules import Rules
from schemas.payments import Case, Payment


def in_line(payment: Payment, order: Order, rules: Rules, now: datetime) -> Payment:
    """The payment with its wish to execute as its order lets it stand.

    A wish waits while another attempt executes or has wished for longer. It is dropped where another attempt is paid.
    """
    if payment.order_ref is None or not may_execute(payment, rules.capabilities(payment), now):
        return payment
    if order.paid_by not in (None, payment.id):
        return dropped(payment)
    if order.executing not in (None, payment.id) or _older_wishes(payment, order, now):
        return waiting(payment, now)
    if payment.execute_waits_until is not None:
        return replace(payment, execute_waits_until=now)  # its turn has come
    return payment


def _older_wishes(payment: Payment, order: Order, now: datetime) -> bool:
    """Whether another attempt wishes for longer, and was looked at lately."""
    mine, lately = payment.execute_wanted_at or payment.opened_at, now - timedelta(seconds=WAITS_SECONDS)
    return any(
        (one.wanted_at, one.payment_id) < (mine, payment.id)
        and one.waits_until is not None
        and one.waits_until > lately
        for one in order.wishes
    )


async def stand_in_line(batch: Batch, rules: Rules, payments: Sequence[Payment]) -> dict[str, Payment]:
    """The payments whose wish to execute changes by how their order stands.

    A wish waits while another attempt executes or has wished for longer. It is dropped where another attempt is paid.
    """
    wishing = [payment for payment in payments if _wishes(payment, rules, batch)]
    orders = await batch.orders(wishing)
    changed = {}
    for payment in wishing:
        match orders[payment.id]:
            case "paid":
                changed[payment.id] = dropped(payment)
            case "busy":
                changed[payment.id] = waiting(payment, batch.now)
            case "free" if payment.execute_waits_until is not None:
                changed[payment.id] = replace(payment, execute_waits_until=batch.now)  # its turn has come
    return changed


async def begin_executions(batch: Batch, rules: Rules, cases: Sequence[Case]) -> tuple[frozenset[str], list[Payment]]:
    """The ids of those that execute now, and the payments that have to wait, because another attempt was just quicker.

    Other keys are taken first, because a transaction that waits for another's must not hold an order meanwhile.
    """
    wishes = [case.payment for case in cases if _wishes(case.payment, rules, batch) and not _waits(case.payment, batch)]
    if not wishes:
        return frozenset(), []
    await judge(batch, rules, cases)
    allowed = await batch.begin_executions({payment.id for payment in wishes})
    return allowed, [waiting(payment, batch.now) for payment in wishes if payment.id not in allowed]


def _wishes(payment: Payment, rules: Rules, batch: Batch) -> bool:
    return may_execute(payment, rules.capabilities(payment), batch.now)


def _waits(payment: Payment, batch: Batch) -> bool:
    return payment.execute_waits_until is not None and payment.execute_waits_until > batch.now
