"""The webhook of the Django shop: who is believed, and what is acknowledged."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import aiohttp
import pytest

from schemas.secret import Secret
from tests.e2e.django_shop import OTHER_SECRET, Shop, Site, beside_payproof, opened
from tests.harness import System
from worker.deliver.sender import signature_headers

pytestmark = pytest.mark.timeout(700)  # the first installs Django


@pytest.fixture(scope="module")
def beside() -> Iterator[tuple[Site, System]]:
    with beside_payproof() as both:
        yield both


@pytest.fixture
async def shop(beside: tuple[Site, System]) -> AsyncIterator[Shop]:
    async with opened(*beside) as shop:
        yield shop


async def test_a_webhook_is_believed_by_its_signature_and_acknowledged_when_stored(shop: Shop) -> None:
    scene = await shop.at_checkout("order-forged")
    forged = scene.payment | {"status": "completed", "version": 9}
    body = json.dumps({"id": "x.9", "type": "payment.completed", "data": forged}).encode()
    other = signature_headers([Secret(OTHER_SECRET)], "x.9", datetime.now(UTC), body)
    for headers in ({}, other, other | {"webhook-timestamp": "²"}):
        assert await shop.hears(body, headers) == 401
    broken = json.dumps({"type": "payment.completed", "data": {"reference": scene.payment["reference"]}}).encode()
    assert await shop.hears(broken) == 500
    assert shop.attempts("order-forged") == ["pending"]
    less = json.dumps({"type": "payment.completed", "data": forged | {"amount": "1.00"}}).encode()
    assert await shop.hears(less) == 200
    assert shop.site.ask("select state from payments_order where name = 'order-forged'") == [("held",)]
    async with aiohttp.ClientSession() as http:
        url = f"{shop.site.url}/orders/order-forged/pay/"
        async with http.post(url, allow_redirects=False) as crossed:
            assert crossed.status == 403, "a form without the token of its page"


async def test_without_a_secret_no_webhook_is_believed(shop: Shop) -> None:
    await shop.at_checkout("order-bare")
    for secret in ("", "whsec_QUJD"):
        await shop.site.stop()
        shop.site.secret = secret
        await shop.site.start()
        at, key = int(datetime.now(UTC).timestamp()), base64.b64decode(secret.removeprefix("whsec_"))
        body = json.dumps({"type": "payproof.test"}).encode()
        digest = base64.b64encode(hmac.digest(key, f"x.{at}.".encode() + body, "sha256")).decode()
        signed = {"webhook-id": "x", "webhook-timestamp": str(at), "webhook-signature": f"v1,{digest}"}
        assert await shop.hears(body, signed) == 500


async def test_a_payment_at_another_account_pays_nothing(shop: Shop) -> None:
    scene = await shop.at_checkout("order-copy")
    forged = scene.payment | {"status": "completed", "version": 9, "account": "shop-ipay"}
    body = json.dumps({"type": "payment.completed", "data": forged}).encode()
    assert await shop.hears(body) == 200
    assert shop.attempts("order-copy") == ["pending"]
