"""What asking may cost, and Execute, which takes money: one at a time, within budgets, whatever strangers send."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from consumers.checks.limits import BURST_SECONDS
from consumers.timing import TIMING
from schemas.words import EntryKind, QuestionKind, Status
from tests.unit.simulation.accounts import STEADY
from tests.unit.simulation.findings import Finding
from tests.unit.simulation.journal import Asked
from tests.unit.simulation.mortal import HELD_FOR
from tests.unit.simulation.outcomes import found
from tests.unit.simulation.seen import HOUR, PROBING, SECOND, Seen
from tests.unit.simulation.workers import System

HINTS_PER_HOUR = 20
UNSIGNED_CANDIDATES = 20
STEADY_AT_MOST = 2 * SECOND
LOOKED_BEFORE = SECOND / 2
DOUBT, PROMPT = 60 * SECOND, 5 * SECOND


def costly(system: System, everything: list[Seen]) -> Iterator[Finding]:
    for seen in everything:
        yield from _hints(system, seen)
        yield from _candidates(seen)
        yield from _one_in_flight(seen)
    yield from _executes(everything)
    yield from _budgets(system)
    yield from _others_trouble(system)
    yield from _breakers(system)


def _cost(payment_id: str, words: str) -> Finding:
    return Finding(kind="cost", payment_id=payment_id, words=words)


def _hints(system: System, seen: Seen) -> Iterator[Finding]:
    """Unsigned claims ask twenty times an hour at most beside the schedule, never at once after another question."""
    spacing = timedelta(seconds=seen.checks.claimed[0])
    questions = [one for one in system.ledger.entries(seen.payment.id) if one.kind is EntryKind.QUESTION]
    hints = [one.at for one in questions if one.data["trigger"] == "hint"]
    if any(later - first < HOUR for first, later in zip(hints, hints[HINTS_PER_HOUR:], strict=False)):
        yield found("cost", seen, f"more than {HINTS_PER_HOUR} questions in an hour for what anyone can send")
    recorded = {one.at: one.recorded_at for one in seen.asked if one.recorded_at is not None}
    for before, one in pairwise(questions):
        unknown = recorded.get(before.at, before.at) >= one.at  # recorded between the look and the turn
        if one.data["trigger"] == "hint" and one.at - before.at < spacing and not unknown:
            yield found("cost", seen, f"asked for an unsigned claim {one.at - before.at} after another question")


def _candidates(seen: Seen) -> Iterator[Finding]:
    unsigned = [one for one in seen.payment.candidates if not one.signed and one.state != "confirmed"]
    if len([one for one in unsigned if one.state != "struck"]) > UNSIGNED_CANDIDATES or len(unsigned) > 100:
        yield found("cost", seen, f"{len(unsigned)} ids are kept that anyone could have sent")


def _one_in_flight(seen: Seen) -> Iterator[Finding]:
    """A question ends when it is recorded or its worker died, and its turn is free after HELD_FOR in any case.

    A question's time is that of the look that it was decided on, which may come a moment before its turn.
    """
    for before, one in pairwise(sorted(seen.asked, key=lambda asked: asked.at)):
        ends = [before.at + HELD_FOR, before.recorded_at, before.died_at]
        if one.at + LOOKED_BEFORE < min(end for end in ends if end is not None):
            yield found("cost", seen, f"asked at {one.at} while the question of {before.at} was in flight")


def _executes(everything: list[Seen]) -> Iterator[Finding]:
    """One in flight and none in doubt, of the payment and of its order; none after the end, none sent late."""
    orders = defaultdict[str, list[tuple[Asked, Seen]]](list)
    paid = defaultdict[str, list[tuple[datetime, Seen]]](list)
    for seen in everything:
        order = seen.payment.order_ref or seen.payment.id
        sent = [one for one in seen.asked if one.question.kind is QuestionKind.EXECUTE and one.sent]
        orders[order].extend((one, seen) for one in sent)
        for one in sent:
            if one.at >= seen.ends_at:
                yield found("wrong", seen, f"executed at {one.at}, after its end at {seen.ends_at}")
            if one.sent_at is not None and one.sent_at - one.at > PROMPT:
                yield found("wrong", seen, f"Execute of {one.at} was sent at {one.sent_at}")
        told_at = seen.first_told(Status.COMPLETED)
        if told_at is not None:
            paid[order].append((told_at, seen))
    for order, executes in orders.items():
        executes.sort(key=lambda one: one[0].at)
        for (before, _), (one, seen) in pairwise(executes):
            free_at = before.at + DOUBT
            if before.recorded_at is not None and not _in_doubt(before):
                free_at = before.recorded_at
            if one.at < free_at:
                yield found(
                    "doubled", seen, f"executed at {one.at}, and the one of {before.at} was open until {free_at}"
                )
        for one, seen in executes:
            for told_at, other in paid[order]:
                if other is not seen and told_at < one.at and other.first_told(Status.REFUNDED) is None:
                    yield found(
                        "doubled", seen, f"executed at {one.at}, and {other.payment.id} paid {order} at {told_at}"
                    )


def _in_doubt(asked: Asked) -> bool:
    return asked.told is None or not asked.told.spoke


def _budgets(system: System) -> Iterator[Finding]:
    """In any window that ends with a question: no more than the burst and the refill of that time."""
    for account, charges in system.journal.charges.items():
        rate = system.rules.accounts[account].calls_per_second
        if rate is None:
            continue
        burst, used, before = max(1.0, rate * BURST_SECONDS), 0.0, charges[0][0]
        for at, calls, asked in charges:
            used, before = max(0.0, used - (at - before).total_seconds() * rate) + calls, at
            if asked and used > burst + 1e-3:
                yield _cost("", f"{account}: {used:.2f} calls of {burst} at {at}")


def _others_trouble(system: System) -> Iterator[Finding]:
    """One account's trouble does not affect other accounts."""
    journal = system.journal
    if journal.longest_carried > STEADY_AT_MOST:
        yield _cost("", f"a claim waited {journal.longest_carried} for a worker")
    if journal.longest_sweep[STEADY.id] > STEADY_AT_MOST:
        yield _cost("", f"the sweep was {journal.longest_sweep[STEADY.id]} late for an account without any trouble")
    for refusal in journal.refusals:
        if refusal.account == STEADY.id:
            yield _cost(refusal.payment_id, f"an account without any trouble was turned away: {refusal}")


def _breakers(system: System) -> Iterator[Finding]:
    """One question probes at a time, and a gateway that answers again is asked again soon."""
    probing = defaultdict[str, list[Asked]](list)
    for one in system.journal.asked:
        if one.probes:
            probing[one.account].append(one)
    for account, probes in probing.items():
        for before, one in pairwise(probes):
            over = before.recorded_at or before.died_at or before.at + TIMING.half_open_lease
            if one.at < min(over, before.at + TIMING.half_open_lease):
                yield _cost("", f"{account}: probed at {one.at} and at {before.at} together")
    for gateway in system.gateways.values():
        account = gateway.account.id
        turned = [one for one in system.journal.refusals if one.account == account and one.shut]
        asked = [one.at for one in system.journal.asked if one.account == account]
        for outage in gateway.outages:
            if outage.kind == "slow" or not gateway.answers_at(outage.end):
                continue
            waiting = [one for one in turned if one.at <= outage.end < one.again_at]
            soon = outage.end + PROBING
            if waiting and gateway.answers_at(soon) and not any(outage.end <= at <= soon for at in asked):
                yield _cost("", f"{account}: not asked within {PROBING} after it was back at {outage.end}")
