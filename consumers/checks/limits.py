"""How much an account's gateway may be asked now: its budget of calls, and whether it has stopped answering.

The one thing to get wrong: waiting. A question that may not be asked now is not kept in a worker; its payment is told
when to come again, and the worker goes on with other accounts. So one account that is over its budget, whose gateway is
down or whose key was revoked, delays no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeGuard
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from consumers.pacing import Backoff, CircuitBreaker, TokenBucket
from consumers.ports.call_limits import AccountLimits
from consumers.ports.reply import Reply
from consumers.timing import TIMING
from schemas.answers import Executed, ForeignTransaction, Inconclusive, Trouble

BURST_SECONDS = 2.0
"""How many seconds of the budget may be used at once."""

ACCOUNT_BREAKER = CircuitBreaker(10, Backoff(timedelta(seconds=1), timedelta(seconds=30)))
"""It counts questions in a row without an answer."""

LONGEST_WAIT = timedelta(days=1)
"""The payment of an account with a small budget comes again after this, whatever is missing then."""

SPREAD = timedelta(seconds=2)
NOT_FOUND_THRESHOLD = 5
"""After so many answers "not found" in a row, about two payments at least, no payment of the account closes by one."""

SOON = timedelta(seconds=3)
"""While the breaker of an account is open, its payments come again after this, or sooner where the breaker closes.
Any answer closes it. The sweep leaves the payments of the account alone meanwhile."""


class CallBudget(Struct):
    """One transaction's use of an account. `room`: how many more questions this worker takes on; None, any number."""

    limits: AccountLimits
    rate: float | None
    now: datetime
    room: int | None = None
    waiting: int = 0

    def __post_init__(self) -> None:
        self.limits = refilled(self.limits, self.rate, self.now)

    def acquire(self, payment_id: str) -> datetime | None:
        """None: ask now, and it is counted. Else when to come again."""
        limits = self.limits
        if limits.shut_until is not None and limits.shut_until > self.now:
            return min(limits.shut_until, self.now + SOON) + _spread(payment_id)
        if self.rate is not None and limits.calls < 1:
            self.waiting += 1
            missing = (self.waiting - limits.calls) / self.rate
            return self.now + timedelta(seconds=min(missing, LONGEST_WAIT.total_seconds()))
        if self.room is not None and self.room < 1:
            return self.now + ACCOUNT_BREAKER.pauses.first + _spread(payment_id)
        probing = ACCOUNT_BREAKER.tripped(limits.troubles)
        self.limits = replace(
            limits,
            calls=limits.calls - (self.rate is not None),
            shut_until=self.now + TIMING.half_open_lease if probing else None,
        )
        if self.room is not None:
            self.room -= 1
        return None


def needs_lock(limits: AccountLimits | None, rate: float | None) -> bool:
    """Whether workers have to take turns: there is a budget to share, or a gateway to probe with one question."""
    return rate is not None or breaker_open(limits)


def breaker_open(limits: AccountLimits | None) -> TypeGuard[AccountLimits]:
    """Whether its gateway has stopped answering. Then nobody asks, or one question at a time probes it (half-open)."""
    return limits is not None and ACCOUNT_BREAKER.tripped(limits.troubles)


def forgetful(limits: AccountLimits | None) -> bool:
    """Whether its gateway says "not found" of one payment after the other, so that none is believed to be unknown."""
    return limits is not None and len(limits.unknown_by) >= NOT_FOUND_THRESHOLD and len(set(limits.unknown_by)) > 1


def new_limits(account: str, rate: float | None, now: datetime) -> AccountLimits:
    """The limits of an account that nobody asked about yet."""
    return AccountLimits(account=account, calls=0.0 if rate is None else _bucket(rate).burst, at=now)


def refilled(limits: AccountLimits, rate: float | None, now: datetime) -> AccountLimits:
    """With the calls that time brought since."""
    if rate is None:
        return limits
    calls = _bucket(rate).refill(limits.calls, (now - limits.at).total_seconds())
    return replace(limits, calls=calls, at=max(now, limits.at))


class CountedReply(Struct, frozen=True, kw_only=True):
    """A reply, and what is known of the id it is about.

    `issued`: the gateway made it, in a create reply. `claimed`: the gateway may not know it, because only a claim gave
    it to us, or because no create reply came.
    """

    reply: Reply
    issued: bool = True
    claimed: bool = False


def count_replies(
    limits: AccountLimits, rate: float | None, replies: Iterable[CountedReply], now: datetime
) -> AccountLimits:
    """The limits after these replies, in order, and after the calls that they took beside the one counted before."""
    limits = refilled(limits, rate, now)
    for counted in replies:
        if rate is not None:
            limits = replace(limits, calls=limits.calls - _extra(counted.reply))
        limits = replace(limits, unknown_by=_unknown_by(limits, counted))
        failure = _failure(counted)
        if failure is None:
            if _trouble(counted) in (None, Trouble.NOT_FOUND):  # the gateway answers
                limits = replace(limits, troubles=0, shut_until=None)
            continue
        troubles = limits.troubles + 1
        shut_until = ACCOUNT_BREAKER.open_until(troubles, now, timedelta(seconds=failure.retry_after or 0))
        if limits.shut_until is not None and limits.shut_until != counted.reply.asked_at + TIMING.half_open_lease:
            # One that was asked before the probe does not let another in while the probe is under way.
            shut_until = max(shut_until or limits.shut_until, limits.shut_until)
        limits = replace(limits, troubles=troubles, shut_until=shut_until)
    return limits


def would_change(limits: AccountLimits | None, rate: float | None, replies: Iterable[CountedReply]) -> bool:
    """Whether `count_replies` would change it, so that the row of a healthy account is not locked for nothing."""
    if limits is not None and (limits.troubles > 0 or limits.unknown_by):
        return True
    return any(
        _failure(counted) or _trouble(counted) is Trouble.NOT_FOUND or (rate is not None and _extra(counted.reply))
        for counted in replies
    )


def _extra(reply: Reply) -> int:
    return max(0, reply.calls - 1)


def _trouble(counted: CountedReply) -> Trouble | None:
    """Why a reply is no answer; None where it is one. That a claim's id is unknown, or another's, is an answer."""
    outcome = counted.reply.outcome
    if isinstance(outcome, Executed):
        outcome = outcome.then
    return outcome.trouble if isinstance(outcome, Inconclusive) else None


def _failure(counted: CountedReply) -> Inconclusive | None:
    """The reply if it counts as trouble of the account. "Not found" does not: the gateway answers.

    About an id that only a claim gave us anybody could bring most kinds about, so only silence and 5xx count.
    """
    outcome = counted.reply.outcome
    if isinstance(outcome, Executed):
        if outcome.reply == "not_sent" and counted.reply.calls == 0:  # we were late, and the gateway heard nothing
            return None
        outcome = outcome.then
    if not isinstance(outcome, Inconclusive) or outcome.trouble is Trouble.NOT_FOUND:
        return None
    if counted.claimed and outcome.trouble not in (Trouble.NO_REPLY, Trouble.SERVER_ERROR):
        return None
    return outcome


def _unknown_by(limits: AccountLimits, counted: CountedReply) -> tuple[str, ...]:
    trouble = _trouble(counted)
    if trouble is Trouble.NOT_FOUND and counted.issued:
        return (*limits.unknown_by, counted.reply.payment_id)[-NOT_FOUND_THRESHOLD:]
    answered = trouble is None and not isinstance(counted.reply.outcome, ForeignTransaction)
    return () if answered else limits.unknown_by


def _bucket(rate: float) -> TokenBucket:
    return TokenBucket.of_seconds(rate, BURST_SECONDS)


def _spread(payment_id: str) -> timedelta:
    """A part of the spread, the same for a payment each time, so that not all come at once."""
    return SPREAD * float(crc32(payment_id.encode()) / 2**32)
