"""Accounts' allowances inside a transaction: whose questions may be asked now, and what their gateways brought.

Workers take turns, by locking its row, only at an account with a budget to share or a silent gateway to probe. The row
of any other account is read and left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from consumers import candidates
from consumers.allowance import Asking, Heard, contended, forgetful, fresh, hear, matters, silent
from consumers.answering import Reply
from consumers.ledger import Batch
from consumers.rules import Rules
from schemas.payments import Payment


async def admit(
    batch: Batch, rules: Rules, payments: Sequence[Payment], room: Mapping[str, int]
) -> Mapping[str, datetime]:
    """Count a question about each of these payments. Returns, by id, when those that may not be asked now come again.

    `room` is how many more questions this worker takes on for an account, where it bounds them.
    """
    accounts = {payment.account for payment in payments}
    rates = _rates(rules, accounts)
    stored = dict(await batch.allowances(accounts, locked=False))
    turns = {account for account in accounts if contended(stored.get(account), rates[account])}
    stored |= await batch.allowances(turns, locked=True)
    uses = {}
    for account in sorted(accounts):
        allowance = stored.get(account) or fresh(account, rates[account], batch.now)
        uses[account] = Asking(allowance, rates[account], batch.now, room.get(account))
    again_at = {payment.id: uses[payment.account].admit(payment.id) for payment in payments}
    await batch.write_allowances([uses[account].allowance for account in sorted(turns)])
    return {payment_id: at for payment_id, at in again_at.items() if at is not None}


class Unreliable(Struct, frozen=True, kw_only=True):
    """The accounts whose gateways are not to be relied on.

    `silent`: silent before these replies, and still. `forgetful`: they say "not found" of one payment after the other.
    """

    silent: frozenset[str]
    forgetful: frozenset[str]


async def hear_gateways(batch: Batch, rules: Rules, replies: Sequence[Reply]) -> Unreliable:
    """Count the calls that the questions took, and the questions that brought no answer."""
    by_account = defaultdict[str, list[Heard]](list)
    for reply in sorted(replies, key=lambda reply: reply.answered_at):
        if reply.payment_id in batch.cases:
            payment = batch.cases[reply.payment_id].payment
            by_account[payment.account].append(_heard(payment, reply))
    rates = _rates(rules, by_account)
    seen = dict(await batch.allowances(by_account.keys(), locked=False))
    touched = sorted(
        account for account, brought in by_account.items() if matters(seen.get(account), rates[account], brought)
    )
    stored = await batch.allowances(touched, locked=True)
    kept = []
    for account in touched:
        allowance = stored.get(account) or fresh(account, rates[account], batch.now)
        kept.append(hear(allowance, rates[account], by_account[account], batch.now))
    await batch.write_allowances(kept)
    return Unreliable(
        silent=frozenset(one.account for one in kept if silent(stored.get(one.account)) and silent(one)),
        forgetful=frozenset(one.account for one in kept if forgetful(one)),
    )


def _heard(payment: Payment, reply: Reply) -> Heard:
    asked = candidates.candidate(payment, reply.question.transaction_id) if reply.question.transaction_id else None
    claimed = not payment.opened or (asked is not None and asked.state != "confirmed")
    issued = payment.checkout_url is not None and reply.question.transaction_id is None
    return Heard(reply=reply, issued=issued, claimed=claimed)


def _rates(rules: Rules, accounts: Iterable[str]) -> dict[str, float | None]:
    return {account: rules.accounts[account].calls_per_second for account in accounts}
