"""A shop and a tester at one sandbox, over real sockets, for the tests of the sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import aiohttp
from aiohttp import web

from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import SandboxConfig

DEADLINE = 10.0
SHOP = "https://shop.example"
REFERENCE = "order-7831-a1"
SHADHINPAY = {"Client-Id": "HM_sandbox", "Business-Id": "HB_sandbox", "X-Api-Key": "sk_test_sandbox"}
MONEYBAG = {"X-Merchant-API-Key": "sandbox-moneybag-key"}
IPAY = {"Authorization": "Bearer sandbox-ipay-key"}
PAYPARSE = {"x-api-key": "sandbox-payparse-key"}
SSLCOMMERZ = {"store_id": "sandboxstore001", "store_passwd": "sandbox-sslcommerz-password"}
AAMARPAY = {"store_id": "sandbox-aamarpay", "signature_key": "sandbox-aamarpay-key"}
CUSTOMER = {
    "name": "Rahima",
    "email": "rahima@example.com",
    "address": "1 Road",
    "city": "Dhaka",
    "postcode": "1000",
    "country": "Bangladesh",
    "phone": "01700000000",
}


class Answered:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Driver:
    """A shop and a tester at one sandbox. `shop` is where buyers come back to."""

    def __init__(self, base: str, http: aiohttp.ClientSession) -> None:
        self.base, self.http = base, http
        self.token = ""
        self.shop = SHOP

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Any = None,
        json: Any = None,
        form: Any = None,
        query: Any = None,
        seconds: float = DEADLINE,
    ) -> Answered:
        url = path if path.startswith("http") else self.base + path
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self.http.request(
            method,
            url,
            headers=headers,
            json=json,
            data=form,
            params=query,
            allow_redirects=False,
            timeout=timeout,
        ) as response:
            return Answered(response.status, response.headers, await response.read())

    async def control(self, what: str, **body: Any) -> Any:
        answered = await self.call("POST", f"/_control/{what}", json=body)
        assert answered.status == 200, answered.body
        return answered.json

    async def asked(self, what: str) -> Any:
        return (await self.call("GET", f"/_control/{what}")).json

    async def shopper(self, provider: str, does: str, **more: Any) -> Any:
        return await self.control("shopper", provider=provider, reference=REFERENCE, does=does, **more)

    async def trouble(self, provider: str, trouble: str, on: str, **more: Any) -> None:
        await self.control("troubles", provider=provider, trouble=trouble, on=on, **more)

    async def payparse(self, *, headers: Any = None, **changes: Any) -> Answered:
        body = {
            "amount": 1500.5,
            "order_ref": REFERENCE,
            "success_url": f"{self.shop}/s",
            "cancel_url": f"{self.shop}/c",
        }
        return await self.call(
            "POST", "/payparse/api/v1/order/create", headers=headers or PAYPARSE, json=body | changes
        )

    async def onepaybd(self, path: str, body: Any) -> Answered:
        headers = {"apikey": "sandbox-onepaybd-key", "Authorization": f"Bearer {self.token}"}
        return await self.call("POST", f"/onepaybd/{path}", headers=headers, json=body)

    async def granted(self) -> Answered:
        answered = await self.onepaybd("grant", {})
        self.token = answered.json["id_token"]
        return answered

    async def bkash(self, **changes: Any) -> Answered:
        body = {
            "mode": "0011",
            "amount": "1500.5",
            "currency": "BDT",
            "intent": "sale",
            "merchantInvoiceNumber": REFERENCE,
            "payerReference": "0011",
            "callbackURL": f"{self.shop}/b",
        }
        return await self.onepaybd("create", body | changes)

    async def shadhinpay(self, *, key: str = "k1", headers: Any = SHADHINPAY, **changes: Any) -> Answered:
        body = {"amount": "1500.50", "currency": "BDT", "merchantTxnId": REFERENCE, "callbackUrl": f"{self.shop}/b"}
        return await self.call(
            "POST", "/shadhinpay/payments", headers={**headers, "X-Idempotency-Key": key}, json=body | changes
        )

    async def moneybag(self, *, headers: Any = MONEYBAG, **changes: Any) -> Answered:
        body = {
            "order_id": REFERENCE,
            "currency": "BDT",
            "order_amount": "1500.50",
            "order_description": "Order",
            "success_url": f"{self.shop}/s",
            "fail_url": f"{self.shop}/f",
            "cancel_url": f"{self.shop}/c",
            "customer": CUSTOMER,
        }
        return await self.call("POST", "/moneybag/payments/checkout", headers=headers, json=body | changes)

    async def verify(self, transaction_id: str) -> Answered:
        return await self.call("GET", f"/moneybag/payments/verify/{transaction_id}", headers=MONEYBAG)

    async def ipay(self, *, headers: Any = IPAY, **changes: Any) -> Answered:
        body = {
            "amount": 1500.5,
            "referenceId": REFERENCE,
            "description": "Order",
            "successCallbackUrl": f"{self.shop}/s",
            "failureCallbackUrl": f"{self.shop}/f",
            "cancelCallbackUrl": f"{self.shop}/c",
        }
        return await self.call("POST", "/ipay/order", headers=headers, json=body | changes)

    async def ipay_status(self) -> Answered:
        return await self.call("GET", f"/ipay/order/referenceId/{REFERENCE}/status", headers=IPAY)

    async def sslcommerz(self, **changes: Any) -> Answered:
        form = {
            **SSLCOMMERZ,
            "total_amount": "1500.50",
            "currency": "BDT",
            "tran_id": REFERENCE,
            "product_category": "books",
            "success_url": f"{self.shop}/s",
            "fail_url": f"{self.shop}/f",
            "cancel_url": f"{self.shop}/c",
            "ipn_url": f"{self.shop}/i",
            "cus_name": "Rahima",
            "cus_email": "rahima@example.com",
            "cus_add1": "1 Road",
            "cus_city": "Dhaka",
            "cus_country": "Bangladesh",
            "cus_phone": "01700000000",
            "shipping_method": "NO",
            "num_of_item": "1",
            "product_name": "Books",
            "product_profile": "general",
        }
        given = {name: value for name, value in (form | changes).items() if value is not None}
        return await self.call("POST", "/sslcommerz/gwprocess/v4/api.php", form=given)

    async def ask_sslcommerz(self, **asked: str) -> Any:
        path = "/sslcommerz/validator/api/merchantTransIDvalidationAPI.php"
        return (await self.call("GET", path, query=SSLCOMMERZ | {"format": "json"} | asked)).json

    async def validate(self, val_id: str, **asked: str) -> Any:
        path = "/sslcommerz/validator/api/validationserverAPI.php"
        return (await self.call("GET", path, query=SSLCOMMERZ | {"val_id": val_id} | asked)).json

    async def aamarpay(self, **changes: Any) -> Answered:
        body = {
            **AAMARPAY,
            "tran_id": REFERENCE,
            "amount": "1500.50",
            "currency": "BDT",
            "desc": "Order",
            "cus_name": "Rahima",
            "cus_email": "rahima@example.com",
            "cus_phone": "01700000000",
            "cus_add1": "1 Road",
            "cus_city": "Dhaka",
            "cus_country": "Bangladesh",
            "success_url": f"{self.shop}/s",
            "fail_url": f"{self.shop}/f",
            "cancel_url": f"{self.shop}/c",
            "type": "json",
        }
        return await self.call("POST", "/aamarpay/jsonpost.php", json=body | changes)

    async def search_aamarpay(self, reference: str = REFERENCE, **asked: str) -> Answered:
        query = AAMARPAY | {"request_id": reference, "type": "json"} | asked
        return await self.call("GET", "/aamarpay/api/v1/trxcheck/request.php", query=query)

    async def at_shurjopay(self, path: str, body: Any) -> Answered:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.call("POST", f"/shurjopay/api/{path}", headers=headers, json=body)

    async def granted_by_shurjopay(self) -> Answered:
        body = {"username": "sandbox-shurjopay", "password": "sandbox-shurjopay-password"}
        answered = await self.call("POST", "/shurjopay/api/get_token", json=body)
        self.token = answered.json["token"]
        return answered

    async def shurjopay(self, **changes: Any) -> Answered:
        body = {
            "prefix": "SPSBX",
            "token": self.token,
            "store_id": 1,
            "return_url": f"{self.shop}/r",
            "cancel_url": f"{self.shop}/c",
            "amount": "1500.50",
            "order_id": REFERENCE,
            "currency": "BDT",
            "customer_name": "Rahima",
            "customer_address": "1 Road",
            "customer_phone": "01700000000",
            "customer_city": "Dhaka",
            "customer_post_code": "1000",
            "client_ip": "127.0.0.1",
        }
        return await self.at_shurjopay("secret-pay", body | changes)


class Receiver:
    """A webhook endpoint: answers with the given statuses, then 200, and keeps what came."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.came: asyncio.Queue[tuple[Any, bytes]] = asyncio.Queue()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.came.put_nowait((request.headers, await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def next(self) -> tuple[Any, bytes]:
        async with asyncio.timeout(DEADLINE):
            return await self.came.get()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def driving(config: SandboxConfig) -> AsyncIterator[Driver]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with serving(make_app(config)) as base, aiohttp.ClientSession(connector=connector) as http:
        yield Driver(base, http)


OPENERS: dict[str, Callable[[Driver], Any]] = {
    "payparse": Driver.payparse,
    "onepaybd": Driver.bkash,
    "shadhinpay": Driver.shadhinpay,
    "moneybag": Driver.moneybag,
    "ipay": Driver.ipay,
    "sslcommerz": Driver.sslcommerz,
    "aamarpay": Driver.aamarpay,
    "shurjopay": Driver.shurjopay,
}
GRANTS: dict[str, Callable[[Driver], Any]] = {
    "onepaybd": Driver.granted,
    "shurjopay": Driver.granted_by_shurjopay,
}


async def opened(sandbox: Driver, provider: str) -> Any:
    if provider in GRANTS:
        await GRANTS[provider](sandbox)
    answered = await OPENERS[provider](sandbox)
    assert answered.status in (200, 201), answered.body
    return answered.json


POSTING = ("sslcommerz", "aamarpay")
"""The gateways whose pages post a form back to the shop, though aamarPay's not after a cancel."""
_ACTION = re.compile(r'<form id="back" method="post" action="([^"]*)"')


def leads_to(answered: Answered) -> str:
    """Where the browser goes after a deed at a page, by a redirect or by a form that posts itself."""
    if answered.status == 303:
        return str(answered.headers["Location"])
    found = _ACTION.search(answered.body.decode())
    assert found, answered.body
    return unescape(found[1])


def checkout_url(provider: str, answer: Any) -> str:
    match provider:
        case "payparse":
            return answer["checkout_url"]
        case "onepaybd":
            return answer["bkashURL"]
        case "shadhinpay":
            return answer["data"]["paymentUrl"]
        case "moneybag":
            return answer["data"]["checkout_url"]
        case "sslcommerz":
            return answer["GatewayPageURL"]
        case "aamarpay":
            return answer["payment_url"]
        case "shurjopay":
            return answer["checkout_url"]
        case _:
            return "http://" + answer["paymentUrl"]


async def ask(sandbox: Driver, provider: str, answer: Any) -> Answered:
    """The gateway's status answer about the order that `answer` opened."""
    match provider:
        case "payparse":
            return await sandbox.call("GET", f"/payparse/api/v1/order/{answer['payment_id']}/status", headers=PAYPARSE)
        case "onepaybd":
            return await sandbox.onepaybd("status", {"paymentID": answer["paymentID"]})
        case "shadhinpay":
            return await sandbox.call("GET", f"/shadhinpay/payments?merchantTxnId={REFERENCE}", headers=SHADHINPAY)
        case "moneybag":
            found = (await sandbox.asked(f"sessions?provider=moneybag&reference={REFERENCE}"))["sessions"]
            return await sandbox.verify(found[0]["transaction_id"])
        case "sslcommerz":
            path = "/sslcommerz/validator/api/merchantTransIDvalidationAPI.php"
            return await sandbox.call("GET", path, query=SSLCOMMERZ | {"tran_id": REFERENCE})
        case "aamarpay":
            return await sandbox.search_aamarpay()
        case "shurjopay":
            return await sandbox.at_shurjopay("verification", {"order_id": answer["sp_order_id"]})
        case _:
            return await sandbox.ipay_status()


async def told_by_status(sandbox: Driver, provider: str, answer: Any) -> Any:
    """The payment's fields in the gateway's answer."""
    told = (await ask(sandbox, provider, answer)).json
    match provider:
        case "shadhinpay":
            return told["data"]["content"][0]
        case "moneybag":
            return told["data"]
        case "sslcommerz":
            return told["element"][0]
        case "shurjopay":
            return told[0]
        case _:
            return told


def signed_by_shadhinpay(headers: Any, body: bytes, secret: bytes = b"whsec_shadhinpay_sandbox") -> bool:
    stamp, _, signature = headers["X-ShadhinPay-Signature"].partition(",v1=")
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest() == signature


def signed_by_moneybag(headers: Any, body: bytes) -> bool:
    message = headers["X-Webhook-Timestamp"].encode() + b"." + body
    expected = hmac.new(b"whsec_moneybag_sandbox", message, hashlib.sha256).hexdigest()
    return headers["X-Webhook-Signature"] == f"sha256={expected}"
