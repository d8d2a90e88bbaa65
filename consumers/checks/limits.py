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

from consumers.ports.allowance import Allowance
from consumers.ports.reply import Reply
from schemas.answers import Executed, Inconclusive, Stranger, Trouble

BURST_SECONDS = 2.0
"""So much of the budget may be used at once."""

TROUBLES = 10
"""So many questions in a row without an answer, and the account is left alone for a while."""

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)
PROBE = timedelta(seconds=30)  # one question at a time then: as long as its lease
SPREAD = timedelta(seconds=2)
UNKNOWN = 5
"""So many answers "not found" in a row over two payments at least, and none of the account closes on such an answer."""

SOON = timedelta(seconds=3)
"""A payment that is turned away because the account is shut comes again after this, or sooner where it opens sooner. It
may open at any moment, because any answer opens it. The sweep leaves its payments alone meanwhile."""


class Asking(Struct):
    """One transaction's use of an account. `room`: how many more questions this worker takes on; None, any number."""

    allowance: Allowance
    rate: float | None
    now: datetime
    room: int | None = None
    waiting: int = 0

    def __post_init__(self) -> None:
        self.allowance = refilled(self.allowance, self.rate, self.now)

    def admit(self, payment_id: str) -> datetime | None:
        """None: ask now, and it is counted. Else when to come again."""
        allowance = self.allowance
        if allowance.shut_until is not None and allowance.shut_until > self.now:
            return min(allowance.shut_until, self.now + SOON) + _spread(payment_id)
        if self.rate is not None and allowance.calls < 1:
            self.waiting += 1
            return self.now + timedelta(seconds=(self.waiting - allowance.calls) / self.rate)
        if self.room is not None and self.room < 1:
            return self.now + FIRST_PAUSE + _spread(payment_id)
        probing = allowance.troubles >= TROUBLES
        self.allowance = replace(
            allowance,
            calls=allowance.calls - (self.rate is not None),
            shut_until=self.now + PROBE if probing else None,
        )
        if self.room is not None:
            self.room -= 1
        return None


def contended(allowance: Allowance | None, rate: float | None) -> bool:
    """Whether workers have to take turns: there is a budget to share, or a gateway to probe with one question."""
    return rate is not None or silent(allowance)


def silent(allowance: Allowance | None) -> TypeGuard[Allowance]:
    """Whether its gateway has stopped answering, so that its questions are probes, one at a time."""
    return allowance is not None and allowance.troubles >= TROUBLES


def forgetful(allowance: Allowance | None) -> bool:
    """Whether its gateway says "not found" of one payment after the other, so that none is believed to be unknown."""
    return allowance is not None and len(allowance.unknown_by) >= UNKNOWN and len(set(allowance.unknown_by)) > 1


def fresh(account: str, rate: float | None, now: datetime) -> Allowance:
    """The allowance of an account that nobody asked about yet."""
    return Allowance(account=account, calls=_burst(rate), at=now)


def refilled(allowance: Allowance, rate: float | None, now: datetime) -> Allowance:
    """With the calls that time brought since."""
    if rate is None:
        return allowance
    seconds = max(0.0, (now - allowance.at).total_seconds())
    return replace(allowance, calls=min(_burst(rate), allowance.calls + seconds * rate), at=max(now, allowance.at))


class Heard(Struct, frozen=True, kw_only=True):
    """A reply, and what is known of the id it is about.

    `issued`: the gateway made it, in a create reply. `claimed`: the gateway may not know it, because only a claim gave
    it to us, or because no create reply came.
    """

    reply: Reply
    issued: bool = True
    claimed: bool = False


def hear(allowance: Allowance, rate: float | None, replies: Iterable[Heard], now: datetime) -> Allowance:
    """The allowance after these replies, in order, and after the calls that they took beside the one counted before."""
    allowance = refilled(allowance, rate, now)
    for heard in replies:
        if rate is not None:
            allowance = replace(allowance, calls=allowance.calls - _extra(heard.reply))
        allowance = replace(allowance, unknown_by=_unknown_by(allowance, heard))
        counted = _counted(heard)
        if counted is None:
            if _trouble(heard) in (None, Trouble.NOT_FOUND):  # the gateway answers
                allowance = replace(allowance, troubles=0, shut_until=None)
            continue
        troubles = allowance.troubles + 1
        shut_until = now + _pause(troubles, counted) if troubles >= TROUBLES else None
        if allowance.shut_until is not None and allowance.shut_until != heard.reply.asked_at + PROBE:
            # One that was asked before the probe does not let another in while the probe is under way.
            shut_until = max(shut_until or allowance.shut_until, allowance.shut_until)
        allowance = replace(allowance, troubles=troubles, shut_until=shut_until)
    return allowance


def matters(allowance: Allowance | None, rate: float | None, replies: Iterable[Heard]) -> bool:
    """Whether `hear` would change it, so that the row of a healthy account is not locked for nothing."""
    if allowance is not None and (allowance.troubles > 0 or allowance.unknown_by):
        return True
    return any(
        _counted(heard) or _trouble(heard) is Trouble.NOT_FOUND or (rate is not None and _extra(heard.reply))
        for heard in replies
    )


def _extra(reply: Reply) -> int:
    return max(0, reply.calls - 1)


def _trouble(heard: Heard) -> Trouble | None:
    """Why a reply is no answer; None where it is one. That a claim's id is unknown, or another's, is an answer."""
    outcome = heard.reply.outcome
    if isinstance(outcome, Executed):
        outcome = outcome.then
    return outcome.trouble if isinstance(outcome, Inconclusive) else None


def _counted(heard: Heard) -> Inconclusive | None:
    """The reply if it counts as trouble of the account. "Not found" does not: the gateway answers.

    About an id that only a claim gave us anybody could bring most kinds about, so only silence and 5xx count.
    """
    outcome = heard.reply.outcome
    if isinstance(outcome, Executed):
        if outcome.reply == "not_sent" and heard.reply.calls == 0:  # we were late, and the gateway heard nothing
            return None
        outcome = outcome.then
    if not isinstance(outcome, Inconclusive) or outcome.trouble is Trouble.NOT_FOUND:
        return None
    if heard.claimed and outcome.trouble not in (Trouble.NO_REPLY, Trouble.SERVER_ERROR):
        return None
    return outcome


def _unknown_by(allowance: Allowance, heard: Heard) -> tuple[str, ...]:
    trouble = _trouble(heard)
    if trouble is Trouble.NOT_FOUND and heard.issued:
        return (*allowance.unknown_by, heard.reply.payment_id)[-UNKNOWN:]
    answered = trouble is None and not isinstance(heard.reply.outcome, Stranger)
    return () if answered else allowance.unknown_by


def _pause(troubles: int, trouble: Inconclusive) -> timedelta:
    """Longer with each trouble, or as long as the gateway asks, within bounds."""
    doubled = FIRST_PAUSE * float(2 ** min(troubles - TROUBLES, 5))
    return min(max(doubled, timedelta(seconds=trouble.retry_after or 0)), LONGEST_PAUSE)


def _burst(rate: float | None) -> float:
    return 0.0 if rate is None else max(1.0, rate * BURST_SECONDS)


def _spread(payment_id: str) -> timedelta:
    """A part of the spread, the same for a payment each time, so that not all come at once."""
    return SPREAD * float(crc32(payment_id.encode()) / 2**32)
