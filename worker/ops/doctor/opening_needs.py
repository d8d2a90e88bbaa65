"""What a gateway wants of each payment beside its amount."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from consumers.ports.gateway import Provider
from consumers.ports.openings import CallbackUrls, Customer, Opening
from worker.config import Config
from worker.ops.doctor.findings import Finding

_URL = "https://payproof.example/return/account/payment"
PLAIN = Opening(
    payment_id="payment",
    reference="order-7831-a1",
    amount=Decimal("100.00"),
    currency="BDT",
    description="Order 7831",
    urls=CallbackUrls(back=_URL, success=_URL, failure=_URL, cancel=_URL, ipn=_URL),
)
"""An opening that has nothing but what every gateway gets."""


def customer_needed(gateway: Provider) -> list[str]:
    """The parts of `customer` without which the gateway opens no payment."""
    wrong = {error.field for error in gateway.check(PLAIN)}
    return [name for name in Customer.__struct_fields__ if f"customer.{name}" in wrong]


def opening_findings(config: Config) -> Iterator[Finding]:
    """A finding for each account whose gateway needs something of the buyer."""
    for account in config.accounts:
        if needed := [f"customer.{name}" for name in customer_needed(account.provider)]:
            words = f"the shop has to send {', '.join(needed)} with each payment: its gateway opens none without"
            yield Finding("ok", f"opening at {account.id}", words)
