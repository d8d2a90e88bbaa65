"""Checkouts that nobody uses keep no paying buyer waiting, whatever their gateway says of them.

Some gateways do not document what they say of such a checkout. Then we cannot read it, and it is no trouble of the
account.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.providers.generic import Generic
from consumers.rules import Rules
from schemas.checks import Checks
from schemas.words import EventType, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT
from tests.unit.simulation.accounts import NEWER, account
from tests.unit.simulation.gateways import SimulatedGateway
from tests.unit.simulation.truth import State, Truth
from tests.unit.simulation.workers import System

SECOND = timedelta(seconds=1)
IDLE, PAID = 60, 6
SOON = 5 * SECOND


def without_not_found() -> Account:
    """An account whose table leaves out how the gateway says that it does not know a payment."""
    one = account("generic")
    assert isinstance(one.provider, Generic)
    status = replace(one.provider.status, not_found=None)
    return replace(one, id="generic without not_found", provider=replace(one.provider, status=status))


ACCOUNTS = (*(account(name) for name in NEWER if name != "bkash"), without_not_found())


@pytest.mark.parametrize("one", ACCOUNTS, ids=lambda one: one.id)
def test_a_buyer_who_paid_is_told_so_at_once_beside_many_who_left(one: Account) -> None:
    rules = Rules(accounts={one.id: one}, checks=Checks(), public_url="https://pay.example", jitter=0.1)
    system = System([one], rules, 1, workers=2, deaths=0, deadly=0, held_up=0, raced=0)
    system.gateways[one.id] = SimulatedGateway(one, 1, steady=True, quick=True)
    for number in range(IDLE):
        _opens(system, one.id, f"pay_idle_{number}", 60 * number, known=False)
    for number in range(PAID):
        truth = _opens(system, one.id, f"pay_{number}", 600 * number + 7)
        paid_at = truth.opened_at + 120 * SECOND
        truth.becomes(State(at=paid_at, seen_at=paid_at, status=Status.COMPLETED, transaction=f"T-{number}"))
        _comes_back(system, truth, paid_at + SECOND)
    system.agenda.run(NOON + timedelta(hours=3))
    for number in range(PAID):
        truth = system.gateways[one.id].truths[f"pay_{number}"]
        told = [event for event in system.ledger.events_of(truth.payment_id) if event.type is EventType.COMPLETED]
        assert [event.time <= truth.states[0].at + SOON for event in told] == [True], truth.payment_id


def _opens(system: System, account: str, name: str, after: int, *, known: bool = True) -> Truth:
    """A checkout. The gateway knows it when it is asked, unless it first hears of a payment when the buyer pays."""
    truth = Truth(
        payment_id=name,
        account=account,
        reference=f"order-{name}",
        amount=AMOUNT,
        opened_at=NOON + after * SECOND,
        session_id=f"S-{name}",
    )

    def opens() -> None:
        if known:
            system.gateways[account].register(truth)
        system.open(truth, lifetime=system.rules.accounts[account].provider.lifetime(None))

    system.agenda.at(truth.opened_at, opens)
    return truth


def _comes_back(system: System, truth: Truth, at: datetime) -> None:
    """The buyer returns on the payment's own path, with the id of the checkout."""

    def returns() -> None:
        named = {"session_id": truth.session_id}
        system.publish([system.claim(truth.payment_id, Source.RETURN, said=Said.SUCCESS, **named)])

    system.agenda.at(at, returns)
