"""When what the gateway shows has to be published: after a callback, and by the schedules alone.

Only a disturbance of the simulation itself excuses a delay, and only until it was over.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate

from schemas.words import Hold, Said, Source, Status
from tests.unit.simulation.findings import Finding
from tests.unit.simulation.journal import Heard
from tests.unit.simulation.outcomes import found
from tests.unit.simulation.seen import CLOSED, HOUR, MINUTE, SECOND, Seen
from tests.unit.simulation.truth import State

REPLY = 5 * SECOND
"""How long a gateway without trouble takes for a question, and for the questions in flight before it."""
SLACK = 2 * SECOND
LEASE = 40 * SECOND
HINTS_PER_HOUR = 10
GUESSED = 5 * MINUTE
"""A guessed reference begins the close questions; the later ones are so far apart."""


def timely(everything: list[Seen]) -> Iterator[Finding]:
    for seen in everything:
        yield from _in_time(seen)


def _in_time(seen: Seen) -> Iterator[Finding]:
    paid = seen.truth.paid()
    states = paid or [state for state in seen.truth.states if state.status in CLOSED]
    bound = [(state, start) for state in states if (start := seen.binding_from(state)) is not None]
    if not bound or seen.account.calls_per_second is not None:
        return
    state, start = min(bound, key=lambda one: one[1])
    told_at = seen.first_told(*((Status.COMPLETED, Status.REFUNDED) if paid else CLOSED))
    if told_at is None:
        return  # `outcomes` reports it
    begun = start
    due = start + _longest(seen, state, start)
    while told_at > due:
        ends = [end for began, end in seen.troubles if began <= due and end > start]
        if not ends:
            yield found(
                "late",
                seen,
                f"to be heard from {begun}, told at {told_at}; without trouble since {start}, it was due at {due}",
            )
            return
        start = max(ends)
        due = start + _longest(seen, state, start)


def _longest(seen: Seen, state: State, at: datetime) -> timedelta:
    """How long it may take from `at` on until an answer is recorded, if nothing goes wrong."""
    waits = [_scheduled(seen, state, at)]
    claimed = timedelta(seconds=seen.checks.claimed[0])
    calls = [one.at for one in seen.genuine if one.at >= at and _counts(seen, one, state)]
    waits += [call - at + claimed + 2 * REPLY + SLACK for call in calls]
    return min(waits) + (claimed + REPLY if any(one.hostile for one in seen.heard) else timedelta(0))


def _counts(seen: Seen, one: Heard, state: State) -> bool:
    """Whether a callback asks at once: a signed one the first time, an unsigned one of the hour's ten of its kind."""
    if seen.by_candidate and one.transaction != seen.candidate_of(state):
        return False
    if one.signed:
        event = (one.source, one.said, one.transaction)
        return not any(
            two.signed and (two.source, two.said, two.transaction) == event and two.at < one.at for two in seen.heard
        )
    kin = [two for two in seen.heard if two.acknowledged and two.own == one.own and one.at - HOUR < two.at < one.at]
    return len(kin) < HINTS_PER_HOUR - 1


def _scheduled(seen: Seen, state: State, at: datetime) -> timedelta:
    """The step of the schedule that runs at that moment, its spread, and a lease."""
    closed_at = seen.first_told(*CLOSED)
    if closed_at is not None and closed_at <= at:
        # Two looks, each with a spread of its own, where the first comes a moment too soon.
        gap = HOUR if at - closed_at < HOUR else 25 * HOUR + 10 * MINUTE
        return gap + 10 * MINUTE + LEASE + 2 * REPLY + SLACK
    gap = _running(seen, state, at)
    spread = min(gap * 0.1, 10 * MINUTE) if gap >= MINUTE else timedelta(0)
    held = any(one.hold for one in seen.events if one.at <= at)
    # A transaction that is said to be paid has a schedule of its own, and keeps the payment open beyond its end.
    said = seen.by_candidate and _claimed_since(seen, state, at)[0] is not None
    if at < seen.closes_at and not held and not said and not seen.account.provider.capabilities.executes:
        gap = min(gap, seen.closes_at - at)
    return gap + spread + LEASE + 2 * REPLY + SLACK


def _running(seen: Seen, state: State, at: datetime) -> timedelta:
    """The step of `claimed` where that runs, else of `pending`. A question that brought nothing is a step too.

    A payment held as unresolved waits for a person, and is asked about on `pending` from then on.
    """
    checks = seen.checks
    extra = sum(not one.spoke for one in seen.asked if one.at <= at) + (at >= seen.closes_at)
    held_at = seen.first_held(Hold.UNRESOLVED)
    if held_at is not None and held_at <= at:
        return _step(checks.pending, at - held_at, extra)
    said, once = _claimed_since(seen, state, at)
    if said is not None:
        return _step(checks.claimed, at - said, extra)
    if once is not None and _steps(checks.claimed, at - once, extra) < len(checks.claimed):
        return _step(checks.claimed, at - once, extra)
    gap = _step(checks.pending, at - seen.payment.opened_at, extra)
    return max(gap, GUESSED) if any(one.hostile and one.acknowledged and one.at <= at for one in seen.heard) else gap


def _claimed_since(seen: Seen, state: State, at: datetime) -> tuple[datetime | None, datetime | None]:
    """Since when a claim says that it was paid; and since when `claimed` runs through once without such a claim.

    The latter is for a buyer who returned without a word, and for a transaction that is known and pending.
    """
    said: list[datetime] = []
    once: list[datetime] = [seen.payment.opened_at] if seen.named_by_shop else []
    for one in seen.heard:
        if not one.acknowledged or not one.own or one.at > at:
            continue
        if seen.by_candidate and one.transaction != seen.candidate_of(state):
            continue
        if one.said is Said.SUCCESS:
            said.append(one.at)
        elif (seen.by_candidate and not seen.named_by_shop) or (
            one.source is Source.RETURN and one.said is None and _wordless(seen)
        ):
            once.append(one.at)
    return min(said, default=None), min(once, default=None)


def _wordless(seen: Seen) -> bool:
    """Whether its redirects name nothing; on a path of the shop's own they name no payment of ours either."""
    return seen.account.provider.name in ("shadhinpay", "payparse", "ipay", "shurjopay") and seen.kind != "tracked"


def _steps(delays: tuple[float, ...], elapsed: timedelta, extra: int) -> int:
    return extra + sum(total <= elapsed.total_seconds() for total in accumulate(delays))


def _step(delays: tuple[float, ...], elapsed: timedelta, extra: int) -> timedelta:
    return timedelta(seconds=delays[min(_steps(delays, elapsed, extra), len(delays) - 1)])
