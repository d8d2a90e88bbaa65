"""Checkouts that a shop opens by its own code at the gateway, and registers with payproof afterwards.

Their return address names the account alone, because the payment does not exist yet.
"""

from __future__ import annotations

import secrets

from worker.playground.demo.control import Control
from worker.playground.demo.stories_shop import Document
from worker.playground.sandbox.sandbox_config import CREDENTIALS
from worker.playground.shop.ordering import CUSTOMER


async def opened_at_moneybag(control: Control, order: Document, returns_to: str) -> str:
    """Open a checkout for this order at Moneybag, as the shop's own code would. Returns its session id."""
    body = {
        "order_id": order["reference"],
        "currency": order["currency"],
        "order_amount": order["amount"],
        "order_description": order["description"],
        "success_url": returns_to,
        "fail_url": returns_to,
        "cancel_url": returns_to,
        "customer": CUSTOMER,
    }
    headers = {"X-Merchant-API-Key": CREDENTIALS["moneybag"]["api_key"]}
    answer = await control.gateway("moneybag/payments/checkout", headers, body)
    return str(answer["data"]["session_id"])


async def opened_at_shadhinpay(control: Control, order: Document, returns_to: str) -> str:
    body = {
        "amount": order["amount"],
        "currency": order["currency"],
        "merchantTxnId": order["reference"],
        "callbackUrl": returns_to,
    }
    known = CREDENTIALS["shadhinpay"]
    headers = {
        "Client-Id": known["client_id"],
        "Business-Id": known["business_id"],
        "X-Api-Key": known["api_key"],
        "X-Idempotency-Key": secrets.token_hex(8),
    }
    answer = await control.gateway("shadhinpay/payments", headers, body)
    return str(answer["data"]["paymentId"])


OPENED = {"moneybag": opened_at_moneybag, "shadhinpay": opened_at_shadhinpay}
