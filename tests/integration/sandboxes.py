"""A shop and a tester at one sandbox, over real sockets, for the tests of the sandbox."""

from __future__ import annotations

import asyncio
import base64
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
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509 import load_pem_x509_certificate

from tests.local_server import serving
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
BKASH = "/bkash/v1.2.0-beta/tokenized/checkout"
BKASH_USER = {"username": "sandbox-bkash-user", "password": "sandbox-bkash-password"}
BKASH_APP = {"app_key": "sandbox-bkash-app-key", "app_secret": "sandbox-bkash-app-secret"}
UDDOKTAPAY = {"RT-UDDOKTAPAY-API-KEY": "sandbox-uddoktapay-key"}
WITH_EXECUTE = ("onepaybd", "bkash")
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
        told = {"returns": False, **more}
        return await self.control("shopper", provider=provider, reference=REFERENCE, does=does, **told)

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

    def _of_bkash(self, payer: str) -> dict[str, str]:
        """The opening of a payment, by bKash itself and by OnePayBD, which has bKash's fields."""
        return {
            "mode": "0011",
            "amount": "1500.5",
            "currency": "BDT",
            "intent": "sale",
            "merchantInvoiceNumber": REFERENCE,
            "payerReference": payer,
            "callbackURL": f"{self.shop}/b",
        }

    async def bkash(self, **changes: Any) -> Answered:
        return await self.onepaybd("create", self._of_bkash("0011") | changes)

    async def direct(self, path: str, body: Any, **headers: str) -> Answered:
        """A call to bKash itself."""
        sent = {"Authorization": self.token, "X-APP-Key": BKASH_APP["app_key"]} | headers
        return await self.call("POST", f"{BKASH}/{path}", headers=sent, json=body)

    async def granted_by_bkash(self) -> Answered:
        answered = await self.direct("token/grant", BKASH_APP, **BKASH_USER)
        self.token = answered.json["id_token"]
        return answered

    async def direct_bkash(self, **changes: Any) -> Answered:
        return await self.direct("create", self._of_bkash("01770618575") | changes)

    async def execute(self, provider: str, payment_id: str) -> Answered:
        """Take the money, where Execute does that."""
        call = self.onepaybd if provider == "onepaybd" else self.direct
        return await call("execute", {"paymentID": payment_id})

    async def grant(self, provider: str) -> None:
        """A token, where the gateway grants some."""
        grants = {
            "onepaybd": self.granted,
            "bkash": self.granted_by_bkash,
            "shurjopay": self.granted_by_shurjopay,
            "eps": self.granted_by_eps,
        }
        if provider in grants:
            await grants[provider]()

    async def eps_call(self, method: str, path: str, hashed: str, *, json: Any = None, **headers: str) -> Answered:
        digest = hmac.digest(b"sandbox-eps-hash-key", hashed.encode(), hashlib.sha512)
        sent = {"x-hash": base64.b64encode(digest).decode(), "Authorization": f"Bearer {self.token}"} | headers
        return await self.call(method, f"/eps/v1/{path}", headers=sent, json=json)

    async def granted_by_eps(self) -> Answered:
        body = {"userName": "sandbox-eps-user", "password": "sandbox-eps-password"}
        answered = await self.eps_call("POST", "Auth/GetToken", body["userName"], json=body)
        self.token = answered.json["token"]
        return answered

    async def eps(self, **changes: Any) -> Answered:
        customer = {"Name": "Rahima", "Email": "rahima@example.com", "Address": "1 Road", "City": "Dhaka"}
        customer |= {"State": "Dhaka", "Postcode": "1000", "Country": "BD", "Phone": "01700000000"}
        body = {
            "merchantId": "5d4a1f8e-0000-4000-8000-000000000001",
            "storeId": "5d4a1f8e-0000-4000-8000-000000000002",
            "CustomerOrderId": "order-7831",
            "merchantTransactionId": REFERENCE,
            "transactionTypeId": 1,
            "totalAmount": 1500.5,
            "successUrl": f"{self.shop}/s",
            "failUrl": f"{self.shop}/f",
            "cancelUrl": f"{self.shop}/c",
            **{f"customer{name}": value for name, value in customer.items()},
            "productName": "Order",
        } | changes
        hashed = str(body["merchantTransactionId"])
        return await self.eps_call("POST", "EPSEngine/InitializeEPS", hashed, json=body)

    async def eps_status(self, reference: str = REFERENCE) -> Answered:
        path = f"EPSEngine/CheckMerchantTransactionStatus?merchantTransactionId={reference}"
        return await self.eps_call("GET", path, reference)

    async def uddoktapay(self, *, headers: Any = UDDOKTAPAY, **changes: Any) -> Answered:
        body = {
            "full_name": "Rahima",
            "email": "rahima@example.com",
            "amount": "1500.50",
            "metadata": {"reference": REFERENCE},
            "redirect_url": f"{self.shop}/b",
            "return_type": "GET",
            "cancel_url": f"{self.shop}/c",
        }
        return await self.call("POST", "/uddoktapay/api/checkout-v2", headers=headers, json=body | changes)

    async def verify_invoice(self, invoice_id: str) -> Answered:
        body = {"invoice_id": invoice_id}
        return await self.call("POST", "/uddoktapay/api/verify-payment", headers=UDDOKTAPAY, json=body)

    async def invoice(self) -> str:
        """The invoice of our order's checkout, which only a return tells."""
        return str(
            (await self.asked(f"sessions?provider=uddoktapay&reference={REFERENCE}"))["sessions"][0]["invoice_id"]
        )

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
async def receiving(path: str = "/hook") -> AsyncIterator[Receiver]:
    """An endpoint at this path that keeps what comes."""
    made = Receiver()
    app = web.Application()
    app.router.add_post(path, made.take)
    async with serving(app) as base:
        made.url = f"{base}{path}"
        yield made


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
    "bkash": Driver.direct_bkash,
    "shurjopay": Driver.shurjopay,
    "aamarpay": Driver.aamarpay,
    "eps": Driver.eps,
    "uddoktapay": Driver.uddoktapay,
}


async def opened(sandbox: Driver, provider: str) -> Any:
    await sandbox.grant(provider)
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
        case "onepaybd" | "bkash":
            return answer["bkashURL"]
        case "eps":
            return answer["RedirectURL"]
        case "uddoktapay":
            return answer["payment_url"]
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
        case "bkash":
            return await sandbox.direct("payment/status", {"paymentID": answer["paymentID"]})
        case "eps":
            return await sandbox.eps_status()
        case "uddoktapay":
            return await sandbox.verify_invoice(await sandbox.invoice())
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


def signed_by_sns(body: bytes, certificate: bytes) -> bool:
    """By the certificate that lies at the address that the message names."""
    message = json.loads(body)
    key = load_pem_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    told = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    algorithm = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
    try:
        key.verify(base64.b64decode(message["Signature"]), told.encode(), padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True


def opened_by_eps(body: bytes) -> Any:
    """What an EPS IPN says; None where it is none, or is closed by another key."""
    data = json.loads(body).get("Data")
    if data is None:
        return None
    iv, sealed = (base64.b64decode(part) for part in data.split(":"))
    opener = Cipher(algorithms.AES(b"sandbox-eps-ipn-key-of-32-bytes!"), modes.CBC(iv)).decryptor()
    padded = opener.update(sealed) + opener.finalize()
    try:
        return json.loads(padded[: -padded[-1]])
    except ValueError:
        return None


def signed_by_moneybag(headers: Any, body: bytes) -> bool:
    message = headers["X-Webhook-Timestamp"].encode() + b"." + body
    expected = hmac.new(b"whsec_moneybag_sandbox", message, hashlib.sha256).hexdigest()
    return headers["X-Webhook-Signature"] == f"sha256={expected}"
