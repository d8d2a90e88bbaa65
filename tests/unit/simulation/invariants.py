"""What must hold in every simulated world, whatever its seed.

The one thing to get wrong: these must not ask the code under test what is right. They look at what gateways were asked
and what they said, at what was told, and at the clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import msgspec

from consumers.allowance import BURST_SECONDS, PROBE
from consumers.asking import LEASE, LONGEST_JITTER
from schemas.answers import Answer, Stranger
from schemas.checks import Checks
from schemas.payments import Candidate, Payment
from schemas.words import EntryKind, EventType, Hold, QuestionKind, Status
from tests.fakes.drive import AMOUNT
from tests.unit.simulation.gateways import State
from tests.unit.simulation.journal import Asked
from tests.unit.simulation.stories import STEADY
from tests.unit.simulation.workers import System

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
HINTS_PER_HOUR = 10
PAUSES_AT_MOST = 10 * SECOND + 30 * SECOND + 2 * SECOND
"""How long a gateway that is back may wait for its first question: the deadline of a probe that was silent when it came
back, the longest pause after that, and its spread."""
WAITS_AT_MOST = 15 * timedelta(minutes=1)
"""How long an account's own budget, its breaker or a dead worker may put off a question that is due."""

STEADY_AT_MOST = 2 * SECOND


def broken(system: System) -> Iterator[str]:
    """Every invariant that does not hold, in words; a world that is well yields nothing."""
    yield from _money(system)
    yield from _rest(system)
    yield from _events(system)
    yield from _budgets(system)
    yield from _hints(system)
    yield from _one_in_flight(system)
    yield from _others_trouble(system)
    yield from _breakers(system)


def _payments(system: System) -> Iterator[tuple[Payment, list[Asked]]]:
    for gateway in system.gateways.values():
        for payment_id in gateway.truths:
            yield system.ledger.payment(payment_id), system.journal.by_payment[payment_id]


# -- section 3: what the gateway said, we hold -------------------------------------------------------------------------


def _money(system: System) -> Iterator[str]:
    for payment, asked in _payments(system):
        answers = [one.answer for one in asked if one.recorded_at and isinstance(one.answer, Answer)]
        fitting = [one for one in answers if one.status is not None and one.amount in (None, payment.amount)]
        said = max(
            (one.status for one in fitting if one.status), key=lambda status: status.rank, default=Status.PENDING
        )
        back = max((_returned(one) for one in fitting), default=Decimal(0))
        if back == AMOUNT:
            said = Status.REFUNDED
        by_clock = said is Status.PENDING and payment.status is Status.EXPIRED
        if payment.status is not said and not by_clock:
            yield f"{payment!r}: the gateway said {said}"
        if payment.refunded_amount != back:
            yield f"{payment!r}: {payment.refunded_amount} is back, the gateway said {back}"
        transactions = {one.transaction_id for one in fitting if one.status and one.status.paid}
        if (len(transactions - {None}) > 1) and Hold.DUPLICATE_FOR_ORDER not in payment.holds:
            yield f"{payment!r}: paid by {transactions} and not held"
        short = any(one.amount not in (None, payment.amount) for one in answers)
        if short != (Hold.AMOUNT_MISMATCH in payment.holds):
            yield f"{payment!r}: amount_mismatch should be {short}"
        never = {Hold.IDENTITY_MISMATCH, Hold.CURRENCY_MISMATCH, Hold.TRANSACTION_REUSED, Hold.CONTRADICTION}
        if never & set(payment.holds):
            yield f"{payment!r}: {payment.holds}, and no gateway contradicted itself"
        yield from _truth(system, payment, asked)


def _truth(system: System, payment: Payment, asked: list[Asked]) -> Iterator[str]:
    """Whoever may still be asked when the truth comes out is asked again, until there is an answer."""
    capabilities = system.rules.accounts[payment.account].provider.capabilities
    if not capabilities.asked_by:
        return
    for transaction, state in _last_words(system, payment).items():
        if not _visible(state, payment, capabilities.shows_refunds):
            continue
        later = [one for one in asked if one.at > state.at and one.question.transaction_id == transaction]
        if any(isinstance(one.answer, Answer) and one.recorded_at for one in later):
            continue  # what was answered was compared with what we hold already
        if transaction is not None and all(one.transaction_id != transaction for one in payment.candidates):
            continue  # nobody ever told us of it
        if later and all(_unanswered(one) for one in later):
            continue  # it was asked, and the gateway did not say
        rests_since = system.journal.courses[payment.id].rests_since
        gap = timedelta(seconds=system.rules.checks.pending[-1]) + LONGEST_JITTER + WAITS_AT_MOST
        if rests_since is None or rests_since - state.at > gap:
            yield f"{payment!r}: nobody asked after {state} until {rests_since}"
        if payment.status is Status.PENDING and not payment.holds:
            yield f"{payment!r}: open, though the gateway says {state}"


def _last_words(system: System, payment: Payment) -> dict[str | None, State]:
    """The last state of the payment, or of each transaction where those are asked about."""
    truth = system.gateways[payment.account].truths[payment.id]
    by_transaction = "transaction_id" in system.rules.accounts[payment.account].provider.capabilities.asked_by
    found: dict[str | None, State] = {}
    for state in truth.states:
        if not by_transaction or state.transaction is not None:
            found[state.transaction if by_transaction else None] = state
    return found


def _visible(state: State, payment: Payment, shows_refunds: bool) -> bool:
    back = state.refunded is not None or state.status is Status.REFUNDED
    return state.status not in ("odd", "unknown", Status.PENDING) and (shows_refunds or not back) and payment.opened


def _unanswered(one: Asked) -> bool:
    return one.recorded_at is None or not isinstance(one.answer, Answer | Stranger)


def _returned(answer: Answer) -> Decimal:
    if answer.refunded_amount is not None:
        return answer.refunded_amount
    return AMOUNT if answer.status is Status.REFUNDED else Decimal(0)


# -- section 3.8: nothing ends in silence ------------------------------------------------------------------------------


def _rest(system: System) -> Iterator[str]:
    checks: Checks = system.rules.checks
    for payment, _ in _payments(system):
        if payment.next_check_at is not None or payment.lease_until is not None:
            yield f"{payment!r}: still looked at, at {payment.next_check_at}"
        if payment.status is Status.PENDING and not payment.holds:
            yield f"{payment!r}: open, and nobody looks at it"
        ended_at = system.journal.courses[payment.id].ended_at
        end = payment.opened_at + timedelta(seconds=checks.give_up) + WAITS_AT_MOST
        if ended_at is None or ended_at > end:
            yield f"{payment!r}: open until {ended_at}, its schedule ended at {end}"
        asked_by = system.rules.accounts[payment.account].provider.capabilities.asked_by
        known = [one for one in payment.candidates if one.state != "struck"]
        session = payment.session_id is not None and "session_id" in asked_by
        questions: list[Payment | Candidate] = [payment, *known]
        for one in questions if known or session or "reference" in asked_by else ():
            wanted = [at for at in (one.urgent_at, one.hinted_at) if at is not None]
            if any(one.asked_at is None or at > one.asked_at for at in wanted):
                yield f"{payment!r}: a claim of {max(wanted)} was never asked about ({one.asked_at})"


# -- section 3.5: one change, one version, one event -------------------------------------------------------------------


def _events(system: System) -> Iterator[str]:
    for payment, _ in _payments(system):
        events = system.ledger.events_of(payment.id)
        if [event.version for event in events] != list(range(1, payment.version + 1)):
            yield f"{payment!r}: versions {[event.version for event in events]}"
        bodies = [msgspec.json.decode(event.body)["data"] for event in events]
        completed = [body for event, body in zip(events, bodies, strict=True) if event.type is EventType.COMPLETED]
        if len(completed) > 1 or any(body["hold"] for body in completed):
            yield f"{payment!r}: told as completed {len(completed)} times, or under a hold"
        ranks = [Status(body["status"]).rank for body in bodies]
        if ranks != sorted(ranks):
            yield f"{payment!r}: was told to fall: {[body['status'] for body in bodies]}"
        if any(
            (event.type is EventType.HELD) != bool(body["hold"]) for event, body in zip(events, bodies, strict=True)
        ):
            yield f"{payment!r}: something was told under a hold"
        if bodies and (bodies[-1]["status"], bodies[-1]["hold"]) != (payment.status, payment.hold):
            yield f"{payment!r}: the last event does not say how it stands"


# -- sections 3.7 and 6: what it costs ---------------------------------------------------------------------------------


def _budgets(system: System) -> Iterator[str]:
    """Over any window that ends with a question: no more than the burst and what the time brought."""
    for account, charges in system.journal.charges.items():
        rate = system.rules.accounts[account].calls_per_second
        if rate is None:
            continue
        burst, used, before = max(1.0, rate * BURST_SECONDS), 0.0, charges[0][0]
        for at, calls, asked in charges:
            used, before = max(0.0, used - (at - before).total_seconds() * rate) + calls, at
            if asked and used > burst + 1e-3:
                yield f"{account}: {used:.2f} calls of {burst} at {at}"


def _hints(system: System) -> Iterator[str]:
    """Unsigned claims ask at most ten times an hour beside the schedule, and never at once after another question."""
    spacing = timedelta(seconds=system.rules.checks.claimed[0])
    for payment, _ in _payments(system):
        questions = [one for one in system.ledger.entries(payment.id) if one.kind is EntryKind.QUESTION]
        hints = [one.at for one in questions if one.data["trigger"] == "hint"]
        if any(later - first < HOUR for first, later in zip(hints, hints[HINTS_PER_HOUR:], strict=False)):
            yield f"{payment!r}: more than {HINTS_PER_HOUR} questions in an hour for what anyone can send"
        for before, one in pairwise(questions):
            if one.data["trigger"] == "hint" and one.at - before.at < spacing:
                yield f"{payment!r}: asked for an unsigned claim {one.at - before.at} after another question"


def _one_in_flight(system: System) -> Iterator[str]:
    for asked in system.journal.by_payment.values():
        for before, one in pairwise(asked):
            freed_at = before.at + LEASE[before.question.kind]
            if before.recorded_at is not None:
                freed_at = min(freed_at, before.recorded_at)
            if one.at < freed_at:
                yield f"{one.payment_id}: asked at {one.at} while the question of {before.at} was in flight"
            if one.question.kind is QuestionKind.EXECUTE and before.question.kind is QuestionKind.EXECUTE:
                answered = isinstance(before.answer, Answer) and before.answer.status is Status.COMPLETED
                if answered and before.recorded_at is not None:
                    yield f"{one.payment_id}: executed again after its money was taken"


# -- section 6: one account's trouble is nobody else's -----------------------------------------------------------------


def _others_trouble(system: System) -> Iterator[str]:
    journal = system.journal
    if journal.longest_carried > STEADY_AT_MOST:
        yield f"a claim waited {journal.longest_carried} for a worker"
    if journal.longest_sweep[STEADY.id] > STEADY_AT_MOST:
        yield f"the sweep was {journal.longest_sweep[STEADY.id]} late for an account without any trouble"
    for refusal in journal.refusals:
        if refusal.account == STEADY.id:
            yield f"an account without any trouble was turned away: {refusal}"


def _breakers(system: System) -> Iterator[str]:
    """One question probes at a time, and what answers again is asked again soon."""
    probing = defaultdict[str, list[Asked]](list)
    for one in system.journal.asked:
        if one.probes:
            probing[one.account].append(one)
    for account, probes in probing.items():
        for before, one in pairwise(probes):
            over = before.recorded_at or before.at + PROBE
            if one.at < min(over, before.at + PROBE):
                yield f"{account}: probed at {one.at} and at {before.at} together"
    longest = PAUSES_AT_MOST + 2 * SECOND
    for gateway in system.gateways.values():
        account = gateway.account.id
        turned = [one for one in system.journal.refusals if one.account == account and one.shut]
        asked = [one.at for one in system.journal.asked if one.account == account]
        for outage in gateway.outages:
            if outage.kind == "slow" or not gateway.answers_at(outage.end):
                continue
            waiting = [one for one in turned if one.at <= outage.end < one.again_at]
            soon = outage.end + longest
            if waiting and gateway.answers_at(soon) and not any(outage.end <= at <= soon for at in asked):
                yield f"{account}: not asked within {longest} after it was back at {outage.end}"
