"""Calls that a shop makes at the gateway by its own code: it opens a checkout, or takes the money itself.

A checkout that is opened here is registered with payproof afterwards. Its return address names the account alone,
because the payment does not exist yet.
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


async def opened_at_sslcommerz(control: Control, order: Document, returns_to: str) -> str:
    """Open one more session, also of a reference that has one already."""
    known = CREDENTIALS["sslcommerz"]
    form = {
        "store_id": known["store_id"],
        "store_passwd": known["store_password"],
        "total_amount": order["amount"],
        "currency": order["currency"],
        "tran_id": order["reference"],
        "product_name": "Tea",
        "product_category": "general",
        "product_profile": "general",
        "shipping_method": "NO",
        "num_of_item": "1",
        "emi_option": "0",
        "success_url": returns_to,
        "fail_url": returns_to,
        "cancel_url": returns_to,
        "cus_name": CUSTOMER["name"],
        "cus_email": CUSTOMER["email"],
        "cus_phone": CUSTOMER["phone"],
        "cus_add1": CUSTOMER["address"],
        "cus_city": CUSTOMER["city"],
        "cus_postcode": CUSTOMER["postcode"],
        "cus_country": CUSTOMER["country"],
    }
    answer = await control.gateway("sslcommerz/gwprocess/v4/api.php", {}, form, form=True)
    return str(answer["sessionkey"])


async def executed_at_bkash(control: Control, session_id: str) -> None:
    """Take the money of an approved payment, as the code does that a shop had before payproof."""
    known, root = CREDENTIALS["bkash"], "bkash/v1.2.0-beta/tokenized/checkout"
    app = {name: known[name] for name in ("app_key", "app_secret")}
    login = {name: known[name] for name in ("username", "password")}
    granted = await control.gateway(f"{root}/token/grant", login, app)
    headers = {"Authorization": granted["id_token"], "X-APP-Key": known["app_key"]}
    await control.gateway(f"{root}/execute", headers, {"paymentID": session_id})


OPENED = {"moneybag": opened_at_moneybag, "shadhinpay": opened_at_shadhinpay}
