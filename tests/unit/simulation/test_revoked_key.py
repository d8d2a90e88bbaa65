"""A key that is revoked for a day: its cost in questions and entries, and how soon every outcome is known."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from consumers.checks.limits import ACCOUNT_BREAKER
from consumers.rules import Rules
from schemas.checks import Checks
from schemas.words import EntryKind, EventType, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT
from tests.unit.simulation.accounts import STEADY
from tests.unit.simulation.gateways import Outage, SimulatedGateway
from tests.unit.simulation.truth import State, Truth
from tests.unit.simulation.workers import System
from worker.postgres.queue.due import PROBING

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
BEGINS = NOON + timedelta(minutes=1)
ENDS = BEGINS + DAY


def a_day_without_key(payments: int) -> tuple[System, list[str]]:
    """So many payments whose buyers all paid and returned, a second apart, just after the key was revoked."""
    rules = Rules(accounts={STEADY.id: STEADY}, checks=Checks(), public_url="https://pay.example", jitter=0.1)
    system = System([STEADY], rules, 1, workers=2, deaths=0, deadly=0, held_up=0, raced=0)
    gateway = system.gateways[STEADY.id] = SimulatedGateway(STEADY, 1, steady=True, quick=True)
    gateway.outages = [Outage(start=BEGINS, end=ENDS, kind="revoked")]
    names = [f"pay_{number}" for number in range(payments)]
    for number, name in enumerate(names):
        paid_at = BEGINS + number * SECOND
        truth = Truth(
            payment_id=name,
            account=STEADY.id,
            reference=f"order-{name}",
            amount=AMOUNT,
            opened_at=NOON,
            session_id=f"S-{name}",
        )
        truth.becomes(State(at=paid_at, seen_at=paid_at, status=Status.COMPLETED, transaction=f"T-{name}"))
        gateway.register(truth)
        system.open(truth, lifetime=3 * DAY)

        def comes_back(name: str = name) -> None:
            system.publish([system.claim(name, Source.RETURN, said=Said.SUCCESS)])

        system.agenda.at(paid_at, comes_back)
    system.agenda.run(ENDS)
    return system, names


@pytest.mark.parametrize("payments", [10, 100])
def test_the_timeline_tells_it_in_a_handful_of_entries(payments: int) -> None:
    system, names = a_day_without_key(payments)
    assert max(len(system.ledger.entries(name)) for name in names) <= 10
    answers = [one for name in names for one in system.ledger.entries(name) if one.kind is EntryKind.ANSWER]
    assert sum(one.data.get("times", 1) for one in answers) == len(system.journal.asked), "and every answer counts"
    claims = [one for name in names for one in system.ledger.entries(name) if one.kind is EntryKind.CLAIM]
    told = Counter(one.data["source"] for one in claims)
    assert told[Source.RETURN] == payments, "every message from outside stands in it"


def test_a_lone_payment_tells_each_of_the_first_questions_and_then_how_often_it_was_asked_on() -> None:
    system, (name,) = a_day_without_key(1)
    entries = system.ledger.entries(name)
    assert len(entries) <= 3 * ACCOUNT_BREAKER.threshold + 2
    assert entries[-1].data["times"] > 200
    assert datetime.fromisoformat(entries[-1].data["last_at"]) > ENDS - timedelta(minutes=10)


def test_an_account_that_is_shut_costs_the_same_however_many_payments_are_due() -> None:
    probes = DAY / ACCOUNT_BREAKER.pauses.longest
    for payments in (100, 300):
        system, _ = a_day_without_key(payments)
        assert system.journal.claims < probes * PROBING


def test_once_it_answers_again_everything_is_known_within_the_last_delay_of_its_schedule() -> None:
    system, names = a_day_without_key(100)
    system.agenda.run(ENDS + timedelta(minutes=10))
    told = {one: system.ledger.events_of(one)[-1] for one in names}
    assert {one.type for one in told.values()} == {EventType.COMPLETED}
    waited = sorted(one.time - ENDS for one in told.values())
    assert waited[len(names) // 2] < ACCOUNT_BREAKER.pauses.longest + 10 * SECOND
    assert waited[-1] < timedelta(minutes=6)
