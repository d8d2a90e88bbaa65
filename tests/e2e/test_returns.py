"""A buyer who returns: the target address, its parameters, and the page while the outcome is unknown."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from itertools import product
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest

from tests.e2e.buyers import ASKED, GATEWAYS, WEBHOOK_SECRET, Answered, Payproof
from tests.harness import CHECKED, TELLS_THE_END, Document, Scene
from tests.processes import until
from worker.ingress.pages import HEADERS
from worker.ingress.waiters import MAX_WAITERS
from worker.postgres.server.embedded import embedded


def target(answered: Answered) -> tuple[str, list[tuple[str, str]]]:
    """The target of a redirect: the address without its query, and the parameters in their order."""
    assert answered.status == 303, answered.body
    parts = urlsplit(answered.headers["Location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parse_qsl(parts.query, keep_blank_values=True)


def added(payment: Document, status: str) -> list[tuple[str, str]]:
    """The parameters that payproof adds, as the contract writes them: the signing key is the bytes after `whsec_`."""
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    text = f"payproof-return.{payment['payment_id']}.{payment['reference']}.{status}"
    return [
        ("payment_id", payment["payment_id"]),
        ("reference", payment["reference"]),
        ("status", status),
        ("signature", hmac.new(key, text.encode(), hashlib.sha256).hexdigest()),
    ]


def page_of(buyer: Scene, name: str) -> str:
    return f"{buyer.stage.shop.pages_url}/{name}"


ENDS = (
    *(product(ASKED, [("pay", "completed", "thanks")])),
    *product(
        (one.provider for one in (*CHECKED, *TELLS_THE_END)),
        [("fail", "failed", "failed"), ("cancel", "cancelled", "cancelled")],
    ),
    # Nothing that aamarPay and UddoktaPay say proves that a buyer did not pay.
    ("aamarpay", ("fail", "pending", "failed")),
    ("aamarpay", ("cancel", "pending", "cancelled")),
    ("uddoktapay", ("cancel", "pending", "cancelled")),
)


@pytest.mark.parametrize(("name", "ends"), ENDS, ids=[f"{name}-{ends[0]}" for name, ends in ENDS])
async def test_the_verified_outcome_decides_where_the_buyer_goes(
    payproof: Payproof, name: str, ends: tuple[str, str, str]
) -> None:
    does, status, page = ends
    buyer = await payproof.opened(name)
    answered = await payproof.comes_back(buyer, does)
    assert target(answered) == (page_of(buyer, page), added(buyer.payment, status))
    assert answered.headers["Cache-Control"] == "no-store"


async def test_the_shops_own_parameters_are_kept_and_ours_replace_their_namesakes(payproof: Payproof) -> None:
    pages = payproof.stage.shop.pages_url
    own = f"{pages}/thanks?cart=7&status=completed&signature=0&payment_id=x&empty="
    buyer = await payproof.opened("ipay", return_url=own)
    answered = await payproof.call("GET", await buyer.at_gateway("pay"))
    assert target(answered) == (
        f"{pages}/thanks",
        [("cart", "7"), ("empty", ""), *added(buyer.payment, "completed")],
    )


async def test_a_shop_with_one_address_gets_every_buyer_there(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    request = await buyer.request()
    del request["failure_url"], request["cancel_url"]
    await buyer.open_as(request)
    answered = await payproof.call("GET", await buyer.at_gateway("fail"))
    assert target(answered) == (page_of(buyer, "thanks"), added(buyer.payment, "failed"))


async def test_a_held_payment_goes_to_the_return_url_and_says_so(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    answered = await payproof.call("GET", await buyer.at_gateway("pay", amount="1.00"))
    assert target(answered) == (page_of(buyer, "thanks"), added(buyer.payment, "held"))


@pytest.mark.parametrize(("word", "page"), [("failure", "failed"), ("cancel", "cancelled")])
async def test_a_word_of_failure_is_believed_for_the_way_and_not_for_the_status(
    payproof: Payproof, word: str, page: str
) -> None:
    buyer = await payproof.opened("ipay")
    path = f"/return/shop-ipay/{buyer.payment['payment_id']}/{word}"
    assert target(await payproof.call("GET", path)) == (page_of(buyer, page), added(buyer.payment, "pending"))


async def test_the_word_of_the_path_wins_over_the_gateways_own(payproof: Payproof) -> None:
    buyer = await payproof.opened("onepaybd")
    path = f"/return/shop-onepaybd/{buyer.payment['payment_id']}/cancel?status=success&paymentID=x"
    assert target(await payproof.call("GET", path))[0] == page_of(buyer, "cancelled")
    [claim] = await payproof.claims(buyer.payment["payment_id"])
    assert claim["said"] == "cancel"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("key", ["paymentID", "PAYMENTID", "paymentid"])
async def test_a_checkout_of_the_shops_own_is_found_by_the_gateways_id(
    payproof: Payproof, method: str, key: str
) -> None:
    buyer = await payproof.opened("onepaybd")
    await buyer.at_gateway("pay")
    fields = {key: buyer.payment["session_id"], "STATUS": "Success"}
    sent = {"params": fields} if method == "GET" else {"data": fields}
    answered = await payproof.call(method, "/return/shop-onepaybd", **sent)
    assert target(answered) == (page_of(buyer, "thanks"), added(buyer.payment, "completed"))


@pytest.mark.parametrize(("does", "page", "status"), [("pay", "thanks", "completed"), ("fail", "failed", "failed")])
async def test_a_transaction_that_the_answer_confirms_is_a_ticket_at_the_first_hit(
    payproof: Payproof, does: str, page: str, status: str
) -> None:
    buyer = await payproof.opened("moneybag")
    returned = urlsplit(await buyer.at_gateway(does, webhook=False))
    answered = await payproof.call("GET", f"/return/shop-moneybag?{returned.query}")
    assert target(answered) == (page_of(buyer, page), added(buyer.payment, status))


async def test_a_reference_alone_is_no_ticket(payproof: Payproof) -> None:
    """The claim is taken, and a person who guesses references learns nothing."""
    buyer = await payproof.opened("ipay")
    await buyer.at_gateway("pay")
    known = await payproof.call("GET", "/return/shop-ipay", params={"referenceId": buyer.payment["reference"]})
    assert known.status == 200
    assert "Location" not in known.headers
    assert buyer.payment["payment_id"] not in known.text
    assert buyer.payment["reference"] not in known.text
    await payproof.settled(buyer.payment["payment_id"], "completed")
    assert (await payproof.call("GET", "/return/shop-ipay", params={"referenceId": "nobodys"})).status == 404


async def test_a_pending_payment_shows_the_confirming_page(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    payment_id = buyer.payment["payment_id"]
    began = time.monotonic()
    answered = await payproof.call("GET", buyer.forged())
    assert answered.status == 200
    assert time.monotonic() - began >= 1  # return_wait
    refresh = re.search(r'<meta http-equiv="refresh" content="3;url=([^"]+)">', answered.text)
    assert refresh is not None
    assert re.fullmatch(rf"/return/shop-ipay/{payment_id}/wait\?since=[0-9]+", refresh[1])
    link = re.search(r'<a href="([^"]+)">', answered.text)
    assert link is not None
    assert link[1].startswith(page_of(buyer, "thanks"))
    assert "Demo shop" in answered.text
    assert buyer.payment["reference"] in answered.text


async def test_waiting_publishes_no_claim_and_ends(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    payment_id = buyer.payment["payment_id"]
    path = f"/return/shop-ipay/{payment_id}/wait"
    since = int(time.time())
    waiting = await payproof.call("GET", f"{path}?since={since}")
    assert waiting.status == 200
    assert f"since={since}" in waiting.text
    over = await payproof.call("GET", f"{path}?since={since - 601}")
    assert target(over) == (page_of(buyer, "thanks"), added(buyer.payment, "pending"))
    assert await payproof.claims(payment_id) == []
    await buyer.at_gateway("pay")
    await payproof.call("GET", buyer.forged())
    done = await payproof.call("GET", f"{path}?since={since}")
    assert target(done) == (page_of(buyer, "thanks"), added(buyer.payment, "completed"))


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("bn", "bn"),
        ("bn-BD,bn;q=0.9,en;q=0.8", "bn"),
        ("en;q=0.5,bn-BD;q=0.7", "bn"),
        ("en-GB,bn;q=0.5", "en"),
        ("", "en"),
    ],
)
async def test_pages_speak_the_browsers_language(payproof: Payproof, asked: str, language: str) -> None:
    answered = await payproof.call("GET", "/return/nobody/nothing", headers={"Accept-Language": asked})
    assert f'<html lang="{language}">' in answered.text
    assert answered.headers["Vary"] == "Accept-Language"
    assert ("পেমেন্ট" in answered.text) == (language == "bn")


async def test_a_language_that_was_chosen_is_kept_along_the_wait(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    path = f"/return/shop-ipay/{buyer.payment['payment_id']}/wait?since={int(time.time())}"
    english = await payproof.call("GET", path)
    [offered] = re.findall(r'<a lang="bn" hreflang="bn" href="([^"]+)">', english.text)
    assert unescape(offered) == f"{path}&lang=bn"
    bangla = await payproof.call("GET", unescape(offered))
    assert '<html lang="bn">' in bangla.text
    assert f'content="3;url={offered}"' in bangla.text


@pytest.mark.alone
async def test_a_wait_that_prefers_it_is_held_and_ends_with_the_answer(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    payment_id = buyer.payment["payment_id"]
    path = f"/return/shop-ipay/{payment_id}/wait"
    began = time.monotonic()
    over = await payproof.call("GET", path, headers={"Prefer": "respond-async, wait=20"})
    assert over.status == 200
    assert 1 <= time.monotonic() - began < 5  # return_wait
    returned = await buyer.at_gateway("pay", webhook=False)
    held = asyncio.create_task(payproof.call("GET", path, headers={"Prefer": "wait=20"}))
    await payproof.call("GET", returned)
    assert target(await held) == (page_of(buyer, "thanks"), added(buyer.payment, "completed"))
    assert len(await payproof.claims(payment_id)) == 1


@pytest.mark.alone
async def test_only_so_many_waits_of_one_payment_are_held(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    path = f"/return/shop-ipay/{buyer.payment['payment_id']}/wait"

    async def seconds() -> float:
        began = time.monotonic()
        assert (await payproof.call("GET", path, headers={"Prefer": "wait=20"})).status == 200
        return time.monotonic() - began

    waited = await asyncio.gather(*[seconds() for _ in range(3 * MAX_WAITERS)])
    assert sum(one >= 1 for one in waited) == MAX_WAITERS  # return_wait


async def test_a_wait_for_a_payment_without_an_address_shows_its_outcome(payproof: Payproof) -> None:
    markup = "<b>&\"'"
    opened = await payproof.shop_calls("POST", "/v1/payments/track", json=tracked(secrets.token_hex(8)))
    assert opened.status == 201, opened.text
    payment_id = opened.json["payment_id"]
    account = GATEWAYS["blind"].account
    held = await payproof.call("GET", f"/return/{account}/{payment_id}/success")
    assert "<title>We are checking this by hand</title>" in held.text
    decision = {"status": "completed", "actor": "a person", "reason": "seen", "transaction_id": "T1"}
    await payproof.stage.shop.resolve(payment_id, **decision)
    answered = await payproof.call("GET", f"/return/{account}/{payment_id}/wait", params={"lang": markup, "x": markup})
    assert answered.status == 200
    assert "<title>Payment received</title>" in answered.text
    assert opened.json["reference"] in answered.text
    assert markup not in answered.text
    for header, value in HEADERS.items():
        assert answered.headers[header] == value


async def test_a_busy_service_tells_each_browser_how_to_bring_its_claim_again(payproof: Payproof) -> None:
    buyer = await payproof.opened("onepaybd")
    path = f"/return/shop-onepaybd/{buyer.payment['payment_id']}"
    said = {"paymentID": buyer.payment["session_id"], "status": "success", "note": "<b>"}
    async with nothing_durable(payproof):
        got, posted, unnamed = await asyncio.gather(
            payproof.call("GET", path, params=said),
            payproof.call("POST", path, data=said),
            payproof.call("POST", "/return/shop-onepaybd", data=said),
        )
    for answered in (got, posted, unnamed):
        assert answered.status == 503
        assert answered.headers["Retry-After"] == "5"
        title = "One moment, please" if answered is unnamed else "Confirming your payment"
        assert f"<title>{title}</title>" in answered.text
        assert "Demo shop" in answered.text
        assert "note" not in answered.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in got.text
    assert f'<noscript><meta http-equiv="refresh" content="5;url={path}/success"></noscript>' in posted.text
    assert "refresh" not in unnamed.text
    assert "Reload this page" in unnamed.text
    await buyer.at_gateway("pay")

    async def sent_on() -> Answered | None:
        answered = await payproof.call("GET", f"{path}/success")
        return answered if answered.status == 303 else None

    assert target(await until(sent_on, what="the way back to the shop"))[1] == added(buyer.payment, "completed")


@asynccontextmanager
async def nothing_durable(payproof: Payproof) -> AsyncIterator[None]:
    """Another transaction keeps the queue locked."""
    async with embedded(payproof.system.place / "data") as url:
        database = await asyncpg.connect(url)
        try:
            async with database.transaction():
                await database.execute("LOCK TABLE queue IN SHARE MODE")
                yield
        finally:
            await database.close()


def tracked(reference: str) -> Document:
    """The body that tracks a checkout without a return address, at a gateway that cannot be asked."""
    named = {"account": GATEWAYS["blind"].account, "reference": reference, "session_id": reference}
    return {**named, "amount": "10.00", "currency": "BDT"}


@pytest.mark.alone
async def test_a_known_end_is_shown_at_once_and_asks_nothing(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    returned = await buyer.at_gateway("pay")
    await payproof.call("GET", returned)
    before = await payproof.stage.control.questions("ipay", buyer.payment["reference"])
    await buyer.gateway_troubles("timeout", on="status", times=1000)
    began = time.monotonic()
    assert target(await payproof.call("GET", returned))[1] == added(buyer.payment, "completed")
    assert time.monotonic() - began < 1
    assert before >= 1
