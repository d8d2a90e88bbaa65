"""Execute beside an order's other attempts: which attempt may execute, which waits, and which came too late.

Two attempts must not take money for one order. Before a payment executes, its order is marked as being executed by it,
in the transaction that starts the question. A database server that took over from another may have lost that mark with
the Execute, its claim and its request. So there each open attempt is asked about before another executes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers.checks.execute import WAITS_SECONDS, drop_execute_request, may_execute, waiting
from consumers.ports.readings import Order
from consumers.rules import Rules
from schemas.payments import Payment


def in_line(payment: Payment, order: Order, rules: Rules, now: datetime) -> Payment:
    """The payment with its request to execute kept, made to wait or dropped, as its order requires.

    A request waits while another attempt executes, may have executed unknown to this server, or requested it earlier.
    It is dropped where another attempt is paid.
    """
    if payment.order_ref is None or not may_execute(payment, rules.capabilities(payment), now):
        return payment
    if order.paid_by not in (None, payment.id):
        return drop_execute_request(payment)
    others = order.executing not in (None, payment.id) or _may_have_executed(order, rules)
    if others or _older_requests(payment, order, now):
        return waiting(payment, now)
    if payment.execute_waits_until is not None:
        return replace(payment, execute_waits_until=now)  # the order is free
    return payment


def _may_have_executed(order: Order, rules: Rules) -> bool:
    """Whether an attempt that was open at a takeover may have executed. An attempt of an unknown account may have."""
    accounts = (rules.accounts.get(one) for one in order.unheard)
    return any(account is None or account.capabilities.executes for account in accounts)


def _older_requests(payment: Payment, order: Order, now: datetime) -> bool:
    """Whether another attempt requested an Execute earlier, and was looked at in the last WAITS_SECONDS."""
    mine, lately = payment.execute_wanted_at or payment.opened_at, now - timedelta(seconds=WAITS_SECONDS)
    return any(
        (one.wanted_at, one.payment_id) < (mine, payment.id)
        and one.waits_until is not None
        and one.waits_until > lately
        for one in order.execute_requests
    )
