"""Execute beside an order's other attempts: which of them goes, which waits, and which came too late.

The one thing to get wrong: two that take money for one order. Nothing executes before its order was marked as
executing by it, in the transaction that starts the question.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from consumers.executing import dropped, may_execute, waiting
from consumers.keys import judge
from consumers.ledger import Batch
from consumers.rules import Rules
from schemas.payments import Case, Payment


async def stand_in_line(batch: Batch, rules: Rules, payments: Sequence[Payment]) -> dict[str, Payment]:
    """The payments whose wish to execute changes by how their order stands.

    It waits while another attempt executes, or wished for it earlier. It is dropped when another attempt is paid.
    """
    wishing = [payment for payment in payments if _wishes(payment, rules, batch)]
    changed = {}
    for payment_id, state in (await batch.orders(wishing) if wishing else {}).items():
        payment = next(one for one in wishing if one.id == payment_id)
        match state:
            case "paid":
                changed[payment_id] = dropped(payment)
            case "busy":
                changed[payment_id] = waiting(payment, batch.now)
            case "free" if payment.execute_waits_until is not None:
                changed[payment_id] = replace(payment, execute_waits_until=batch.now)  # its turn has come
            case "free":
                pass
    return changed


async def begin_executions(batch: Batch, rules: Rules, cases: Sequence[Case]) -> tuple[frozenset[str], list[Payment]]:
    """Which of these payments execute now, and those whose order another attempt took in this moment: they wait.

    Keys are taken first: a transaction that waits for another's must not hold an order meanwhile.
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
