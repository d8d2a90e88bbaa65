"""Use and update the limits of accounts: acquire calls before questions are asked, and count replies afterwards.

An account's row is locked only where its call budget is shared, its breaker is open, or a reply changes its limits.
Otherwise workers do not wait for each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from consumers.checks import candidates
from consumers.checks.limits import (
    CallBudget,
    CountedReply,
    breaker_open,
    count_replies,
    forgetful,
    needs_lock,
    new_limits,
    would_change,
)
from consumers.ports.call_limits import AccountLimits
from consumers.ports.gateway import Capabilities
from consumers.ports.ledger import Ledger
from consumers.ports.readings import LookResult, Reading
from consumers.ports.reply import Reply
from consumers.rules import Rules
from schemas.payments import Payment


class Unreliable(Struct, frozen=True, kw_only=True):
    """The accounts whose gateways are unreliable now.

    `breaker_open`: their breaker was open before the replies that were just counted, and still is. `forgetful`: their
    gateway says "not found" about one payment after the other.
    """

    breaker_open: frozenset[str]
    forgetful: frozenset[str]

    @classmethod
    def any_of(cls, several: Iterable[Unreliable]) -> Unreliable:
        """The accounts that at least one of these names."""
        several = list(several)
        return cls(
            breaker_open=frozenset[str]().union(*(one.breaker_open for one in several)),
            forgetful=frozenset[str]().union(*(one.forgetful for one in several)),
        )


async def acquire_call_budget(
    ledger: Ledger, rules: Rules, looked: LookResult, payments: Sequence[Payment], room: Mapping[str, int]
) -> Mapping[str, datetime]:
    """Count a question about each of these payments. Returns by payment id when those that have to wait come again.

    A payment that is absent from the result may be asked about now. `room`: how many more questions this worker takes
    on, by account, where it bounds them.

    A counted call is not given back. A worker that fails before it asks costs each account at most the calls of this
    batch. If its question was the probe of a half-open breaker, the next probe comes after `half_open_lease`.
    """
    accounts = {payment.account for payment in payments}
    rates = _rates(rules, accounts)
    shared = sorted(one for one in accounts if needs_lock(looked.limits_by_account.get(one), rates[one]))
    if not shared:
        return _acquired(looked.limits_by_account, rates, payments, room, looked.now)[0]
    async with ledger.limits(shared) as limits:
        stored = {**looked.limits_by_account, **limits.limits_by_account}
        away, used = _acquired(stored, rates, payments, room, looked.now)  # a probe is known by its `asked_at`
        await limits.save([used[account].limits for account in shared])
    return away


def _acquired(
    stored: Mapping[str, AccountLimits],
    rates: Mapping[str, float | None],
    payments: Sequence[Payment],
    room: Mapping[str, int],
    now: datetime,
) -> tuple[dict[str, datetime], dict[str, CallBudget]]:
    used = {
        account: CallBudget(stored.get(account) or new_limits(account, rate, now), rate, now, room.get(account))
        for account, rate in sorted(rates.items())
    }
    again_at = {payment.id: used[payment.account].acquire(payment.id) for payment in payments}
    return {payment_id: at for payment_id, at in again_at.items() if at is not None}, used


async def record_gateway_health(
    ledger: Ledger,
    rules: Rules,
    readings: Mapping[str, Reading],
    limits_by_account: dict[str, AccountLimits],
    replies: Sequence[Reply],
) -> Unreliable:
    """Count in the limits the calls that these replies took, and those that are no answer. Returns unreliable accounts.

    `limits_by_account`: the limits that the caller read last; updated to those that are written. A reply about a
    payment that is not in `readings` is left out.
    """
    by_account = defaultdict[str, list[CountedReply]](list)
    for reply in sorted(replies, key=lambda reply: reply.answered_at):
        if reply.payment_id in readings:
            payment = readings[reply.payment_id].case.payment
            by_account[payment.account].append(_counted_reply(payment, reply, rules.capabilities(payment)))
    rates = _rates(rules, by_account)
    touched = sorted(
        account
        for account, brought in by_account.items()
        if would_change(limits_by_account.get(account), rates[account], brought)
    )
    if not touched:
        return RELIABLE
    async with ledger.limits(touched) as limits:
        kept = [
            count_replies(
                limits.limits_by_account.get(account) or new_limits(account, rates[account], limits.now),
                rates[account],
                by_account[account],
                limits.now,
            )
            for account in touched
        ]
        await limits.save(kept)
    limits_by_account.update({one.account: one for one in kept})
    return Unreliable(
        breaker_open=frozenset(
            one.account for one in kept if breaker_open(limits.limits_by_account.get(one.account)) and breaker_open(one)
        ),
        forgetful=frozenset(one.account for one in kept if forgetful(one)),
    )


RELIABLE = Unreliable(breaker_open=frozenset(), forgetful=frozenset())


def _counted_reply(payment: Payment, reply: Reply, capabilities: Capabilities) -> CountedReply:
    named = reply.question.candidate
    known = candidates.candidate(payment, named)  # None where its claim is recorded with this reply
    claimed = not payment.opened or (named is not None and (known is None or known.state != "confirmed"))
    issued = payment.checkout_url is not None and named is None
    return CountedReply(reply=reply, issued=issued, claimed=claimed, tells_unknown=capabilities.tells_unknown)


def _rates(rules: Rules, accounts: Iterable[str]) -> dict[str, float | None]:
    return {account: rules.accounts[account].calls_per_second for account in accounts}
