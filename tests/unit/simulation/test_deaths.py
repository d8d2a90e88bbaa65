"""A worker that dies once, at each await of its way: its work comes to the same end, and no money is taken twice.

The awaits are counted automatically, so a new await is a new place to die at.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from consumers.rules import Rules
from schemas.words import EventType, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT
from tests.unit.simulation.accounts import account
from tests.unit.simulation.gateways import SimulatedGateway
from tests.unit.simulation.mortal import Killed, Mortality
from tests.unit.simulation.truth import State, Truth
from tests.unit.simulation.workers import System, Worker
from tests.unit.simulation.world import CHECKS

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
PAID_AT, SAID_AT = NOON + 10 * SECOND, NOON + 20 * SECOND
ACCOUNTS = (account("onepaybd"), account("moneybag", calls_per_second=5.0), account("shadhinpay"))
ATTEMPTS = ("pay_first", "pay_second")
"""Two attempts of one order, both approved: at OnePayBD our Execute takes the money."""

OTHERS = {"pay_moneybag": "moneybag", "pay_shadhinpay": "shadhinpay"}
SOON = 5 * SECOND
"""A gateway's reply, and the second after which a worker that died is followed by another."""


class Once(Mortality):
    """Dies at the await of this number, and never again; 0 is never."""

    def __init__(self, number: int) -> None:
        super().__init__(Random(0), 0.0)
        self.number, self.awaits = number, 0

    def live(self) -> None:
        self.awaits += 1
        if self.awaits == self.number:
            raise Killed


def played(number: int) -> tuple[System, Once]:
    """All callbacks at one moment; the worker dies at the await of this number."""
    rules = Rules(accounts={one.id: one for one in ACCOUNTS}, checks=CHECKS, public_url="https://pay.example")
    system = System(ACCOUNTS, rules, 1, workers=1, deaths=0, deadly=0, held_up=0, raced=0)
    system.mortality = once = Once(number)
    system.workers = [Worker(system)]
    for one in ACCOUNTS:
        system.gateways[one.id] = SimulatedGateway(one, 1, steady=True, quick=True)
    for name in ATTEMPTS:
        _opened(system, name, "onepaybd").approved_at = PAID_AT
    for name, gateway in OTHERS.items():
        state = State(at=PAID_AT, seen_at=PAID_AT, status=Status.COMPLETED, transaction=f"T-{name}")
        _opened(system, name, gateway).becomes(state)

    def comes_back() -> None:
        for name in (*ATTEMPTS, *OTHERS):
            named = {"transaction_id": f"T-{name}"} if name == "pay_moneybag" else {}
            system.publish([system.claim(name, Source.RETURN, said=Said.SUCCESS, **named)])

    system.agenda.at(SAID_AT, comes_back)
    system.agenda.run(NOON + 60 * DAY)
    return system, once


def _opened(system: System, name: str, gateway: str) -> Truth:
    truth = Truth(
        payment_id=name,
        account=gateway,
        reference=f"order-{name}",
        amount=AMOUNT,
        opened_at=NOON,
        session_id=f"S-{name}",
    )
    system.gateways[gateway].register(truth)
    system.gateways[gateway].register_transaction(f"T-{name}", truth)
    order = "basket" if gateway == "onepaybd" else None
    system.open(truth, lifetime=system.rules.accounts[gateway].provider.lifetime(None), order=order)
    return truth


def test_wherever_a_worker_dies_everything_ends_as_it_should() -> None:
    _, once = played(0)
    places = once.awaits
    assert places > 20
    for number in range(1, places + 1):
        system, _ = played(number)
        told = {
            name: [one for one in system.ledger.events_of(name) if one.type is EventType.COMPLETED]
            for name in (*ATTEMPTS, *OTHERS)
        }
        captured = [at for name in ATTEMPTS for at in system.gateways["onepaybd"].truths[name].captured]
        assert len(captured) == 1, f"died at {number}: money was taken at {captured}"
        assert sum(len(told[name]) for name in ATTEMPTS) == 1, f"died at {number}"
        for name in OTHERS:
            (event,) = told[name]
            assert event.time <= SAID_AT + SOON, f"died at {number}: {name} was known at {event.time}"
        left = [name for name in told if system.ledger.payment(name).next_check_at is not None]
        assert left == [], f"died at {number}"
