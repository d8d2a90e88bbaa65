"""How long the sweep alone takes when every callback is lost; `python -m tests.unit.simulation.waiting` prints it.

The buyer's delay is not ours. A payment made t minutes after its opening is known to the gateway from then on. Counted
is the time from there to our record of it, on the default schedule.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from statistics import median, quantiles

from msgspec import Struct

from consumers.account import Account
from consumers.providers.onepaybd import OnePayBD
from consumers.rules import Rules
from schemas.checks import Checks
from schemas.words import Hold, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT
from tests.unit.simulation.accounts import KEY, account
from tests.unit.simulation.gateways import SimulatedGateway
from tests.unit.simulation.truth import State, Truth
from tests.unit.simulation.workers import System
from worker.config.shapes import JITTER

MINUTES = (1, 3, 5, 8, 10, 15, 25)
PAYMENTS = 200
SPACING = timedelta(seconds=7)


class Ended(Struct, frozen=True, kw_only=True):
    """One payment: when it became what it is at the gateway, when we recorded that, and as what."""

    account: str
    minute: int
    seconds: float
    status: Status
    hold: Hold | None


def accounts() -> list[Account]:
    """The four accounts that can be asked by our own ids, with the configuration that this needs.

    OnePayBD takes money here when the buyer approves. With `capture` our Execute takes it, which only a buyer's claim
    starts: when that is lost the buyer is not charged, and the payment closes as expired.
    """
    onepaybd = OnePayBD(base_url="https://gateway.example", api_key=KEY, capture=False)
    return [
        account("payparse"),
        Account(id="onepaybd", merchant="shop", provider=onepaybd),
        account("shadhinpay"),
        account("ipay"),
    ]


def simulate(
    minute: int, wanted: Status, *, payments: int = PAYMENTS, lifetime: timedelta | None = None, seed: int = 1
) -> list[Ended]:
    """All gateways at once: each payment becomes `wanted` about `minute` minutes after its opening."""
    known = accounts()
    rules = Rules(
        accounts={one.id: one for one in known},
        checks=Checks(),
        public_url="https://pay.example",
        jitter=JITTER,
    )
    system = System(known, rules, seed, workers=2, deaths=0, deadly=0, held_up=0, raced=0)
    draw = random.Random(seed)
    became: dict[str, datetime] = {}
    for one in known:
        gateway = system.gateways[one.id] = SimulatedGateway(one, seed, steady=True, quick=True)
        for number in range(payments):
            opened_at = NOON + number * SPACING
            truth = Truth(
                payment_id=f"pay_{one.id}-{number}",
                account=one.id,
                reference=f"order-{one.id}-{number}",
                amount=AMOUNT,
                opened_at=opened_at,
                session_id=f"S-{one.id}-{number}",
            )
            at = became[truth.payment_id] = opened_at + timedelta(minutes=minute + draw.uniform(-0.5, 0.5))
            transaction = f"T-{truth.payment_id}" if wanted.paid else None
            truth.becomes(State(at=at, seen_at=at, status=wanted, transaction=transaction))
            gateway.register(truth)
            lasts = lifetime or one.provider.lifetime(None)

            def opens(truth: Truth = truth, lasts: timedelta = lasts) -> None:
                system.open(truth, lifetime=lasts)

            system.agenda.at(opened_at, opens)
    system.agenda.run(NOON + timedelta(days=60))
    return [_ended(system, payment_id, minute, at, wanted) for payment_id, at in became.items()]


def _ended(system: System, payment_id: str, minute: int, became_at: datetime, wanted: Status) -> Ended:
    payment = system.ledger.payment(payment_id)
    told = [event for event in system.ledger.events_of(payment_id) if event.type == f"payment.{wanted}"]
    seconds = (told[0].time - became_at).total_seconds() if told else float("inf")
    return Ended(account=payment.account, minute=minute, seconds=seconds, status=payment.status, hold=payment.hold)


def row(ended: Iterable[Ended]) -> tuple[float, float, float]:
    """Median, 95th percentile and longest, in seconds."""
    seconds = sorted(one.seconds for one in ended)
    return median(seconds), quantiles(seconds, n=20)[-1], seconds[-1]


def _shown(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02} m" if hours else f"{minutes} m {whole % 60:02} s"


def main() -> None:
    print(f"Every callback lost, default schedule, {PAYMENTS} payments a row, {date.today()}.")
    print("\n| gateway | paid after | median | p95 | longest |\n|---|---|---|---|---|")
    runs = {minute: simulate(minute, Status.COMPLETED) for minute in MINUTES}
    for name in sorted({one.account for ended in runs.values() for one in ended}):
        for minute, ended in runs.items():
            times = " | ".join(_shown(one) for one in row(one for one in ended if one.account == name))
            print(f"| {name} | {minute} min | {times} |")


if __name__ == "__main__":
    main()
