"""Payment number n: every id, amount and claim of it follows from its number, for whoever needs to know it.

The one thing to get wrong: state. The simulated gateways keep none; they know what payment n is as everybody else here
does, so they cost as little as can be and answer alike for every contender.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from schemas.callbacks import Callback, Claim
from schemas.words import Authenticity, Said, Source

GATEWAYS: Final = ("shadhinpay", "moneybag", "ipay")
"""Payment n is paid through GATEWAYS[n % 3]: two that send signed webhooks, and one whose buyers only come back."""


def gateway_of(n: int) -> str:
    return GATEWAYS[n % len(GATEWAYS)]


def account_of(n: int) -> str:
    return f"shop-{gateway_of(n)}"


def payment_id(n: int) -> str:
    return f"pay_{n:026d}"


def reference(n: int) -> str:
    return f"order-{n:010d}"


def session_id(n: int) -> str:
    return f"ses-{n:010d}"


def transaction_id(n: int) -> str:
    return f"txn-{n:010d}"


def amount(n: int) -> str:
    """In BDT."""
    return f"{100 + n % 900}.00"


def number_in(name: str) -> int:
    """The n of any of the ids above."""
    return int(name[-10:])


def body(n: int) -> bytes:
    """What the gateway's webhook says; empty where the buyer's browser comes instead."""
    match gateway_of(n):
        case "shadhinpay":
            payload = {"paymentId": session_id(n), "merchantTxnId": reference(n), "status": "COMPLETED"}
            return msgspec.json.encode(
                {"eventId": f"evt-{n:010d}", "eventType": "payment.completed", "payload": payload}
            )
        case "moneybag":
            data = {"transaction_id": transaction_id(n), "order_id": reference(n), "status": "SUCCESS"}
            return msgspec.json.encode({"event_id": f"evt-{n:010d}", "event_type": "payment.success", "data": data})
        case _:
            return b""


def claim(n: int, received_at: datetime) -> Claim:
    """The claim that payproof's ingress makes of the callback of payment n."""
    gateway = gateway_of(n)
    webhook = gateway != "ipay"
    source = Source.WEBHOOK if webhook else Source.RETURN
    named = None if webhook else payment_id(n)
    return Claim(
        id=f"{n:032x}",
        account=account_of(n),
        provider=gateway,
        source=source,
        authenticity=Authenticity.SIGNED if webhook else Authenticity.UNSIGNED,
        received_at=received_at,
        payment_id=named,
        said=Said.SUCCESS,
        session_id=session_id(n) if gateway == "shadhinpay" else None,
        reference=reference(n) if webhook else None,
        transaction_id=transaction_id(n) if gateway == "moneybag" else None,
        event_id=f"evt-{n:010d}" if webhook else None,
        event_type="payment.completed" if webhook else None,
        callback=Callback(
            source=source,
            account=account_of(n),
            method="POST" if webhook else "GET",
            query=() if webhook else (("orderId", session_id(n)),),
            headers=(("host", "shop.example"), ("user-agent", "gateway/1.0"), ("content-type", "application/json")),
            body=body(n),
            received_at=received_at,
            payment_id=named,
        ),
    )
