"""The limits of an account, as pure rules: its call budget, and the circuit breaker for a gateway that is silent.

No worker waits for a limit. A question that may not be asked now is postponed, and the worker goes on with other
accounts. So an account that is over its budget, or whose gateway does not answer, delays no other account.
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
"""How many seconds of an account's budget may be used at once."""

ACCOUNT_BREAKER = CircuitBreaker(10, Backoff(timedelta(seconds=1), timedelta(seconds=30)))
"""Counts questions in a row without an answer."""

LONGEST_WAIT = timedelta(days=1)
"""The payment of an account with a small budget comes again after this, whatever is missing then."""

SPREAD = timedelta(seconds=2)
NOT_FOUND_THRESHOLD = 5
"""After so many answers "not found" in a row, about at least two payments, "not found" closes no payment of the
account."""

SOON = timedelta(seconds=3)
"""While an account's breaker is open, a postponed payment comes again after this time, or when the breaker's pause
ends, if that is sooner. The sweep skips the payments of the account meanwhile."""


class CallBudget(Struct):
    """One transaction's use of an account's limits.

    `rate`: calls per second; None: no budget. `room`: how many more questions this worker takes on; None: any number.
    `limits` is updated by each call of `acquire`. `waiting` counts the payments that were postponed for the budget, so
    that each gets a later time.
    """

    limits: AccountLimits
    rate: float | None
    now: datetime
    room: int | None = None
    waiting: int = 0

    def __post_init__(self) -> None:
        self.limits = refilled(self.limits, self.rate, self.now)

    def acquire(self, payment_id: str) -> datetime | None:
        """Count a question about a payment. Returns None if it may be asked now, else when the payment comes again."""
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
    """Whether the account's row has to be locked: its budget is shared, or its breaker admits one probe at a time."""
    return rate is not None or breaker_open(limits)


def breaker_open(limits: AccountLimits | None) -> TypeGuard[AccountLimits]:
    """Whether the breaker is open or half-open: no question is asked, or one at a time probes the gateway."""
    return limits is not None and ACCOUNT_BREAKER.tripped(limits.troubles)


def forgetful(limits: AccountLimits | None) -> bool:
    """Whether its gateway says "not found" about one payment after the other, so that this is not believed."""
    return limits is not None and len(limits.unknown_by) >= NOT_FOUND_THRESHOLD and len(set(limits.unknown_by)) > 1


def new_limits(account: str, rate: float | None, now: datetime) -> AccountLimits:
    """The limits of an account that was never asked: a full budget and a closed breaker."""
    return AccountLimits(account=account, calls=0.0 if rate is None else _bucket(rate).burst, at=now)


def refilled(limits: AccountLimits, rate: float | None, now: datetime) -> AccountLimits:
    """The limits at `now`, with the calls added that the budget has gained since `limits.at`."""
    if rate is None:
        return limits
    calls = _bucket(rate).refill(limits.calls, (now - limits.at).total_seconds())
    return replace(limits, calls=calls, at=max(now, limits.at))


class CountedReply(Struct, frozen=True, kw_only=True):
    """A reply, and how we know the id that it was asked by.

    `issued`: the gateway issued the id in a create reply. `claimed`: the gateway may not know the id, because it came
    from a claim alone or because no create reply came. `tells_unknown`: see `Capabilities`.
    """

    reply: Reply
    issued: bool = True
    claimed: bool = False
    tells_unknown: bool = True


def count_replies(
    limits: AccountLimits, rate: float | None, replies: Iterable[CountedReply], now: datetime
) -> AccountLimits:
    """The limits at `now` after these replies, in order.

    Calls are counted that a question took beyond the one of `CallBudget.acquire`. An answer, or another reply that is
    no failure, closes the breaker; a failure of the account opens it or makes its pause longer.
    """
    limits = refilled(limits, rate, now)
    for counted in replies:
        if rate is not None:
            limits = replace(limits, calls=limits.calls - _extra(counted.reply))
        limits = replace(limits, unknown_by=_unknown_by(limits, counted))
        failure = _failure(counted)
        if failure is None:
            trouble = _trouble(counted)
            if trouble is None or not trouble.is_failure or _may_be_unknown(counted):
                limits = replace(limits, troubles=0, shut_until=None)
            continue
        troubles = limits.troubles + 1
        shut_until = ACCOUNT_BREAKER.open_until(troubles, now, timedelta(seconds=failure.retry_after or 0))
        if limits.shut_until is not None and limits.shut_until != counted.reply.asked_at + TIMING.half_open_lease:
            # A question asked before the probe must not let another question in while the probe is under way.
            shut_until = max(shut_until or limits.shut_until, limits.shut_until)
        limits = replace(limits, troubles=troubles, shut_until=shut_until)
    return limits


def would_change(limits: AccountLimits | None, rate: float | None, replies: Iterable[CountedReply]) -> bool:
    """Whether `count_replies` would change the limits. If not, the account's row need not be locked."""
    if limits is not None and (limits.troubles > 0 or limits.unknown_by):
        return True
    return any(
        _failure(counted) or _trouble(counted) is Trouble.NOT_FOUND or (rate is not None and _extra(counted.reply))
        for counted in replies
    )


def _extra(reply: Reply) -> int:
    return max(0, reply.calls - 1)


def _trouble(counted: CountedReply) -> Trouble | None:
    """Why a reply is no answer; None where it is an answer. A ForeignTransaction is an answer here."""
    outcome = counted.reply.outcome
    if isinstance(outcome, Executed):
        outcome = outcome.then
    return outcome.trouble if isinstance(outcome, Inconclusive) else None


def _failure(counted: CountedReply) -> Inconclusive | None:
    """The reply if it counts as a failure of the account; else None.

    About an id that only a claim gave us, any sender could cause most kinds of failure, so only silence and 5xx count.
    """
    outcome = counted.reply.outcome
    if isinstance(outcome, Executed):
        if outcome.reply == "not_sent" and counted.reply.calls == 0:  # no request reached the gateway
            return None
        outcome = outcome.then
    if not isinstance(outcome, Inconclusive) or not outcome.trouble.is_failure or _may_be_unknown(counted):
        return None
    if counted.claimed and outcome.trouble not in (Trouble.NO_REPLY, Trouble.SERVER_ERROR):
        return None
    return outcome


def _may_be_unknown(counted: CountedReply) -> bool:
    """Whether it may say "not found" in a form that is not documented. Payments that nobody paid may all bring that."""
    return _trouble(counted) is Trouble.UNREADABLE and not counted.tells_unknown and not counted.claimed


def _unknown_by(limits: AccountLimits, counted: CountedReply) -> tuple[str, ...]:
    trouble = _trouble(counted)
    if trouble is Trouble.NOT_FOUND and counted.issued:
        return (*limits.unknown_by, counted.reply.payment_id)[-NOT_FOUND_THRESHOLD:]
    answered = trouble is None and not isinstance(counted.reply.outcome, ForeignTransaction)
    return () if answered else limits.unknown_by


def _bucket(rate: float) -> TokenBucket:
    return TokenBucket.of_seconds(rate, BURST_SECONDS)


def _spread(payment_id: str) -> timedelta:
    """A part of SPREAD, always the same for a payment, so that postponed payments do not all come at once."""
    return SPREAD * float(crc32(payment_id.encode()) / 2**32)
