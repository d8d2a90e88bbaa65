"""POST /v1/payments and its siblings: what a shop can ask for, and each way it can end."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog

from consumers.ports.openings import OpeningOutcome, OpeningRefused, ReferenceUsed
from consumers.ports.unavailable import BusUnavailable
from schemas.answers import Inconclusive, Trouble
from schemas.shown import PAYMENT_ID
from schemas.words import Status
from tests.integration.shops import KEYS, OLDER_KEY, ORDER, PUBLIC, TRACKED, Shops, at, serving
from worker.postgres.database import Database, connect
from worker.telemetry import logs

NO_REPLY = Inconclusive(trouble=Trouble.NO_REPLY, detail="no reply")
MISSING = "pay_" + "0" * 26


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/payments", "/v1/events", "/v1/nothing", "/v1/payments/x/y/z"])
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEYS['shop']}", KEYS["shop"], f"Bearer {KEYS['shop']} x"],
)
async def test_without_a_key_there_is_nothing_but_401(shops: Shops, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method in ("GET", "POST", "DELETE"):
        got = await shops.call(method, path, shop=None, headers=headers)
        assert got.problem == (401, "unauthorized", None)
        assert got.headers["WWW-Authenticate"] == "Bearer"


async def test_each_key_of_a_merchant_opens_and_the_scheme_is_read_in_any_case(shops: Shops) -> None:
    for header in (f"Bearer {OLDER_KEY}", f"bearer {KEYS['shop']}"):
        got = await shops.call("GET", "/v1/payments", shop=None, headers={"Authorization": header})
        assert got.status == 200


async def test_unknown_paths_and_methods_are_problems(shops: Shops) -> None:
    assert (await shops.get("/v1/nothing")).problem == (404, "not_found", None)
    assert (await shops.get("/v1")).problem == (404, "not_found", None)
    got = await shops.call("DELETE", "/v1/payments")
    assert got.problem == (405, "method_not_allowed", None)
    assert set(got.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}
    assert (await shops.get("/v1/payments/track")).problem == (405, "method_not_allowed", None)


# -- opening -----------------------------------------------------------------------------------------------------------


async def test_a_payment_is_opened(shops: Shops) -> None:
    got = await shops.open(order="7831", metadata={"বই": "শাড়ি"}, expires_in=600)
    assert got.status == 201
    body = got.body
    assert re.fullmatch(PAYMENT_ID, body["payment_id"])
    opened_at, expires_at = at(body.pop("opened_at")), at(body.pop("expires_at"))
    assert expires_at - opened_at == timedelta(seconds=600)
    assert body == {
        "payment_id": body["payment_id"],
        "merchant": "shop",
        "account": "shop-one",
        "provider": "onepaybd",
        "reference": "order-7831-a1",
        "order": "7831",
        "status": "pending",
        "version": 1,
        "hold": None,
        "late": False,
        "amount": "1500.50",
        "currency": "BDT",
        "amount_verified": False,
        "refunded_amount": "0.00",
        "fee": None,
        "method": None,
        "risk": None,
        "session_id": "S-1",
        "transaction_id": None,
        "checkout_url": "https://gateway.example/pay/1",
        "description": "Two saris",
        "metadata": {"বই": "শাড়ি"},
        "completed_at": None,
        "checked_at": None,
    }
    assert (await shops.get(f"/v1/payments/{body['payment_id']}")).raw == got.raw


async def test_the_gateway_is_given_what_the_shop_wished_and_our_own_urls(shops: Shops) -> None:
    customer = {"name": "রহিম", "phone": "01700000000"}
    options = {"merchantAssociationInfo": "MI05", "nested": {"n": 1.50}}
    body = await shops.opened(customer=customer, provider_options=options, method="card")
    account, opening = shops.checkout.openings[0]
    assert (account.id, opening.reference, opening.amount) == ("shop-one", ORDER["reference"], Decimal("1500.50"))
    assert (opening.customer.name, opening.customer.email, opening.method) == ("রহিম", None, "card")
    assert opening.options == {"merchantAssociationInfo": "MI05", "nested": {"n": "1.5"}}
    back = f"{PUBLIC}/return/shop-one/{body['payment_id']}"
    urls = opening.urls
    assert (urls.back, urls.success, urls.failure, urls.cancel) == (
        back,
        f"{back}/success",
        f"{back}/failure",
        f"{back}/cancel",
    )
    assert urls.ipn == f"{PUBLIC}/ipn/shop-one/{body['payment_id']}"


async def test_a_gateways_own_limits_are_checked_before_it_is_called(shops: Shops) -> None:
    got = await shops.open(expires_in=299)
    assert got.problem == (422, "invalid_request", "expires_in")
    got = await shops.open(account="shop-bag", reference="short", customer={"name": "Rahim"})
    assert got.status == 422
    fields = {error["field"] for error in got.body["errors"]}
    assert {"reference", "customer.email", "customer.phone"} <= fields
    assert not shops.checkout.openings
    assert (await shops.get("/v1/payments")).body["payments"] == []


async def test_a_real_gateway_is_given_https_addresses_only(shops: Shops) -> None:
    got = await shops.open(account="shop-far")
    assert got.problem[:2] == (422, "callback_url_not_https")
    assert "PAYPROOF_PUBLIC_URL" in got.body["detail"]
    await shops.opened(account="shop-compose", reference="in-compose")
    assert not any(account.id == "shop-far" for account, _ in shops.checkout.openings)


async def test_the_account_of_another_merchant_does_not_exist(shops: Shops) -> None:
    for account in ("other-one", "nobodys"):
        assert (await shops.open(account=account)).problem == (422, "invalid_request", "account")
        got = await shops.post("/v1/payments/track", {**TRACKED, "account": account})
        assert got.problem == (422, "invalid_request", "account")


async def test_a_reference_with_a_checkout_is_used(shops: Shops) -> None:
    first = await shops.opened()
    for changes in ({}, {"amount": "1.00"}):
        got = await shops.open(**changes)
        assert got.problem == (409, "reference_used", "reference")
        assert got.body["payment_id"] == first["payment_id"]
    await shops.opened(account="shop-ipay")  # its reference is unique per account
    await shops.open(shop="other", account="other-one")
    assert len(shops.checkout.openings) == 3


async def test_a_refusal_is_told_in_the_gateways_words_and_frees_the_reference(shops: Shops) -> None:
    shops.checkout.script(OpeningRefused(message="Merchant is not active"))
    got = await shops.open()
    assert got.problem == (422, "gateway_refused", None)
    assert got.body["detail"] == "Merchant is not active"
    assert (await shops.get("/v1/payments")).body["summary"]["count"] == 0
    await shops.opened(amount="20.00")


@pytest.mark.parametrize(
    ("outcome", "status", "code", "retry_after"),
    [
        (NO_REPLY, 504, "gateway_timeout", None),
        (Inconclusive(trouble=Trouble.SERVER_ERROR, detail="HTTP 503"), 502, "gateway_unavailable", None),
        (
            Inconclusive(trouble=Trouble.RATE_LIMITED, detail="HTTP 429", retry_after=6.5),
            502,
            "gateway_unavailable",
            "7",
        ),
    ],
)
async def test_after_a_lost_answer_an_equal_body_opens_the_row_again(
    shops: Shops, outcome: OpeningOutcome, status: int, code: str, retry_after: str | None
) -> None:
    shops.checkout.script(outcome)
    got = await shops.open(key="first")
    assert got.problem == (status, code, None)
    assert got.headers.get("Retry-After") == retry_after
    waiting = (await shops.get("/v1/payments")).body["payments"][0]
    assert (waiting["version"], waiting["checkout_url"], waiting["status"]) == (0, None, "pending")
    assert waiting["payment_id"] == got.body["payment_id"]
    other = await shops.open(amount="20.00")
    assert other.problem == (409, "reference_used", "reference")
    assert other.body["payment_id"] == waiting["payment_id"]
    again = await shops.opened(key="second")
    assert (again["payment_id"], again["version"]) == (waiting["payment_id"], 1)
    assert f"/{waiting['payment_id']}/success" in shops.checkout.openings[-1][1].urls.success


async def test_a_number_written_otherwise_is_another_body(shops: Shops) -> None:
    shops.checkout.script(NO_REPLY)
    await shops.open(provider_options={"n": 1})
    assert (await shops.open(provider_options={"n": "1"})).problem[1] == "reference_used"
    await shops.opened(provider_options={"n": 1})


async def test_a_reference_used_at_the_gateway_keeps_its_row(shops: Shops) -> None:
    shops.checkout.script(ReferenceUsed())
    got = await shops.open(account="shop-ipay")
    assert got.problem == (409, "reference_used_at_gateway", "reference")
    assert "same `order`" in got.body["detail"]
    row = await shops.get(f"/v1/payments/{got.body['payment_id']}")
    assert (row.body["status"], row.body["version"]) == ("pending", 0)
    due = await shops.database.fetch("SELECT next_check_at FROM payments")
    assert due[0]["next_check_at"] is not None


async def test_a_reference_being_opened_is_in_progress(shops: Shops) -> None:
    shops.checkout.hold()
    first = asyncio.ensure_future(shops.open())
    await shops.checkout.called()
    got = await shops.open()
    assert got.problem == (409, "opening_in_progress", "reference")
    assert int(got.headers["Retry-After"]) > 0
    shops.checkout.release()
    assert (await first).body["payment_id"] == got.body["payment_id"]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """The log of the process."""
    hook, root = sys.excepthook, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    yield stream
    structlog.reset_defaults()
    sys.excepthook, root.handlers[:] = hook, handlers
    root.setLevel(level)


async def test_an_unexpected_error_is_a_500_that_says_nothing(shops: Shops, logged: io.StringIO) -> None:
    shops.checkout.script(ValueError("01700000000 is not a number"))
    got = await shops.open(description="private words")
    assert got.problem == (500, "internal", None)
    assert b"01700000000" not in got.raw
    assert b"Traceback" not in got.raw
    (line,) = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert (line["event"], line["route"]) == ("request.failed", "/v1/payments")
    assert "ValueError" in line["exception"]
    assert "in open_payment" in line["exception"]
    assert "01700000000" not in logged.getvalue()
    assert "private words" not in logged.getvalue()


# -- tracking ----------------------------------------------------------------------------------------------------------


async def test_a_payment_the_shop_opened_itself_is_tracked(shops: Shops) -> None:
    got = await shops.post("/v1/payments/track", {**TRACKED, "order": "7831"})
    assert got.status == 201
    assert (got.body["session_id"], got.body["checkout_url"], got.body["version"]) == ("TR-1", None, 1)
    assert (got.body["description"], got.body["order"]) == ("", "7831")
    assert not shops.checkout.openings
    await shops.placed()
    assert [event["type"] for event in (await shops.get("/v1/events")).body["events"]] == ["payment.opened"]


async def test_a_tracked_reference_or_session_is_taken_once(shops: Shops) -> None:
    first = await shops.post("/v1/payments/track", TRACKED)
    got = await shops.post("/v1/payments/track", TRACKED)
    assert got.problem == (409, "reference_used", "reference")
    assert got.body["payment_id"] == first.body["payment_id"]
    got = await shops.post("/v1/payments/track", {**TRACKED, "reference": "order-2"})
    assert got.problem == (409, "session_used", "session_id")
    assert (await shops.get("/v1/payments")).body["summary"]["count"] == 1
    assert (await shops.open()).problem == (409, "reference_used", "reference")


# -- asking and resolving ----------------------------------------------------------------------------------------------


async def test_verify_queues_an_operators_claim(shops: Shops) -> None:
    payment = await shops.opened()
    got = await shops.call("POST", f"/v1/payments/{payment['payment_id']}/verify")
    assert (got.status, got.body) == (202, payment)
    (claim,) = await shops.queued()
    assert (claim["payment_id"], claim["source"], claim["account"]) == (payment["payment_id"], "operator", "shop-one")


class Away:
    """A bus that can make no claim durable."""

    async def publish(self, claims: Any, *, low_priority: bool = False) -> None:
        raise BusUnavailable("refused")


async def test_verify_is_503_when_nothing_can_be_made_durable(database: Database) -> None:
    async with serving(database, bus=Away()) as shops:  # type: ignore[arg-type]
        payment = await shops.opened()
        got = await shops.call("POST", f"/v1/payments/{payment['payment_id']}/verify")
    assert got.problem == (503, "unavailable", None)
    assert int(got.headers["Retry-After"]) > 0


async def test_a_held_payment_is_resolved_once(shops: Shops) -> None:
    payment = await shops.opened(account="shop-ipay")
    path = f"/v1/payments/{payment['payment_id']}/resolve"
    wish = {
        "status": "completed",
        "actor": "rahim@shop",
        "reason": "seen in the statement",
        "evidence": "line 1\nline 2",
    }
    assert (await shops.post(path, wish)).problem == (409, "not_held", None)
    await shops.answered(payment, Status.COMPLETED, amount=Decimal("15.00"))
    assert (await shops.get(f"/v1/payments/{payment['payment_id']}")).body["hold"] == "amount_mismatch"
    assert (await shops.post(path, {**wish, "version": 9})).problem == (409, "version_conflict", "version")
    got = await shops.post(path, wish)
    assert (got.status, got.body["status"], got.body["hold"], got.body["version"]) == (200, "completed", None, 3)
    again = await shops.post(path, wish)
    assert (again.status, again.body) == (200, got.body)
    assert (await shops.post(path, {**wish, "reason": "another"})).problem == (409, "not_held", None)


async def test_a_resolution_never_lowers_and_never_takes_anothers_transaction(shops: Shops) -> None:
    one = await shops.opened(account="shop-ipay", reference="one")
    two = await shops.opened(account="shop-ipay", reference="two")
    await shops.answered(one, Status.COMPLETED, transaction_id="T-1")
    await shops.answered(two, Status.COMPLETED, currency="USD")
    wish = {"status": "completed", "actor": "rahim", "reason": "seen", "transaction_id": "T-1"}
    path = f"/v1/payments/{two['payment_id']}/resolve"
    assert (await shops.post(path, wish)).problem == (409, "transaction_used", "transaction_id")
    await shops.answered(one, Status.FAILED)
    path = f"/v1/payments/{one['payment_id']}/resolve"
    assert (await shops.post(path, {**wish, "status": "failed"})).problem == (409, "lower_status", "status")


@pytest.mark.parametrize("tail", ["", "/timeline", "/verify", "/resolve"])
async def test_anothers_payment_does_not_exist(shops: Shops, tail: str) -> None:
    payment = await shops.opened()
    method = "POST" if tail in ("/verify", "/resolve") else "GET"
    for shop, payment_id in (("other", payment["payment_id"]), ("shop", MISSING), ("shop", "pay_x"), ("shop", "%00")):
        got = await shops.call(method, f"/v1/payments/{payment_id}{tail}", shop=shop, json={})
        assert got.problem == (404, "not_found", None)


# -- the database away -------------------------------------------------------------------------------------------------


async def test_everything_is_503_when_the_database_is_away(dsn: str) -> None:
    async with connect(dsn) as database:
        pass
    async with serving(database) as shops:
        for got in (
            await shops.open(),
            await shops.open(key="k"),
            await shops.post("/v1/payments/track", TRACKED),
            await shops.get("/v1/payments"),
            await shops.get(f"/v1/payments/{MISSING}"),
            await shops.get("/v1/events"),
        ):
            assert got.problem == (503, "unavailable", None)
            assert int(got.headers["Retry-After"]) > 0
        assert (await shops.get("/openapi.json")).status == 200
