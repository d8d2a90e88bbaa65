"""ShadhinPay's webhooks (https://shadhinpay.com/docs/developers/webhooks): events, body, headers and signature.

The signed text begins with the letters `t=`, as the documentation writes it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.shadhinpay_shapes import METADATA, payment
from worker.playground.sandbox.simulated_gateway import Happening
from worker.playground.sandbox.times import iso_z

BUSINESS_NUMBER = 12345  # a number here, unlike the header's HB_…
EVENTS: Mapping[Happening, str] = MappingProxyType(
    {
        "paid": "payment.completed",
        "failed": "payment.failed",
        "cancelled": "payment.cancelled",
        "expired": "payment.expired",
        "refunded": "payment.refunded",
    }
)


def webhook_event(session: Session, happening: Happening, event_id: str, *, at: float) -> dict[str, Any]:
    told = payment(session)
    word = {"paid": "COMPLETED", "refunded": told["status"]}.get(happening, happening.upper())
    names = ("paymentId", "merchantTxnId", "amount", "currency", "vendor", *METADATA)
    return {
        "eventId": event_id,
        "eventType": EVENTS[happening],
        "businessId": BUSINESS_NUMBER,
        "occurredAt": iso_z(at),
        "payload": {name: told[name] for name in names if name in told} | {"status": word},
    }


def headers(body: bytes, event_id: str, *, at: int, attempt: int, secret: str) -> dict[str, str]:
    signed = hmac.new(secret.encode(), b"t=%d." % at + body, hashlib.sha256).hexdigest()
    return {
        "X-ShadhinPay-Signature": f"t={at},v1={signed}",
        "X-ShadhinPay-Event-Id": event_id,
        "X-ShadhinPay-Delivery-Attempt": str(attempt),
        "X-ShadhinPay-Trace-Id": hashlib.sha256(f"{event_id}/{attempt}".encode()).hexdigest()[:32],
    }
