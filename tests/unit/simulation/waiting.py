"""How long the sweep alone takes when every callback is lost; `python -m tests.unit.simulation.waiting` prints it.

The one thing to get wrong: the buyer's delay is not ours. A payment made t minutes after its opening is known to the
gateway from then on; counted is the time from there to our record of it, on the default schedule.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from statistics import median, quantiles
from typing import Any

import msgspec
from msgspec import Struct

from consumers.account import Account
from consumers.gateway import Provider
from consumers.providers.ipay import IPay
from consumers.providers.onepaybd import OnePayBD
from consumers.providers.payparse import PayParse
from consumers.providers.shadhinpay import ShadhinPay
from consumers.rules import Rules
from schemas.checks import Checks
from schemas.secret import Secret
from schemas.words import Hold, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import at_once
from tests.unit.simulation.gateways import SimulatedGateway, State, Truth
from tests.unit.simulation.workers import System
from worker.process import JITTER

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


def gateways() -> list[Provider]:
    """The four that can be asked by our own ids, with as much configured as that needs.

    OnePayBD takes money here when the buyer approves. With `capture` it is our Execute that does, which only a buyer's
    claim starts: when that is lost nobody is charged, and the payment closes as expired.
    """
    secret, url = Secret("x"), "https://gateway.example"
    check = {
        "path": "/status/{reference}",
        "status": "/status",
        "completed": ["PAID"],
        "failed": ["FAILED"],
        "expired": ["EXPIRED"],
    }
    payparse: Any = msgspec.convert(
        {"base_url": url, "api_key": "x", "status_check": check}, PayParse, dec_hook=lambda _, value: Secret(value)
    )
    return [
        payparse,
        OnePayBD(base_url=url, api_key=secret, capture=False),
        ShadhinPay(base_url=url, client_id=secret, business_id=secret, api_key=secret, webhook_secret=secret),
        IPay(base_url=url, api_key=secret),
    ]


def simulate(
    minute: int, wanted: Status, *, payments: int = PAYMENTS, lifetime: timedelta | None = None, seed: int = 1
) -> list[Ended]:
    """All gateways at once: each payment becomes `wanted` about `minute` minutes after its opening."""
    accounts = [Account(id=one.name, merchant="shop", provider=one) for one in gateways()]
    rules = Rules(
        accounts={account.id: account for account in accounts},
        checks=Checks(),
        public_url="https://pay.example",
        jitter=JITTER,
    )
    system = System(accounts, rules, seed, workers=2, deaths=0)
    draw = random.Random(seed)
    became: dict[str, datetime] = {}
    for account in accounts:
        gateway = SimulatedGateway(account, seed, steady=True)
        system.gateways[account.id] = gateway
        for number in range(payments):
            opened_at = NOON + number * SPACING
            payment_id = f"pay_{account.id}-{number}"
            became[payment_id] = opened_at + timedelta(minutes=minute + draw.uniform(-0.5, 0.5))
            transaction = f"T-{payment_id}" if wanted.paid else None
            gateway.truths[payment_id] = Truth(
                states=[
                    State(at=opened_at, status=Status.PENDING),
                    State(at=became[payment_id], status=wanted, transaction=transaction),
                ]
            )
            lasts = lifetime or account.provider.lifetime(None)

            def opens(account: Account = account, payment_id: str = payment_id, lasts: timedelta = lasts) -> None:
                at_once(system.open(account, payment_id, lifetime=lasts))

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
    for account in sorted({one.account for ended in runs.values() for one in ended}):
        for minute, ended in runs.items():
            times = " | ".join(_shown(one) for one in row(one for one in ended if one.account == account))
            print(f"| {account} | {minute} min | {times} |")


if __name__ == "__main__":
    main()
