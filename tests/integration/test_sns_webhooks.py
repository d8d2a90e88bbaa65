"""bKash's notifications over HTTP: the certificate is fetched from a server, and a subscription is confirmed there."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from consumers.account import Account
from consumers.providers.bkash import BKash
from schemas.secret import Secret
from schemas.words import Authenticity, Said
from tests.integration.shops import CONFIG, Shops
from tests.integration.test_kept import queued
from tests.sns import TOPIC, certificate, key, message
from worker.config import Config
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.ingress import ingress_of
from worker.ingress.signing_certificates import Away, Refused, SigningCertificates
from worker.ingress.waiters import PaymentWaiters
from worker.ingress.webhooks import Webhooks
from worker.telemetry.metrics import Metrics

PEM = "/sns/a.pem"


class Sns:
    """A server with a certificate, which takes confirmations. `status` answers all requests, `asked` counts them."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.status = 200
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        match request.path:
            case "/sns/moved.pem":
                raise web.HTTPFound(PEM)
            case "/sns/large.pem":
                return web.Response(body=b"a" * 100_000)
            case "/sns/silent.pem":
                await asyncio.sleep(60)
        body = certificate(key()) if request.path == PEM else b"<ConfirmSubscriptionResponse/>"
        return web.Response(status=self.status, body=body)

    def message(self, shops: Shops, kind: str = "Notification", **changes: Any) -> dict[str, Any]:
        """A message of now, whose addresses are here."""
        visit = (
            {} if kind == "Notification" else {"SubscribeURL": f"{self.url}/sns/?Action=ConfirmSubscription&Token=t"}
        )
        addresses = {"SigningCertURL": self.url + PEM, **visit}
        return message(shops.database.clock.now(), kind, **(addresses | changes))


@pytest.fixture
async def sns() -> AsyncIterator[Sns]:
    serving = Sns()
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", serving.serve)])
    async with TestServer(app, host="127.0.0.1") as server:
        serving.url = f"http://127.0.0.1:{server.port}"
        yield serving


def configured(sns: Sns, *, private: bool = True) -> Config:
    secret = Secret("key-of-bkash")
    provider = BKash(
        base_url=f"{sns.url}/v1.2.0-beta",
        app_key=secret,
        app_secret=secret,
        username=secret,
        password=secret,
        topic_arn=TOPIC,
    )
    merchant = replace(CONFIG.merchants[0], accounts=(Account(id="shop-bkash", merchant="shop", provider=provider),))
    return replace(CONFIG, merchants=(merchant,), allow_private_webhooks=private)


class Door:
    def __init__(self, client: TestClient[Any, Any]) -> None:
        self._client = client

    async def told(self, body: dict[str, Any]) -> int:
        """Post the message as SNS does, as plain text; returns the status of the answer."""
        headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": str(body.get("Type"))}
        async with self._client.post("/webhooks/shop-bkash", data=json.dumps(body), headers=headers) as answered:
            assert answered.status != 503 or answered.headers["Retry-After"]
            return answered.status


@pytest.fixture
async def private() -> bool:
    return True


@pytest.fixture
async def door(shops: Shops, sns: Sns, private: bool) -> AsyncIterator[Door]:
    clock, config = shops.database.clock, configured(sns, private=private)
    parts = PaymentWaiters(), ByteBudgets(10**9, clock.now), Metrics()
    ingress = ingress_of(config, shops.api.ledger, shops.api.bus, clock, *parts)
    app = web.Application()
    app.add_routes(Webhooks(ingress).routes())
    async with TestClient(TestServer(app)) as client:
        yield Door(client)


async def test_a_notification_becomes_a_signed_claim_and_its_certificate_is_fetched_once(
    shops: Shops, sns: Sns, door: Door
) -> None:
    assert {await door.told(sns.message(shops, version=version)) for version in ("1", "2", "1")} == {200}
    claims = await queued(shops)
    told = {(one.authenticity, one.reference, one.transaction_id, one.said, one.event_type) for one in claims}
    assert told == {(Authenticity.SIGNED, "order-7831-a1", "6H7801QFYM", Said.SUCCESS, "Notification")}
    assert len({one.event_id for one in claims}) == 1
    assert sns.asked == {PEM: 1}


async def test_many_at_once_fetch_the_certificate_once(shops: Shops, sns: Sns, door: Door) -> None:
    one = sns.message(shops)
    assert await asyncio.gather(*(door.told(one) for _ in range(20))) == [200] * 20
    assert sns.asked == {PEM: 1}


async def test_a_subscription_is_confirmed_once_however_often_it_is_told(shops: Shops, sns: Sns, door: Door) -> None:
    told = sns.message(shops, "SubscriptionConfirmation")
    assert [await door.told(told) for _ in range(3)] == [200] * 3
    assert sns.asked == {PEM: 1, "/sns/": 1}
    assert {one.event_type for one in await queued(shops)} == {"SubscriptionConfirmation"}


async def test_the_end_of_a_subscription_is_recorded_and_visits_nothing(shops: Shops, sns: Sns, door: Door) -> None:
    assert await door.told(sns.message(shops, "UnsubscribeConfirmation")) == 200
    assert sns.asked == {PEM: 1}


async def test_what_is_not_bkashs_is_refused_and_nothing_is_fetched(shops: Shops, sns: Sns, door: Door) -> None:
    for changes in ({"TopicArn": TOPIC + "x"}, {"SigningCertURL": "http://127.0.0.2/a.pem"}, {"Signature": "-"}):
        assert await door.told(sns.message(shops) | changes) == 401
    assert await door.told({"event": "payment"}) == 401
    assert (sns.asked, await queued(shops)) == ({}, [])


async def test_a_wrong_signature_is_refused_and_confirms_nothing(shops: Shops, sns: Sns, door: Door) -> None:
    told = sns.message(shops, "SubscriptionConfirmation", signs=key(another=1))
    assert await door.told(told) == 401
    assert (sns.asked, await queued(shops)) == ({PEM: 1}, [])


async def test_while_sns_is_away_the_sender_has_to_come_again(shops: Shops, sns: Sns, door: Door) -> None:
    told, sns.status = sns.message(shops, "SubscriptionConfirmation"), 500
    assert await door.told(told) == 503
    sns.status = 200
    assert await door.told(sns.message(shops)) == 200
    sns.status = 500
    assert await door.told(told) == 503, "the certificate is here, and the confirmation failed"
    sns.status = 200
    assert await door.told(told) == 200
    assert sns.asked == {PEM: 2, "/sns/": 2}


async def test_an_address_without_a_certificate_is_asked_once_a_minute(shops: Shops, sns: Sns, door: Door) -> None:
    sns.status = 404
    assert [await door.told(sns.message(shops)) for _ in range(3)] == [401] * 3
    assert sns.asked == {PEM: 1}


@pytest.mark.parametrize("private", [False])
async def test_a_private_address_is_called_in_development_alone(shops: Shops, sns: Sns, door: Door) -> None:
    assert await door.told(sns.message(shops)) == 401
    assert sns.asked == {}


# -- the requests ------------------------------------------------------------------------------------------------------


async def test_redirects_are_not_followed_and_no_answer_is_larger_than_64_kib(sns: Sns) -> None:
    certificates = SigningCertificates(private=True)
    for path in ("/sns/moved.pem", "/sns/large.pem"):
        with pytest.raises(Refused):
            await certificates.fetch(sns.url + path)
    assert sns.asked == {"/sns/moved.pem": 1, "/sns/large.pem": 1}


async def test_silence_has_an_end_and_is_not_remembered(sns: Sns) -> None:
    certificates = SigningCertificates(private=True, seconds=0.2)
    for _ in range(2):
        with pytest.raises(Away):
            await certificates.fetch(f"{sns.url}/sns/silent.pem")
    assert sns.asked == {"/sns/silent.pem": 2}


async def test_a_server_whose_own_certificate_nobody_trusts_has_none_for_us() -> None:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=certificate(key()))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.add_routes([web.get(PEM, serve)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        with pytest.raises(Away):
            await SigningCertificates(private=True).fetch(f"https://127.0.0.1:{runner.addresses[0][1]}{PEM}")
    finally:
        await runner.cleanup()


async def test_the_addresses_that_are_remembered_are_bounded(sns: Sns) -> None:
    certificates = SigningCertificates(private=True)
    for number in range(70):
        await certificates.fetch(f"{sns.url}/sns/{number}.pem")
    assert not certificates.knows(f"{sns.url}/sns/0.pem")
    assert certificates.knows(f"{sns.url}/sns/69.pem")
