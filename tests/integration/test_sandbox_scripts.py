"""Every script at every gateway that it fits, as a shop would see it: visits, webhooks, status answers, redirects."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.integration.sandboxes import (
    DEADLINE,
    OPENERS,
    REFERENCE,
    UDDOKTAPAY,
    WITH_EXECUTE,
    Answered,
    Driver,
    ask,
    driving,
    opened,
    opened_by_eps,
    signed_by_moneybag,
    signed_by_shadhinpay,
    signed_by_sns,
    told_by_status,
)
from tests.local_server import serving
from worker.playground.sandbox.sandbox_config import GATEWAYS, SandboxConfig

WITH_WEBHOOKS = ("shadhinpay", "moneybag", "bkash", "eps", "uddoktapay")
UNSIGNED = ("eps", "uddoktapay")
TOLD = (*WITH_WEBHOOKS, "sslcommerz")
"""Those that send a message of their own in these tests; SSLCOMMERZ's opening names an address for its IPN."""
FITS: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        "callback_lost",
        "callback_doubled",
        "callback_late",
        "callback_reordered",
        "callback_forged",
        "callback_of_another",
        "amount_tampered",
        "currency_tampered",
        "status_slow",
        "status_500",
        "status_429",
        "status_html",
        "status_401",
        "status_not_found",
        "status_proxy_404",
        "status_pending",
        "status_unknown_word",
        "status_numbers",
        "status_contradiction",
        "create_lost",
        "token_revoked",
        "paid_after_expiry",
        "paid_after_review",
        "paid_twice",
        "refunded_in_part",
        "refunded_in_full",
        "webhook_forged",
        "webhook_late",
        "webhook_replayed",
        "execute_lost",
        "execute_slow",
        "gateway_down",
        "paid_at_risk",
        "status_in_text",
    ),
    GATEWAYS,
) | {
    "callback_of_another": (
        "onepaybd",
        "moneybag",
        "sslcommerz",
        "bkash",
        "shurjopay",
        "aamarpay",
        "eps",
        "uddoktapay",
    ),
    "currency_tampered": (
        "payparse",
        "onepaybd",
        "shadhinpay",
        "moneybag",
        "sslcommerz",
        "bkash",
        "shurjopay",
        "aamarpay",
    ),
    "status_numbers": ("eps",),
    "paid_after_review": ("uddoktapay",),
    "token_revoked": ("onepaybd", "bkash", "shurjopay", "eps"),
    "paid_twice": ("payparse", "moneybag", "ipay", "sslcommerz", "shurjopay", "aamarpay"),
    "refunded_in_part": ("shadhinpay",),
    "refunded_in_full": ("payparse", "shadhinpay", "moneybag", "shurjopay"),
    "webhook_forged": WITH_WEBHOOKS,
    "webhook_late": ("shadhinpay", "moneybag", "sslcommerz", "shurjopay", "aamarpay", "eps", "uddoktapay"),
    "webhook_replayed": WITH_WEBHOOKS,
    "execute_lost": WITH_EXECUTE,
    "execute_slow": WITH_EXECUTE,
    "paid_at_risk": ("sslcommerz", "aamarpay"),
    "status_in_text": ("shurjopay",),
}
SECONDS = {
    "callback_late": 20,
    "callback_reordered": 1,
    "status_slow": 3,
    "status_not_found": 5,
    "status_proxy_404": 5,
    "status_pending": 5,
    "paid_after_expiry": 2,
    "paid_after_review": 3,
    "paid_twice": 3,
    "refunded_in_part": 3,
    "refunded_in_full": 3,
    "webhook_late": 20,
    "execute_slow": 4,
    "gateway_down": 120,
}
PAID = {
    "payparse": ("status", "paid"),
    "onepaybd": ("transactionStatus", "Completed"),
    "shadhinpay": ("status", "COMPLETED"),
    "moneybag": ("status", "SUCCESS"),
    "ipay": ("statusCode", 200),
    "sslcommerz": ("status", "VALID"),  # and VALIDATED
    "bkash": ("transactionStatus", "Completed"),
    "shurjopay": ("sp_code", "1000"),
    "aamarpay": ("pay_status", "Successful"),
    "eps": ("Status", "SUCCESS"),
    "uddoktapay": ("status", "COMPLETED"),
}
AMOUNT = {"ipay": "orderAmount", "eps": "TotalAmount"}
CURRENCY = {"sslcommerz": "currency_type"}


class Hit:
    """One request that reached the shop."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.method, self.path, self.headers, self.body = request.method, request.path, request.headers, body
        self.url = str(request.url)
        self.certificate = b""

    @property
    def signed(self) -> bool:
        if "x-amz-sns-message-type" in self.headers:
            return signed_by_sns(self.body, self.certificate)
        if self.headers.get("RT-UDDOKTAPAY-API-KEY"):
            return self.headers["RT-UDDOKTAPAY-API-KEY"] == UDDOKTAPAY["RT-UDDOKTAPAY-API-KEY"]
        if b'{"Data":' in self.body:
            return opened_by_eps(self.body) is not None
        check = signed_by_moneybag if "X-Webhook-Signature" in self.headers else signed_by_shadhinpay
        return check(self.headers, self.body)

    @property
    def event_id(self) -> str:
        """The message's id; where a gateway sends none, that of the payment."""
        names = ("X-Webhook-Event-Id", "X-ShadhinPay-Event-Id", "x-amz-sns-message-id")
        return next((self.headers[name] for name in names if name in self.headers), "") or self.payment

    @property
    def says(self) -> str:
        """The event's own word for the payment."""
        event = opened_by_eps(self.body) or json.loads(self.body)
        return str((event.get("data") or event.get("payload") or event).get("status") or event["Status"])

    @property
    def payment(self) -> str:
        """The payment that an EPS or UddoktaPay message is about."""
        event = opened_by_eps(self.body) or json.loads(self.body)
        return str(event.get("EPSTransactionId") or event.get("invoice_id"))


class Shop:
    """Takes visits at any path and webhooks at /hook, and keeps all of them."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.base = ""
        self._came = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        hit = Hit(request, await request.read())
        if "x-amz-sns-message-type" in hit.headers:
            async with (
                aiohttp.ClientSession() as http,
                http.get(json.loads(hit.body)["SigningCertURL"], timeout=aiohttp.ClientTimeout(DEADLINE)) as response,
            ):
                hit.certificate = await response.read()
        async with self._came:
            self.hits.append(hit)
            self._came.notify_all()
        return web.Response()

    @property
    def visits(self) -> list[Hit]:
        return [hit for hit in self.hits if hit.path not in ("/hook", "/i")]

    @property
    def webhooks(self) -> list[Hit]:
        return [hit for hit in self.hits if hit.path == "/hook"]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self._came:
            await self._came.wait_for(holds)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    async with serving(app) as made.base:
        yield made


@asynccontextmanager
async def set_up(shop: Shop, config: SandboxConfig) -> AsyncIterator[Driver]:
    async with driving(config) as driver:
        driver.shop = shop.base
        for provider in WITH_WEBHOOKS:
            await driver.control("webhook_urls", provider=provider, url=f"{shop.base}/hook")
        await driver.asked("sns")  # its key is made now, and takes no time of a script's
        yield driver


@pytest.fixture
async def sandbox(shop: Shop) -> AsyncIterator[Driver]:
    async with set_up(shop, SandboxConfig(seed=7, webhook_base_delay=0.01)) as driver:
        yield driver


async def script(sandbox: Driver, provider: str, name: str, seconds: float | None = None) -> list[Any]:
    more = {} if seconds is None else {"seconds": seconds}
    set_now = await sandbox.control("scripts", provider=provider, reference=REFERENCE, script=name, **more)
    return list(set_now["troubles"])


async def scripted(sandbox: Driver, provider: str, name: str, seconds: float | None = None) -> Any:
    """Set the script, and open the checkout."""
    await script(sandbox, provider, name, seconds)
    return await opened(sandbox, provider)


async def pay(sandbox: Driver, provider: str) -> str | None:
    """The buyer's actions up to the redirect. Returns its address, None without a redirect."""
    return (await sandbox.shopper(provider, "pay"))["redirect"]


async def taken(sandbox: Driver, provider: str, answer: Any) -> None:
    """Execute it, where Execute takes the money."""
    if provider in WITH_EXECUTE:
        assert (await sandbox.execute(provider, answer["paymentID"])).json["statusCode"] == "0000"


async def told_paid(sandbox: Driver, provider: str, answer: Any) -> bool:
    field, word = PAID[provider]
    return str((await told_by_status(sandbox, provider, answer))[field]).startswith(str(word))


async def session(sandbox: Driver, provider: str) -> Any:
    return (await sandbox.asked(f"sessions?provider={provider}&reference={REFERENCE}"))["sessions"][0]


async def nothing_waits(sandbox: Driver, what: str) -> list[Any]:
    """All deliveries or scheduled deeds of our order, once none is due."""
    async with asyncio.timeout(DEADLINE):
        while True:
            rows: list[Any] = (await sandbox.asked(what))[what]
            if all(row["state"] != "due" for row in rows):
                return rows


def each(name: str) -> Any:
    return pytest.mark.parametrize("provider", FITS[name])


def misfits() -> Iterator[tuple[str, str]]:
    for name, fits in FITS.items():
        yield from ((name, provider) for provider in GATEWAYS if provider not in fits)


async def test_the_scripts_are_told_in_order_with_their_gateways_and_seconds(sandbox: Driver) -> None:
    told = (await sandbox.asked("scripts"))["scripts"]
    assert [(row["script"], tuple(row["gateways"])) for row in told] == list(FITS.items())
    assert {row["script"]: row["seconds"] for row in told if row["seconds"] is not None} == SECONDS
    assert all(row["title"] and row["what"].endswith(".") for row in told)
    of_ipay = (await sandbox.asked("scripts?provider=ipay"))["scripts"]
    assert [row["script"] for row in of_ipay] == [name for name, fits in FITS.items() if "ipay" in fits]


async def test_a_script_that_cannot_happen_at_a_gateway_is_refused(sandbox: Driver) -> None:
    for name, provider in misfits():
        body = {"provider": provider, "reference": REFERENCE, "script": name}
        assert (await sandbox.call("POST", "/_control/scripts", json=body)).status == 409
    assert (await sandbox.asked("troubles"))["troubles"] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"script": "callback_eaten"}, "script"),
        ({"provider": "nagad"}, "provider"),
        ({"reference": ""}, "reference"),
        ({"seconds": "soon"}, "seconds"),
        ({"script": "callback_lost", "seconds": 3}, "seconds"),
        ({"times": 3}, "times"),
    ],
)
async def test_a_wrong_field_is_named(sandbox: Driver, wrong: Any, field: str) -> None:
    body = {"provider": "ipay", "reference": REFERENCE, "script": "callback_late"} | wrong
    answered = await sandbox.call("POST", "/_control/scripts", json=body)
    assert (answered.status, answered.json["field"]) == (400, field)
    assert answered.json["error"].startswith(f"{field}: ")


@each("callback_lost")
async def test_a_lost_callback_pays_and_tells_nobody(sandbox: Driver, shop: Shop, provider: str) -> None:
    answer = await scripted(sandbox, provider, "callback_lost")
    assert await pay(sandbox, provider) is None
    await taken(sandbox, provider, answer)
    assert await told_paid(sandbox, provider, answer)
    assert await nothing_waits(sandbox, "deliveries") == await nothing_waits(sandbox, "scheduled") == shop.hits == []


@each("callback_doubled")
async def test_a_doubled_callback_visits_twice_and_repeats_each_webhook(
    sandbox: Driver, shop: Shop, provider: str
) -> None:
    answer = await scripted(sandbox, provider, "callback_doubled")
    redirect = await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    webhooks = 3 if provider in TOLD else 0
    await shop.until(lambda: len(shop.hits) == 2 + webhooks)
    assert [hit.url for hit in shop.visits] == [redirect] * 2
    assert len({hit.event_id for hit in shop.webhooks}) == (1 if provider in WITH_WEBHOOKS else 0)
    assert len(await nothing_waits(sandbox, "deliveries")) == webhooks


async def test_a_doubled_callback_repeats_the_form_too(sandbox: Driver, shop: Shop) -> None:
    await script(sandbox, "moneybag", "callback_doubled")
    await sandbox.moneybag(ipn_url=f"{shop.base}/ipn")
    await pay(sandbox, "moneybag")
    await shop.until(lambda: Counter(hit.path for hit in shop.hits) == {"/s": 2, "/hook": 3, "/ipn": 3})


@each("callback_late")
async def test_a_late_callback_comes_after_its_seconds(sandbox: Driver, shop: Shop, provider: str) -> None:
    answer = await scripted(sandbox, provider, "callback_late", 0.4)
    posting = ("moneybag", "ipay", "payparse", "sslcommerz", "aamarpay", "eps")
    redirects = {"shurjopay": "/r"} | dict.fromkeys(posting, "/s")
    assert await pay(sandbox, provider) is None
    await taken(sandbox, provider, answer)
    assert shop.hits == []
    await shop.until(lambda: len(shop.hits) == (2 if provider in TOLD else 1))
    assert [hit.path for hit in shop.visits] == [redirects.get(provider, "/b")]
    assert [row["result"] for row in await nothing_waits(sandbox, "scheduled")] == ["200"]


@each("callback_reordered")
async def test_word_of_an_earlier_failure_comes_after_the_payment(sandbox: Driver, shop: Shop, provider: str) -> None:
    answer = await scripted(sandbox, provider, "callback_reordered", 0.3)
    redirect = await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    visited = provider not in ("shadhinpay", "shurjopay", "uddoktapay")
    sends = {"bkash": 1, "uddoktapay": 1}.get(provider, 2 if provider in TOLD else 0)
    await shop.until(lambda: len(shop.hits) == sends + visited)
    if sends == 2 and provider in WITH_WEBHOOKS:
        assert [hit.says for hit in shop.webhooks] == [PAID[provider][1], "FAILED"]
    if visited:
        failure = shop.visits[0].url
        assert failure != redirect
        assert urlsplit(failure).path in ("/c" if provider == "payparse" else "/f", "/b")
    assert await told_paid(sandbox, provider, answer)
    if provider == "moneybag":
        failed, paid = (await session(sandbox, provider))["transactions"]
        assert (failed["status"], paid["status"]) == ("failed", "paid")
        told = [json.loads(hit.body)["data"]["transaction_id"] for hit in shop.webhooks]
        assert told == [paid["transaction_id"], failed["transaction_id"]]
        assert parse_qs(urlsplit(failure).query)["transaction_id"] == [failed["transaction_id"]]


@each("callback_forged")
async def test_a_forged_callback_claims_success_and_nothing_is_paid(sandbox: Driver, shop: Shop, provider: str) -> None:
    answer = await scripted(sandbox, provider, "callback_forged")
    redirect = await pay(sandbox, provider)
    assert redirect is not None
    assert urlsplit(redirect).path == "/s" or "status=success" in redirect
    assert (await session(sandbox, provider))["status"] == "open"
    assert not await told_paid(sandbox, provider, answer)
    assert await nothing_waits(sandbox, "deliveries") == shop.hits == []
    assert (await sandbox.shopper(provider, "pay"))["session"]["status"] in ("paid", "approved")


@each("callback_of_another")
async def test_the_callback_of_another_order_names_one_that_is_paid(sandbox: Driver, shop: Shop, provider: str) -> None:
    answer = await scripted(sandbox, provider, "callback_of_another")
    redirect = await pay(sandbox, provider)
    assert redirect is not None
    query = parse_qs(urlsplit(redirect).query)
    other = (await sandbox.asked(f"sessions?provider={provider}"))["sessions"][0]
    assert (other["reference"][:8], other["status"]) == ("another-", "paid")
    if provider == "moneybag":
        assert (query["order_id"], query["transaction_id"]) == ([other["reference"]], [other["transaction_id"]])
        assert (await sandbox.verify(other["transaction_id"])).json["data"]["status"] == "SUCCESS"
    elif provider == "eps":
        assert query["MerchantTransactionId"] == [other["reference"]]
        assert (await sandbox.eps_status(other["reference"])).json["Status"] == "SUCCESS"
    elif provider == "uddoktapay":
        assert query["invoice_id"] == [other["invoice_id"]] != [await sandbox.invoice()]
        told = (await sandbox.verify_invoice(other["invoice_id"])).json
        assert (told["status"], told["metadata"]) == ("COMPLETED", {"reference": other["reference"]})
    elif provider in WITH_EXECUTE:
        assert query["paymentID"] == [other["session_id"]] != [answer["paymentID"]]
        ids = {"paymentID": other["session_id"]}
        asked = sandbox.onepaybd("status", ids) if provider == "onepaybd" else sandbox.direct("payment/status", ids)
        assert (await asked).json["transactionStatus"] == "Completed"
    assert (await session(sandbox, provider))["status"] == "open"
    assert shop.hits == []


@each("amount_tampered")
async def test_another_amount_is_booked_and_told(sandbox: Driver, shop: Shop, provider: str) -> None:
    answer = await scripted(sandbox, provider, "amount_tampered")
    await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    told = await told_by_status(sandbox, provider, answer)
    assert float(told[AMOUNT.get(provider, "amount")]) == 1
    if provider in WITH_WEBHOOKS:
        await shop.until(lambda: len(shop.webhooks) == 1)
        body = json.dumps(opened_by_eps(shop.webhooks[0].body)).encode() if provider == "eps" else shop.webhooks[0].body
        assert (b'"1.00"' if provider != "bkash" else b'\\"amount\\":\\"1\\"') in body


@each("currency_tampered")
async def test_another_currency_is_booked_and_told(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "currency_tampered")
    await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    assert (await told_by_status(sandbox, provider, answer))[CURRENCY.get(provider, "currency")] == "USD"


async def paid_so_that_status_is_next(sandbox: Driver, provider: str, name: str, seconds: float | None = None) -> Any:
    answer = await scripted(sandbox, provider, name, seconds)
    await pay(sandbox, provider)
    if provider in WITH_EXECUTE:
        with pytest.raises(aiohttp.ClientError):
            await sandbox.execute(provider, answer["paymentID"])
    return answer


@pytest.mark.parametrize("provider", GATEWAYS)
@pytest.mark.parametrize(
    ("name", "status"), [("status_500", 500), ("status_429", 429), ("status_html", 200), ("status_401", 401)]
)
async def test_the_next_status_answer_is_an_error_once(sandbox: Driver, provider: str, name: str, status: int) -> None:
    answer = await paid_so_that_status_is_next(sandbox, provider, name)
    first: Answered = await ask(sandbox, provider, answer)
    assert (first.status, first.body.startswith(b"<!doctype html>")) == (status, name == "status_html")
    assert await told_paid(sandbox, provider, answer)


@each("status_unknown_word")
async def test_the_next_status_answer_says_an_unknown_word_once(sandbox: Driver, provider: str) -> None:
    answer = await paid_so_that_status_is_next(sandbox, provider, "status_unknown_word")
    said = str(await told_by_status(sandbox, provider, answer)).lower().replace("_", " ")
    assert "under review" in said
    assert await told_paid(sandbox, provider, answer)


@each("status_slow")
async def test_the_next_status_answer_is_slow_once(sandbox: Driver, provider: str) -> None:
    answer = await paid_so_that_status_is_next(sandbox, provider, "status_slow", 0.1)
    began = asyncio.get_running_loop().time()
    assert await told_paid(sandbox, provider, answer)
    assert asyncio.get_running_loop().time() - began >= 0.1
    assert (await sandbox.asked("troubles"))["troubles"] == []


@each("status_contradiction")
async def test_the_status_is_right_first_and_then_contradicts_itself(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "status_contradiction")
    await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    if provider not in WITH_EXECUTE:
        assert await told_paid(sandbox, provider, answer)
    assert ("error" if provider == "uddoktapay" else "failed") in str(
        await told_by_status(sandbox, provider, answer)
    ).lower()
    assert await told_paid(sandbox, provider, answer)


@each("create_lost")
async def test_the_answer_to_the_opening_is_lost_and_the_checkout_is_there(sandbox: Driver, provider: str) -> None:
    await script(sandbox, provider, "create_lost")
    await sandbox.grant(provider)
    with pytest.raises(aiohttp.ClientError):
        await OPENERS[provider](sandbox)
    assert (await session(sandbox, provider))["status"] == "open"


@each("token_revoked")
async def test_a_revoked_token_is_refused_from_the_deed_on(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "token_revoked")
    await pay(sandbox, provider)
    assert (await ask(sandbox, provider, answer)).status == 401
    await sandbox.grant(provider)
    await taken(sandbox, provider, answer)
    assert await told_paid(sandbox, provider, answer)


@each("paid_after_expiry")
async def test_a_checkout_is_paid_when_its_time_is_over(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "paid_after_expiry", 30)
    await sandbox.control("clock", advance_seconds=31)
    assert (await session(sandbox, provider))["status"] == "expired"
    assert await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    assert await told_paid(sandbox, provider, answer)
    assert (await sandbox.asked("troubles"))["troubles"] == []


async def test_a_checkout_that_is_open_already_is_over_soon(sandbox: Driver) -> None:
    await opened(sandbox, "ipay")
    await script(sandbox, "ipay", "paid_after_expiry", 30)
    await sandbox.control("clock", advance_seconds=31)
    assert (await session(sandbox, "ipay"))["status"] == "expired"


@each("paid_twice")
async def test_a_second_transaction_comes_later(sandbox: Driver, shop: Shop, provider: str) -> None:
    await scripted(sandbox, provider, "paid_twice", 0.2)
    redirect = await pay(sandbox, provider)
    await shop.until(lambda: len(shop.hits) == {"sslcommerz": 3}.get(provider, 2 if provider in WITH_WEBHOOKS else 1))
    first, second = (await session(sandbox, provider))["transactions"]
    assert (first["status"], second["status"]) == ("paid", "paid")
    assert first["transaction_id"] != second["transaction_id"]
    if provider == "moneybag":
        told = [json.loads(hit.body)["data"]["transaction_id"] for hit in shop.webhooks]
        assert told == [first["transaction_id"], second["transaction_id"]]
    elif provider == "eps":
        assert [hit.payment for hit in shop.webhooks] == [first["transaction_id"], second["transaction_id"]]
    else:
        assert [hit.url for hit in shop.visits] == [redirect]


@pytest.mark.parametrize(("amount", "part"), [("1500.50", "250.00"), ("250.00", "125.00")])
async def test_a_part_is_given_back_later(sandbox: Driver, shop: Shop, amount: str, part: str) -> None:
    await script(sandbox, "shadhinpay", "refunded_in_part", 0.1)
    await sandbox.shadhinpay(amount=amount)
    await pay(sandbox, "shadhinpay")
    await shop.until(lambda: len(shop.webhooks) == 2)
    told = await told_by_status(sandbox, "shadhinpay", None)
    assert (told["status"], told["refundTotal"]) == ("COMPLETED", part)


@each("refunded_in_full")
async def test_all_is_given_back_later(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "refunded_in_full", 0.1)
    await pay(sandbox, provider)
    assert await told_paid(sandbox, provider, answer)
    assert [row["state"] for row in await nothing_waits(sandbox, "scheduled")] == ["done"]
    word = (await told_by_status(sandbox, provider, answer))[{"shurjopay": "sp_message"}.get(provider, "status")]
    assert word.lower() == "refunded"


async def test_what_cannot_happen_any_more_is_noted_and_left(sandbox: Driver) -> None:
    await scripted(sandbox, "payparse", "paid_twice", 0.1)
    await pay(sandbox, "payparse")
    await sandbox.control("refund", provider="payparse", reference=REFERENCE)
    (row,) = await nothing_waits(sandbox, "scheduled")
    assert (row["state"], row["result"]) == ("impossible", "the session is refunded")


@each("webhook_forged")
async def test_a_forged_webhook_is_signed_by_somebody_else_every_time(
    sandbox: Driver, shop: Shop, provider: str
) -> None:
    answer = await scripted(sandbox, provider, "webhook_forged")
    assert await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    await shop.until(lambda: len(shop.webhooks) == 1)
    assert not shop.webhooks[0].signed


@each("webhook_late")
async def test_a_late_webhook_is_all_that_comes(sandbox: Driver, shop: Shop, provider: str) -> None:
    if provider not in WITH_WEBHOOKS:
        await sandbox.control("webhook_urls", provider=provider, url=f"{shop.base}/i")
    await scripted(sandbox, provider, "webhook_late", 0.4)
    assert await pay(sandbox, provider) is None
    assert shop.hits == []
    await shop.until(lambda: len(shop.hits) == 1)
    assert shop.webhooks[0].signed if provider in WITH_WEBHOOKS else shop.hits[0].path == "/i"
    assert await nothing_waits(sandbox, "scheduled") == []


@each("webhook_replayed")
async def test_a_replayed_webhook_comes_thirty_times_more_and_once_stale(
    sandbox: Driver, shop: Shop, provider: str
) -> None:
    answer = await scripted(sandbox, provider, "webhook_replayed")
    assert await pay(sandbox, provider)
    await taken(sandbox, provider, answer)
    await shop.until(lambda: len(shop.webhooks) == 32)
    assert len({hit.event_id for hit in shop.webhooks}) == 1
    if provider in ("shadhinpay", "moneybag"):  # the time stands in a header, and the body stays
        assert len({hit.body for hit in shop.webhooks}) == 1
    assert all(hit.signed for hit in shop.webhooks)
    assert {row["attempts"] for row in await nothing_waits(sandbox, "deliveries")} == {1}
    if provider in UNSIGNED:
        return
    stamps = [signed_at(hit) for hit in shop.webhooks]
    assert sum(max(stamps) - stamp > 3000 for stamp in stamps) == 1


def signed_at(hit: Hit) -> int:
    if "x-amz-sns-message-type" in hit.headers:
        return int(datetime.fromisoformat(json.loads(hit.body)["Timestamp"]).timestamp())
    stamp = hit.headers.get("X-Webhook-Timestamp")
    return int(stamp or hit.headers["X-ShadhinPay-Signature"][2:].partition(",")[0])


@each("execute_lost")
async def test_the_answer_to_execute_is_lost_and_the_money_taken(sandbox: Driver, provider: str) -> None:
    answer = await paid_so_that_status_is_next(sandbox, provider, "execute_lost")
    assert await told_paid(sandbox, provider, answer)


@each("execute_slow")
async def test_execute_takes_its_time(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "execute_slow", 0.1)
    await pay(sandbox, provider)
    began = asyncio.get_running_loop().time()
    await taken(sandbox, provider, answer)
    assert asyncio.get_running_loop().time() - began >= 0.1
    assert await told_paid(sandbox, provider, answer)


async def troubles_end(sandbox: Driver) -> None:
    async with asyncio.timeout(DEADLINE):
        while (await sandbox.asked(f"troubles?reference={REFERENCE}"))["troubles"]:
            pass


async def paid_and_to_be_asked(sandbox: Driver, provider: str, name: str) -> Any:
    """Paid, at bKash and OnePayBD by an Execute whose answer is lost, so that the status is asked for."""
    answer = await scripted(sandbox, provider, name, 1.0)
    assert await pay(sandbox, provider)
    if provider in WITH_EXECUTE:
        with pytest.raises(aiohttp.ClientError):
            await taken(sandbox, provider, answer)
    return answer


@each("status_not_found")
async def test_what_is_paid_is_not_known_for_a_while(sandbox: Driver, provider: str) -> None:
    answer = await paid_and_to_be_asked(sandbox, provider, "status_not_found")
    for _ in range(2):
        told = await ask(sandbox, provider, answer)
        words = (b'"2002"', b'"INVALID"', b'"1011"', b'"ERROR"')
        assert told.status == 404 or told.body == b"[]" or any(word in told.body for word in words)
    await troubles_end(sandbox)
    assert await told_paid(sandbox, provider, answer)


@each("status_pending")
async def test_what_is_paid_is_called_pending_for_a_while(sandbox: Driver, provider: str) -> None:
    answer = await paid_and_to_be_asked(sandbox, provider, "status_pending")
    for _ in range(2):
        assert not await told_paid(sandbox, provider, answer)
    await troubles_end(sandbox)
    assert await told_paid(sandbox, provider, answer)


@each("status_proxy_404")
async def test_something_in_between_says_404_in_three_ways(sandbox: Driver, provider: str) -> None:
    answer = await paid_and_to_be_asked(sandbox, provider, "status_proxy_404")
    told = [await ask(sandbox, provider, answer) for _ in range(4)]
    assert [one.status for one in told] == [404] * 4
    kinds = [one.headers["Content-Type"].partition(";")[0] for one in told]
    assert kinds == ["text/html", "text/plain", "application/json", "application/json"]
    assert told[1].body == b"default backend - 404"
    assert told[2].json == {"message": "Not Found"}
    await troubles_end(sandbox)
    assert await told_paid(sandbox, provider, answer)


@each("gateway_down")
async def test_a_gateway_is_down_from_the_deed_on_for_this_order_and_comes_back(sandbox: Driver, provider: str) -> None:
    answer = await scripted(sandbox, provider, "gateway_down", 0.5)
    before = await sandbox.asked("troubles")
    assert [trouble["kind"] for trouble in before["troubles"]] == ["shopper"]
    assert await pay(sandbox, provider)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await ask(sandbox, provider, answer)
    await troubles_end(sandbox)
    await taken(sandbox, provider, answer)
    assert await told_paid(sandbox, provider, answer)


@pytest.mark.parametrize("does", ["fail", "cancel"])
async def test_a_callback_of_a_failure_can_be_lost_and_a_payments_script_waits_for_a_payment(
    sandbox: Driver, shop: Shop, does: str
) -> None:
    await script(sandbox, "moneybag", "amount_tampered")
    await scripted(sandbox, "moneybag", "callback_lost")
    assert (await sandbox.shopper("moneybag", does))["redirect"] is None
    assert [row["trouble"] for row in (await sandbox.asked("troubles"))["troubles"]] == ["amount_tampered"]
    assert await nothing_waits(sandbox, "deliveries") == shop.hits == []


async def test_scripts_are_for_one_order_can_be_several_and_cleared(sandbox: Driver) -> None:
    await script(sandbox, "ipay", "amount_tampered")
    assert [row["trouble"] for row in await script(sandbox, "ipay", "callback_lost")] == [
        "amount_tampered",
        "callback_lost",
    ]
    await sandbox.ipay(referenceId="another-one")
    paid = await sandbox.control("shopper", provider="ipay", reference="another-one", does="pay", returns=False)
    assert (paid["redirect"], paid["session"]["paid_amount"]) == (f"{sandbox.shop}/s", None)
    await opened(sandbox, "ipay")
    both = await sandbox.shopper("ipay", "pay")
    assert (both["redirect"], both["session"]["paid_amount"]) == (None, "1.00")
    await script(sandbox, "ipay", "callback_lost")
    cleared = await sandbox.call("DELETE", f"/_control/troubles?provider=ipay&reference={REFERENCE}")
    assert cleared.json == {"cleared": 1}


async def test_what_is_scheduled_survives_a_restart(shop: Shop, tmp_path: Path) -> None:
    config = SandboxConfig(seed=7, state=str(tmp_path / "state.sqlite"))
    async with set_up(shop, config) as sandbox:
        await scripted(sandbox, "moneybag", "callback_late", 0.3)
        await pay(sandbox, "moneybag")
    assert shop.hits == []
    async with driving(config):
        await shop.until(lambda: {hit.path for hit in shop.hits} == {"/s", "/hook"})


async def test_a_refused_call_uses_up_no_falsified_answer(sandbox: Driver) -> None:
    """The call with a revoked token is refused before it is falsified: the next accepted call is falsified."""
    opening = await opened(sandbox, "onepaybd")
    await sandbox.trouble("onepaybd", "unknown_word", "status")
    await sandbox.control("revoke_tokens")
    assert (await ask(sandbox, "onepaybd", opening)).status == 401
    await sandbox.granted()
    assert (await ask(sandbox, "onepaybd", opening)).json["transactionStatus"] == "Under Review"
    assert (await ask(sandbox, "onepaybd", opening)).json["transactionStatus"] == "Initiated"


async def test_a_refused_call_uses_up_no_lost_answer(sandbox: Driver) -> None:
    """It did no work, so it is told that it was refused. Else a caller has to take the money for taken."""
    opening = await opened(sandbox, "onepaybd")
    await sandbox.shopper("onepaybd", "pay")
    await sandbox.trouble("onepaybd", "lost_answer", "execute")
    await sandbox.control("revoke_tokens")
    paid = {"paymentID": opening["paymentID"]}
    assert (await sandbox.onepaybd("execute", paid)).status == 401
    await sandbox.granted()
    with pytest.raises(aiohttp.ClientError):
        await sandbox.onepaybd("execute", paid)
    assert (await ask(sandbox, "onepaybd", opening)).json["transactionStatus"] == "Completed"
