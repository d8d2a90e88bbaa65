"""One event of every type for one payment, written by `write_event`: the examples of `/asyncapi.json`.

They are made by the code that makes real events, so they cannot go stale as typed examples do.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from consumers.money.write_event import write_event
from schemas.events import Event
from schemas.payments import Payment
from schemas.words import EventType, Hold, Risk, Status

EXAMPLE_URL = "https://pay.shop.example"
"""Our address in documents that are written without one."""

_OPENED_AT = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
_PAID_AT = datetime.fromisoformat("2026-01-31T12:03:20+00:00")
_PAYMENT = Payment(
    id="pay_0123456789abcdefghijklmnop",
    merchant="shop",
    account="shop-moneybag",
    provider="moneybag",
    reference="order-7831-a1",
    order_ref="order-7831",
    amount=Decimal("1500.50"),
    currency="BDT",
    description="Two saris",
    metadata={"branch": "Dhanmondi"},
    version=1,
    session_id="MB-20260131-77",
    checkout_url="https://checkout.gateway.example/MB-20260131-77",
    opened_at=_OPENED_AT,
    expires_at=_OPENED_AT + timedelta(minutes=30),
)
_ANSWERED: dict[str, Any] = {"version": 2, "checked_at": _PAID_AT}
_PAID = _ANSWERED | {
    "status": Status.COMPLETED,
    "amount_verified": True,
    "transaction_id": "TX-90017",
    "fee": Decimal("22.5075"),
    "method": "bkash",
    "risk": Risk.LOW,
    "completed_at": _PAID_AT,
}
_STANDS: dict[EventType, dict[str, Any]] = {
    EventType.OPENED: {},
    EventType.COMPLETED: _PAID,
    EventType.FAILED: _ANSWERED | {"status": Status.FAILED},
    EventType.CANCELLED: _ANSWERED | {"status": Status.CANCELLED},
    EventType.EXPIRED: _ANSWERED | {"status": Status.EXPIRED},
    EventType.REFUNDED: _PAID | {"version": 4, "status": Status.REFUNDED, "refunded_amount": Decimal("1500.50")},
    EventType.PARTIALLY_REFUNDED: _PAID | {"version": 3, "refunded_amount": Decimal("500.00")},
    EventType.HELD: _ANSWERED | {"holds": (Hold.AMOUNT_MISMATCH,)},
    EventType.RELEASED: _ANSWERED | {"version": 3},
}

EXPECTED_SAMPLE: dict[str, Any] = {
    "merchant": "shop",
    "account": "shop-moneybag",
    "reference": "order-7831-a1",
    "amount": "1500.50",
    "currency": "BDT",
    "session_id": "MB-20260131-77",
    "order": "order-7831",
}
"""The message by which a shop asks us to expect that payment."""


def sample(kind: EventType, public_url: str) -> Event:
    payment = replace(_PAYMENT, **_STANDS[kind])
    return write_event(payment, kind, payment.checked_at or _OPENED_AT, public_url)
