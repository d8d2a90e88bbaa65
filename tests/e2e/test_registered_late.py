"""A buyer has paid, and the gateway reports it, before the shop registers the payment: the payment completes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import aio_pika
import asyncpg
import pytest
from msgspec import Struct

from tests.broker import RabbitMQ, rabbitmq
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof, signed
from tests.e2e.conftest import SETTINGS
from tests.harness import System, staged
from tests.integration.sandboxes import CUSTOMER, MONEYBAG
from tests.processes import directory, until
from worker.amqp.topology import EXPECTED
from worker.postgres.server.embedded import embedded

ACCOUNT = "shop-moneybag"
UNKNOWN = "pay_00000000000000000000000000"


class Checkout(Struct, frozen=True, kw_only=True):
    """A checkout that the shop opened at Moneybag by itself, and that the buyer paid."""

    reference: str
    session_id: str
    transaction_id: str

    @property
    def told(self) -> dict[str, str]:
        return {"transaction_id": self.transaction_id, "order_id": self.reference, "status": "SUCCESS"}

    @property
    def wish(self) -> dict[str, str]:
        named = {"account": ACCOUNT, "reference": self.reference, "session_id": self.session_id}
        return {**named, "amount": "1500.50", "currency": "BDT"}


async def paid(payproof: Payproof) -> Checkout:
    reference = f"late-{secrets.token_hex(8)}"
    pages = dict.fromkeys(("success_url", "fail_url", "cancel_url"), "https://shop.example/thanks")
    order = {"order_id": reference, "order_amount": "1500.50", "order_description": "Two saris", "currency": "BDT"}
    gateway = f"{payproof.system.sandbox_url}/moneybag/payments/checkout"
    body = {**order, **pages, "customer": CUSTOMER}
    opened = await payproof.call("POST", gateway, json=body, headers=MONEYBAG)
    named: dict[str, Any] = {"provider": "moneybag", "reference": reference}
    session = (await payproof.stage.control.post("shopper", **named, does="pay", webhook=False, returns=False))[
        "session"
    ]
    return Checkout(
        reference=reference,
        session_id=opened.json["data"]["session_id"],
        transaction_id=session["transaction_id"],
    )


async def tell(payproof: Payproof, how: str, checkout: Checkout) -> int:
    """The gateway or the buyer's browser reports the payment. Returns the HTTP status of the answer."""
    told = checkout.told
    body = json.dumps({"event_type": "payment.success", "data": told}).encode()
    match how:
        case "webhook":
            headers = {**signed("moneybag", body), "X-Webhook-Event-Id": f"E-{checkout.reference}"}
            answered = await payproof.call("POST", f"/webhooks/{ACCOUNT}/", data=body, headers=headers)
        case "notification":
            answered = await payproof.call("POST", f"/ipn/{ACCOUNT}", json=told)
        case "notification by query":
            answered = await payproof.call("GET", f"/ipn/{ACCOUNT}/", params=told)
        case "return":
            answered = await payproof.call("GET", f"/return/{ACCOUNT}", params=told)
        case "return to a path of nobody":
            answered = await payproof.call("POST", f"/return/{ACCOUNT}/{UNKNOWN}/success/", data=told)
        case _:
            raise AssertionError(how)
    return answered.status


async def until_kept(payproof: Payproof, checkout: Checkout) -> None:
    async with embedded(payproof.system.place / "data") as url:
        database = await asyncpg.connect(url)

        async def kept() -> bool:
            found: bool = await database.fetchval(
                "SELECT exists(SELECT FROM kept WHERE transaction_id = $1)", checkout.transaction_id
            )
            return found

        try:
            await until(kept, what="it is kept")
        finally:
            await database.close()


TOLD = {
    "webhook": 200,
    "notification": 200,
    "notification by query": 200,
    "return": 404,
    "return to a path of nobody": 404,
}


@pytest.mark.parametrize("how", TOLD)
async def test_what_was_told_before_a_payment_was_tracked_completes_it(payproof: Payproof, how: str) -> None:
    checkout = await paid(payproof)
    assert await tell(payproof, how, checkout) == TOLD[how]
    await until_kept(payproof, checkout)
    tracked = await payproof.shop_calls("POST", "/v1/payments/track", json=checkout.wish)
    assert tracked.status == 201, tracked.text
    payment_id = tracked.json["payment_id"]
    payment = await payproof.settled(payment_id, "completed")
    assert payment["transaction_id"] == checkout.transaction_id
    (claim,) = await payproof.claims(payment_id)
    assert claim["at"] < payment["opened_at"]
    assert await tell(payproof, "webhook", checkout) == 200
    await payproof.taken(payment_id, 2)
    verdicts = [one["verdict"] for one in await payproof.claims(payment_id)]
    assert (verdicts.count("repeated") == 1) is (how == "webhook"), "a gateway's retry of its event says nothing new"


async def test_a_return_with_a_reference_alone_is_kept_for_nobody(payproof: Payproof) -> None:
    checkout = await paid(payproof)
    assert (await payproof.call("GET", f"/return/{ACCOUNT}", params={"order_id": checkout.reference})).status == 404
    tracked = await payproof.shop_calls("POST", "/v1/payments/track", json=checkout.wish)
    assert await payproof.claims(tracked.json["payment_id"]) == []


@pytest.mark.parametrize("sent", [{}, {"json": {}}, {"json": {"status": "SUCCESS"}}, {"data": b"\x00"}], ids=str)
async def test_a_notification_that_names_nothing_is_400(payproof: Payproof, sent: dict[str, Any]) -> None:
    assert (await payproof.call("POST", f"/ipn/{ACCOUNT}", **sent)).status == 400
    assert (await payproof.call("POST", "/ipn/nobody", **sent)).status == 404


# -- with a broker -----------------------------------------------------------------------------------------------------


class WithBroker(Struct, frozen=True):
    system: System
    broker: RabbitMQ


@pytest.fixture(scope="module")
def installed() -> Iterator[WithBroker]:
    with directory() as place, rabbitmq() as broker, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAYPROOF_AMQP_URL", broker.url)
        system = System(place, settings=SETTINGS, secret=WEBHOOK_SECRET)
        system.start()
        try:
            yield WithBroker(system, broker)
        finally:
            system.stop()


@pytest.mark.parametrize("how", ["webhook", "return"])
async def test_what_was_told_before_a_message_announced_the_payment_completes_it(
    installed: WithBroker, how: str
) -> None:
    async with staged(installed.system) as stage, await aio_pika.connect(installed.broker.url) as connection:
        payproof = Payproof(installed.system, stage)
        checkout = await paid(payproof)
        assert await tell(payproof, how, checkout) == TOLD[how]
        await until_kept(payproof, checkout)
        channel = await connection.channel(publisher_confirms=True)
        message = aio_pika.Message(json.dumps({"merchant": "shop", **checkout.wish}).encode(), delivery_mode=2)
        await channel.default_exchange.publish(message, EXPECTED)

        async def registered() -> str | None:
            found = await payproof.shop_calls("GET", "/v1/payments", params={"reference": checkout.reference})
            return next((one["payment_id"] for one in found.json["payments"]), None)

        await payproof.settled(await until(registered, what="it is registered"), "completed")
