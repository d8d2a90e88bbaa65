"""The accounts of the simulation: every gateway as configured, some on a tight budget, one without trouble."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from consumers.account import Account
from consumers.ports.gateway import Provider
from consumers.providers.aamarpay import AamarPay
from consumers.providers.bkash import BKash
from consumers.providers.eps import EPS
from consumers.providers.generic import Generic
from consumers.providers.ipay import IPay
from consumers.providers.moneybag import Moneybag
from consumers.providers.onepaybd import OnePayBD
from consumers.providers.payparse import PayParse
from consumers.providers.shadhinpay import ShadhinPay
from consumers.providers.shurjopay import ShurjoPay
from consumers.providers.sslcommerz import SSLCommerz
from consumers.providers.uddoktapay import UddoktaPay
from schemas.secret import Secret
from schemas.words import Status
from tests.sns import TOPIC

WEBHOOK_SECRET = "whsec_simulated_and_no_secret"
KEY = Secret("key-of-the-simulation")
STATUS_CHECK = {
    "path": "/status/{reference}",
    "status": "/state",
    "amount": "/order/amount",
    "currency": "/order/currency",
    "reference": "/order/ref",
    "transaction_id": "/trx",
    "completed": ["PAID"],
    "failed": ["FAILED"],
    "cancelled": ["CANCELLED"],
    "expired": ["EXPIRED"],
    "pending": ["PENDING"],
    "refunded": ["REFUNDED"],
    "not_found": {"http": 404, "at": "/error/code", "words": ["NOT_FOUND"]},
}
PAYSTATION = {
    "create": {
        "path": "/initiate-payment",
        "encoding": "form",
        "secrets": {"merchantId": "m", "password": "p"},
        "names": {"reference": "invoice_number", "amount": "payment_amount", "return_url": "callback_url"},
        "checkout_url": "/payment_url",
        "reason": "/message",
    },
    "status": {
        "path": "/transaction-status",
        "encoding": "form",
        "ask_by": "reference",
        "name": "invoice_number",
        "headers": {"merchantId": "m"},
        "status": "/data/trx_status",
        "amount": "/data/payment_amount",
        "transaction_id": "/data/trx_id",
        "reference": "/data/invoice_number",
        "completed": ["success", "successful"],
        "failed": ["failed"],
        "pending": ["processing"],
        "not_found": {"http": 200, "at": "/status_code", "words": ["1006"]},
    },
    "callback": {"reference": "invoice_number", "status": "status"},
}
"""The `generic` account: PayStation's table of `deploy/guide/gateway.md`."""
IPAY_CODES = {"300": Status.FAILED, "400": Status.CANCELLED, "500": Status.EXPIRED}


def _payparse(url: str, check: dict[str, Any] | None) -> PayParse:
    given = {"base_url": url, "api_key": "k"} | ({"status_check": check} if check else {})
    return msgspec.convert(given, PayParse, dec_hook=lambda _, value: Secret(value))


def _newer(name: str, url: str) -> Provider:
    match name:
        case "sslcommerz":
            return SSLCommerz(base_url=url, store_id=KEY, store_password=KEY)
        case "bkash":
            return BKash(base_url=url, app_key=KEY, app_secret=KEY, username=KEY, password=KEY, topic_arn=TOPIC)
        case "shurjopay":
            return ShurjoPay(base_url=url, username=KEY, password=KEY, prefix="SP")
        case "aamarpay":
            return AamarPay(base_url=url, store_id=KEY, signature_key=KEY)
        case "eps":
            return EPS(base_url=url, merchant_id=KEY, store_id=KEY, username=KEY, password=KEY, hash_key=KEY)
        case "uddoktapay":
            return UddoktaPay(base_url=url, api_key=KEY)
        case _:
            return msgspec.convert({"base_url": url} | PAYSTATION, Generic, dec_hook=lambda _, value: Secret(value))


def _provider(name: str, url: str) -> Provider:
    secret = Secret(WEBHOOK_SECRET)
    match name:
        case "shadhinpay":
            return ShadhinPay(base_url=url, client_id=KEY, business_id=KEY, api_key=KEY, webhook_secret=secret)
        case "ipay":
            return IPay(base_url=url, api_key=KEY, status_codes=IPAY_CODES)
        case "payparse":
            return _payparse(url, STATUS_CHECK)
        case "blind":
            return _payparse(url, None)
        case "onepaybd":
            return OnePayBD(base_url=url, api_key=KEY)
        case "moneybag":
            return Moneybag(base_url=url, api_key=KEY, webhook_secret=secret)
        case _:
            return _newer(name, url)


def account(name: str, *, tag: str = "", calls_per_second: float | None = None) -> Account:
    """An account at a gateway; `blind` is PayParse without a status API."""
    identity = f"{name}-{tag}" if tag else name
    provider = _provider(name, f"https://{identity}.example/api")
    return Account(id=identity, merchant="shop", provider=provider, calls_per_second=calls_per_second)


STEADY = account("shadhinpay", tag="steady")
"""The account that never has any trouble, so that any delay there comes from another account."""

IPAY, BLIND, ONEPAYBD, MONEYBAG = map(account, ("ipay", "blind", "onepaybd", "moneybag"))
SHADHINPAY, PAYPARSE = account("shadhinpay", tag="behind"), account("payparse", tag="ahead")

NEWER = ("sslcommerz", "bkash", "shurjopay", "aamarpay", "eps", "uddoktapay", "generic")

ACCOUNTS = (
    STEADY,
    SHADHINPAY,
    IPAY,
    PAYPARSE,
    BLIND,
    ONEPAYBD,
    MONEYBAG,
    account("shadhinpay", tag="slow", calls_per_second=0.5),
    account("ipay", tag="slow", calls_per_second=0.2),
    account("moneybag", tag="slow", calls_per_second=1.0),
    *map(account, NEWER),
)

SKEWS = {
    SHADHINPAY.id: timedelta(hours=-6),
    PAYPARSE.id: timedelta(hours=6),
    "moneybag-slow": timedelta(hours=-2),
    "shadhinpay-slow": timedelta(minutes=2),
}
"""How far the clock of a gateway is off: its `expires_at`, and the times it signs."""
