"""The demo shop beside a scripted payproof: what it believes, from whom, and what its pages show."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from worker.playground.shop.books import Books, Event, Payment
from worker.playground.shop.hooks import Forged, Hooks, Unreadable
from worker.playground.shop.return_signature import read_return, sign_return
from worker.playground.shop.shop_app import mount
from worker.playground.shop.shop_config import ShopConfig

SECRET = f"whsec_{base64.b64encode(bytes(range(24))).decode()}"
OTHER = f"whsec_{base64.b64encode(bytes(24)).decode()}"
PAYMENT_ID = "pay_00000000000000000000000001"
REFERENCE = "order-1-a1"
HOSTILE = "<script>alert(1)</script>\"'&{x}"


def snapshot(version: int = 1, status: str = "pending", **changes: Any) -> dict[str, Any]:
    payment = {
        "payment_id": PAYMENT_ID,
        "merchant": "shop",
        "account": "shop-ipay",
        "provider": "ipay",
        "reference": REFERENCE,
        "order": "order-1",
        "status": status,
        "version": version,
        "hold": None,
        "amount": "1500.50",
        "currency": "BDT",
        "refunded_amount": "0.00",
        "transaction_id": None,
        "checkout_url": "http://127.0.0.1:9/ipay/checkout/1",
        "description": "Tea",
        "metadata": {},
        "opened_at": "2026-11-20T10:45:00.000000Z",
        "unheard_of": {"so": "far"},
    }
    return payment | changes


def told(kind: str, payment: dict[str, Any]) -> dict[str, Any]:
    event_id = f"{payment['payment_id']}.{payment['version']}"
    return {"id": event_id, "type": f"payment.{kind}", "time": "2026-11-20T10:45:09.000000Z", "data": payment}


OPENED = told("opened", snapshot())
COMPLETED = told("completed", snapshot(2, "completed", transaction_id="T1"))
HELD = told("held", snapshot(3, "completed", hold="contradiction", transaction_id="T1"))


def event(written: dict[str, Any]) -> Event:
    data = {name: written["data"][name] for name in Payment.__struct_fields__}
    return Event(id=written["id"], type=written["type"], time=written["time"], data=Payment(**data))


def delivery(
    written: dict[str, Any] | bytes, *, secret: str = SECRET, msg_id: str = "msg_1", age: float = 0
) -> tuple[dict[str, str], bytes]:
    """The headers and body of a webhook as the standard's own library signs it."""
    body = written if isinstance(written, bytes) else json.dumps(written).encode()
    at = datetime.now(UTC) - timedelta(seconds=age)
    signature = Webhook(secret).sign(msg_id=msg_id, timestamp=at, data=body.decode())
    return {"webhook-id": msg_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}, body


# -- the books ---------------------------------------------------------------------------------------------------------


def test_an_order_is_shipped_once_on_the_first_event_that_is_completed_and_not_held() -> None:
    books = Books()
    assert [books.take(event(one), "feed") for one in (OPENED, COMPLETED, COMPLETED, OPENED, HELD)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert books.shipped["order-1"].id == COMPLETED["id"]
    again = told("completed", snapshot(9, "completed"))
    second = told("completed", snapshot(5, "completed", payment_id="pay_2", reference="order-1-a2"))
    for one in (again, second):
        books.take(event(one), "webhook")
    assert books.shipped["order-1"].id == COMPLETED["id"]
    assert [one.payment.reference for one in books.attempts("order-1")] == ["order-1-a1", "order-1-a2"]


def test_an_event_that_comes_late_overrules_nothing() -> None:
    books = Books()
    for one in (HELD, COMPLETED, OPENED):
        books.take(event(one), "feed")
    believed = books.by_reference(REFERENCE)
    assert believed is not None
    assert (believed.payment.version, believed.payment.hold) == (3, "contradiction")
    assert books.shipped == {}


# -- webhooks ----------------------------------------------------------------------------------------------------------


def test_a_rightly_signed_webhook_is_believed_once() -> None:
    books = Books()
    hooks = Hooks(SECRET, books)
    assert hooks.receive(*delivery(COMPLETED)) is True
    assert hooks.receive(*delivery(COMPLETED)) is False
    assert hooks.receive(*delivery(COMPLETED, msg_id="msg_2")) is False
    assert list(books.shipped) == ["order-1"]


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"secret": OTHER}, {}),
        ({"age": 301}, {}),
        ({"age": -301}, {}),
        ({}, {"webhook-id": "msg_other"}),
        ({}, {"webhook-signature": "v1"}),
        ({}, {"webhook-signature": "v1,no base64 at all"}),
        ({}, {"webhook-signature": ""}),
        ({}, {"webhook-timestamp": "yesterday"}),
    ],
)
def test_a_webhook_that_is_not_signed_as_it_should_is_refused(change: Any, headers: dict[str, str]) -> None:
    books = Books()
    made, body = delivery(COMPLETED, **change)
    with pytest.raises(Forged):
        Hooks(SECRET, books).receive(made | headers, body)
    assert books.newest_first() == []


def test_the_bytes_are_what_is_signed() -> None:
    headers, body = delivery(COMPLETED)
    for other in (body.replace(b"1500.50", b"1500.51"), body + b" ", b"\xff" + body):
        with pytest.raises(Forged):
            Hooks(SECRET, Books()).receive(headers, other)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": 1}', b"[" * 100_000])
def test_a_signed_body_that_is_no_event_is_unreadable_and_may_come_again(body: bytes) -> None:
    hooks = Hooks(SECRET, Books())
    for _ in range(2):
        with pytest.raises(Unreadable):
            hooks.receive(*delivery(body))
    assert hooks.receive(*delivery(COMPLETED)) is True


def test_a_rightly_signed_event_about_no_payment_is_taken_and_changes_nothing() -> None:
    books = Books()
    assert Hooks(SECRET, books).receive(*delivery(b'{"id": "test_1", "type": "payproof.test"}')) is False
    assert books.newest_first() == []


# -- returns -----------------------------------------------------------------------------------------------------------


def test_the_signature_of_a_return_is_checked_against_what_it_is_about() -> None:
    right = {"payment_id": PAYMENT_ID, "reference": REFERENCE, "status": "completed"}
    right["signature"] = sign_return(SECRET, PAYMENT_ID, REFERENCE, "completed")

    def verdict(query: dict[str, str], reference: str = REFERENCE, secret: str | None = SECRET) -> str | None:
        brought = read_return(query, reference, secret)
        return None if brought is None else brought.verdict

    assert verdict(right) == "right"
    assert verdict(right, reference="order-2-a1") == "wrong"
    assert verdict(right, secret=OTHER) == "wrong"
    assert verdict(right, secret=None) == "unchecked"
    for name in right:
        assert verdict(right | {name: "another"}) == "wrong"
    assert verdict(right | {"signature": "ü\udcff"}) == "wrong"
    assert verdict({"status": "completed"}) == "missing"
    assert verdict({}) is None


# -- the pages ---------------------------------------------------------------------------------------------------------


class Payproof:
    """Stands for the service and for the sandbox: serves `events`, and answers an opening by the next of `openings`."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        self.openings: list[tuple[int, dict[str, Any]]] = []
        self.opened: list[tuple[str, str]] = []
        self.scripted: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/events", self._events),
                web.get("/v1/payments/{id}/timeline", self._timeline),
                web.post("/v1/payments", self._open),
                web.get("/_control/scripts", self._scripts),
                web.post("/_control/scripts", self._set_script),
            ]
        )
        return app

    async def _events(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", "0"))
        return web.json_response({"events": self.events[after:], "next": str(len(self.events))})

    async def _timeline(self, _: web.Request) -> web.Response:
        return web.json_response({"entries": self.entries})

    async def _open(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.opened.append((body["reference"], request.headers["Idempotency-Key"]))
        status, answer = self.openings.pop(0)
        return web.json_response(answer, status=status)

    async def _scripts(self, _: web.Request) -> web.Response:
        only = {"script": "execute_lost", "title": HOSTILE, "what": HOSTILE, "gateways": ["onepaybd"], "seconds": None}
        return web.json_response({"scripts": [only]})

    async def _set_script(self, request: web.Request) -> web.Response:
        self.scripted.append(await request.json())
        if self.scripted[-1]["provider"] != "onepaybd":
            return web.json_response({"error": "ipay has no Execute"}, status=409)
        return web.json_response({"troubles": []})


class Browser:
    """A person at the shop; redirects are not followed."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def get(self, path: str) -> tuple[int, str]:
        async with self._http.get(self._url + path, allow_redirects=False) as response:
            return response.status, await response.text()

    async def post(self, path: str, data: Any, **headers: str) -> tuple[int, str]:
        """The status, and the redirect's target or the page."""
        async with self._http.post(
            self._url + path,
            data=data,
            headers={name.replace("_", "-"): text for name, text in headers.items()},
            allow_redirects=False,
        ) as response:
            return response.status, response.headers.get("Location") or await response.text()


@pytest.fixture
def payproof() -> Payproof:
    return Payproof()


@pytest.fixture
async def browser(payproof: Payproof) -> AsyncIterator[Browser]:
    app = web.Application()
    async with TestServer(payproof.app()) as there:
        url = str(there.make_url("")).rstrip("/")
        mount(app, ShopConfig(payproof_url=url, key="key", secret=SECRET, sandbox_url=url))
        async with TestServer(app) as here, aiohttp.ClientSession() as http:
            yield Browser(http, str(here.make_url("")).rstrip("/"))


FILLED = {"description": "Tea", "amount": "10", "account": "shop-ipay", "trouble": ""}
CHECKOUT = {"checkout_url": "http://127.0.0.1:9/ipay/checkout/1"}


async def test_a_strangers_text_is_only_text(payproof: Payproof, browser: Browser) -> None:
    hostile = snapshot(2, HOSTILE, hold=HOSTILE, description=HOSTILE, transaction_id=HOSTILE, account=HOSTILE)
    hostile["metadata"], hostile["checkout_url"] = {"trouble": HOSTILE}, "javascript:alert(1)"
    payproof.events = [told(HOSTILE, hostile)]
    kinds = ("claim", "question", "answer", "decision", "event", "delivery", "resolution", HOSTILE)
    fields = dict.fromkeys(("source", "said", "verdict", "word", "change", "type", "id", "reason", "actor"), HOSTILE)
    payproof.entries = [{"at": "2026-11-20T10:45:01.000000Z", "kind": kind, **fields} for kind in kinds]
    query = quote(HOSTILE, safe="")
    for path in (
        f"/orders/{REFERENCE}?status={query}",
        f"/orders/{REFERENCE}/live",
        "/orders",
        "/",
        f"/orders/{query}",
    ):
        status, text = await browser.get(path)
        assert status in (200, 404)
        assert "<script>alert" not in text, path
        assert "javascript:" not in text, path


async def test_the_redirect_is_shown_and_moves_nothing(payproof: Payproof, browser: Browser) -> None:
    payproof.events = [OPENED]
    signature = sign_return(SECRET, PAYMENT_ID, REFERENCE, "completed")
    brought = f"payment_id={PAYMENT_ID}&reference={REFERENCE}&status=completed"
    _, text = await browser.get(f"/orders/{REFERENCE}?{brought}&signature={signature}")
    assert "The signature is Payproof&#x27;s" in text
    assert "Waiting for proof" in text
    _, text = await browser.get(f"/orders/{REFERENCE}?{brought}&signature=0")
    assert "The signature is wrong" in text
    payproof.events.append(COMPLETED)
    _, text = await browser.get(f"/orders/{REFERENCE}")
    assert "Fulfilled" in text


async def test_a_webhook_is_answered_by_what_it_is(payproof: Payproof, browser: Browser) -> None:
    async def sent(headers: dict[str, str], body: bytes) -> int:
        return (await browser.post("/hooks/payproof", body, **headers))[0]

    assert await sent(*delivery(COMPLETED, secret=OTHER)) == 401
    assert await sent(*delivery(b"{}")) == 400
    assert await sent(*delivery(COMPLETED)) == 204
    assert await sent(*delivery(COMPLETED)) == 204
    _, text = await browser.get(f"/orders/{REFERENCE}")
    assert "Fulfilled" in text
    assert "by a webhook" in text


async def test_an_opening_is_sent_again_until_answered_and_gets_a_new_reference_only_from_the_gateways_word(
    payproof: Payproof, browser: Browser
) -> None:
    used = {"code": "reference_used_at_gateway", "detail": "open a new attempt"}
    payproof.openings = [(502, {"code": "gateway_unavailable"}), (409, used), (201, CHECKOUT)]
    assert await browser.post("/orders", FILLED) == (303, CHECKOUT["checkout_url"])
    references, keys = zip(*payproof.opened, strict=True)
    assert references == keys
    assert [reference[-3:] for reference in references] == ["-a1", "-a1", "-a2"]
    assert len({reference[:-3] for reference in references}) == 1


async def test_another_attempt_takes_a_number_that_was_never_used(payproof: Payproof, browser: Browser) -> None:
    payproof.events = [told("opened", snapshot(reference="order-1-a4"))]
    payproof.openings = [(201, CHECKOUT)]
    assert await browser.post("/orders/order-1-a4/again", {}) == (303, CHECKOUT["checkout_url"])
    assert payproof.opened == [("order-1-a5", "order-1-a5")]


async def test_what_the_api_refuses_is_said_at_the_form_and_nothing_is_lost_of_it(
    payproof: Payproof, browser: Browser
) -> None:
    errors = [{"field": "amount", "message": "is too small"}, {"field": "customer.phone", "message": "is no number"}]
    payproof.openings = [(422, {"code": "invalid_request", "detail": "amount: is too small", "errors": errors})]
    status, text = await browser.post("/orders", FILLED | {"description": "Green tea"})
    assert status == 422
    for shown in (
        'id="amount-wrong">Is too small.',
        "customer.phone: Is no number.",
        'value="Green tea"',
        'value="10"',
    ):
        assert shown in text
    status, text = await browser.post("/orders", FILLED | {"account": "nobodys"})
    assert (status, "Choose one of these." in text) == (422, True)


async def test_a_trouble_that_does_not_fit_opens_nothing(payproof: Payproof, browser: Browser) -> None:
    status, text = await browser.post("/orders", FILLED | {"trouble": "execute_lost"})
    assert (status, "iPay cannot have this trouble: ipay has no Execute" in text) == (422, True)
    assert payproof.opened == []
    payproof.openings = [(201, CHECKOUT)]
    fits = FILLED | {"account": "shop-onepaybd", "trouble": "execute_lost"}
    assert (await browser.post("/orders", fits))[0] == 303
    assert payproof.scripted[-1]["reference"] == payproof.opened[0][0]


async def test_a_form_of_another_site_is_refused(payproof: Payproof, browser: Browser) -> None:
    assert (await browser.post("/orders", FILLED, Sec_Fetch_Site="cross-site"))[0] == 403
    assert payproof.opened == []


async def test_no_page_reloads_by_itself_and_those_that_look_again_have_a_link(
    payproof: Payproof, browser: Browser
) -> None:
    """A reload takes a person who reads or types by keyboard back to the top of the page (WCAG 2.2.1)."""
    payproof.events = [OPENED]
    for path in ("/", "/orders", f"/orders/{REFERENCE}", "/orders/order-9"):
        _, text = await browser.get(path)
        assert "http-equiv" not in text, path
        assert ("Look again</a></p></noscript>" in text) == (path != "/"), path


@pytest.mark.parametrize("description", ["", "  "])
async def test_the_link_to_an_order_without_a_description_has_a_name(
    payproof: Payproof, browser: Browser, description: str
) -> None:
    payproof.events = [told("opened", snapshot(description=description))]
    _, text = await browser.get("/orders")
    assert f'<a href="/orders/{REFERENCE}">{REFERENCE}</a>' in text


async def test_an_attempt_that_was_not_paid_says_so_beside_the_one_that_was(
    payproof: Payproof, browser: Browser
) -> None:
    first = snapshot(2, "expired", payment_id="pay_0", reference="order-1-a0")
    payproof.events = [told("expired", first), OPENED, COMPLETED]
    _, text = await browser.get("/orders/order-1-a0")
    assert "Another attempt was paid" in text
    assert "Go to the checkout" not in text
    _, text = await browser.get("/orders")
    assert f"see {REFERENCE}" in text
    assert text.count("shipped 10:45:09") == 1
