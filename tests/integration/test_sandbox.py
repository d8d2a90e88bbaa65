"""The sandbox over real sockets: each gateway from opening to status, its errors, troubles, webhooks and restarts."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tomllib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.integration.sandboxes import (
    DEADLINE,
    IPAY,
    PAYPARSE,
    POSTING,
    REFERENCE,
    SHADHINPAY,
    SHOP,
    WITH_EXECUTE,
    Driver,
    Receiver,
    checkout_url,
    driving,
    leads_to,
    opened,
    signed_by_moneybag,
    signed_by_shadhinpay,
    told_by_status,
)
from tests.local_server import serving
from worker.playground.sandbox.accounts import accounts_toml
from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import GATEWAYS, SandboxConfig


async def test_payparse_opens_is_paid_and_tells_so(sandbox: Driver) -> None:
    answered = await sandbox.payparse()
    assert answered.status == 201
    assert b'"amount":1500.50,' in answered.body
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", answered.json["payment_id"]
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answered.json["expires_at"])
    assert "order_ref" not in answered.json
    path = f"/payparse/api/v1/order/{answered.json['payment_id']}/status"
    assert (await sandbox.call("GET", path, headers=PAYPARSE)).json["status"] == "pending"
    assert (await sandbox.shopper("payparse", "pay"))["redirect"] == f"{SHOP}/s"
    paid = (await sandbox.call("GET", path, headers=PAYPARSE)).json
    assert (paid["status"], paid["order_ref"], paid["amount"], paid["currency"]) == ("paid", REFERENCE, 1500.5, "BDT")
    assert paid["transaction_id"]
    blind = {"x-api-key": "sandbox-payparse-blind-key"}
    assert (await sandbox.call("GET", path, headers=blind)).status == 404
    await sandbox.control("refund", provider="payparse", reference=REFERENCE)
    assert (await sandbox.call("GET", path, headers=PAYPARSE)).json["status"] == "refunded"


async def test_onepaybd_takes_money_by_execute_alone_and_once(sandbox: Driver) -> None:
    created = await opened(sandbox, "onepaybd")
    payment = {"paymentID": created["paymentID"]}
    assert re.fullmatch(r"TR0011[0-9A-Za-z]{7}\d{13}", created["paymentID"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d:\d{3} GMT\+0600", created["paymentCreateTime"])
    assert (await sandbox.onepaybd("execute", payment)).json["statusCode"] == "2056"
    redirect = (await sandbox.shopper("onepaybd", "pay"))["redirect"]
    assert redirect == created["successCallbackURL"]
    assert parse_qs(urlsplit(redirect).query).keys() == {"paymentID", "status", "signature"}
    unexecuted = (await sandbox.onepaybd("status", payment)).json
    assert (unexecuted["statusCode"], unexecuted["transactionStatus"]) == ("0000", "Initiated")
    executed = (await sandbox.onepaybd("execute", payment)).json
    assert (executed["statusCode"], executed["transactionStatus"], executed["amount"]) == (
        "0000",
        "Completed",
        "1500.5",
    )
    assert executed["merchantInvoiceNumber"] == REFERENCE
    assert (await sandbox.onepaybd("execute", payment)).json["statusCode"] == "2062"
    asked = (await sandbox.onepaybd("status", payment)).json
    assert (asked["merchantInvoice"], asked["trxID"], asked["amount"]) == (REFERENCE, executed["trxID"], "1500.50")
    assert "merchantInvoiceNumber" not in asked
    assert (await sandbox.bkash()).json["statusCode"] == "2029"


async def test_onepaybd_refuses_execute_after_a_cancel_and_unknown_payments(sandbox: Driver) -> None:
    created = await opened(sandbox, "onepaybd")
    assert (await sandbox.shopper("onepaybd", "cancel"))["redirect"] == created["cancelledCallbackURL"]
    assert (await sandbox.onepaybd("execute", {"paymentID": created["paymentID"]})).json["statusCode"] == "2069"
    asked = (await sandbox.onepaybd("status", {"paymentID": created["paymentID"]})).json
    assert asked["transactionStatus"] == "Cancelled"
    assert (await sandbox.onepaybd("status", {"paymentID": "TR0011unknown"})).json["statusCode"] == "2002"


async def test_onepaybd_tokens_end_by_the_clock_and_by_revocation(sandbox: Driver) -> None:
    refused = await sandbox.bkash()
    assert (refused.status, refused.json) == (401, {"message": "Unauthorized"})
    assert (await sandbox.granted()).json["expires_in"] == 3600
    assert (await sandbox.bkash()).json["statusCode"] == "0000"
    await sandbox.control("clock", advance_seconds=3600)
    assert (await sandbox.bkash()).status == 401
    await sandbox.granted()
    assert (await sandbox.bkash()).status == 200
    assert (await sandbox.control("revoke_tokens"))["revoked"] >= 1
    assert (await sandbox.bkash()).status == 401


async def test_shadhinpay_opens_is_paid_refunded_and_listed(sandbox: Driver) -> None:
    created = await sandbox.shadhinpay(valueA="campaign=summer")
    data = created.json["data"]
    assert created.status == 201
    assert (data["status"], data["amount"], data["refundTotal"], data["completedAt"]) == (
        "PENDING",
        "1500.50",
        "0.00",
        None,
    )
    assert re.fullmatch(r"PAY_\d{8}_[0-9A-Z]+", data["paymentId"])
    assert (await sandbox.shopper("shadhinpay", "pay"))["redirect"] == f"{SHOP}/b"
    path = f"/shadhinpay/payments/{data['paymentId']}"
    paid = (await sandbox.call("GET", path, headers=SHADHINPAY)).json["data"]
    assert (paid["status"], paid["valueA"]) == ("COMPLETED", "campaign=summer")
    assert paid["completedAt"].endswith("Z")
    part = {"amount": "500.50", "reason": "one of two items"}
    assert (await sandbox.call("POST", f"{path}/refunds", headers=SHADHINPAY, json=part)).status == 202
    listed = (await sandbox.call("GET", f"/shadhinpay/payments?merchantTxnId={REFERENCE}", headers=SHADHINPAY)).json[
        "data"
    ]
    assert [(row["status"], row["refundTotal"]) for row in listed["content"]] == [("COMPLETED", "500.50")]
    too_much = {"amount": "1000.01", "reason": "all"}
    refused = await sandbox.call("POST", f"{path}/refunds", headers=SHADHINPAY, json=too_much)
    assert (refused.status, refused.json["errorType"]) == (422, "BUSINESS_RULE_VIOLATION")
    assert (await sandbox.call("POST", f"{path}/refunds", headers=SHADHINPAY, json={"reason": "rest"})).status == 202
    assert (await sandbox.call("GET", path, headers=SHADHINPAY)).json["data"]["status"] == "REFUNDED"
    none = await sandbox.call("GET", "/shadhinpay/payments?status=FAILED", headers=SHADHINPAY)
    assert none.json["data"]["content"] == []
    wrong = await sandbox.call("GET", "/shadhinpay/payments?size=101", headers=SHADHINPAY)
    assert (wrong.status, wrong.json["errorType"]) == (400, "VALIDATION_ERROR")


async def test_shadhinpay_replays_a_key_and_refuses_a_used_reference(sandbox: Driver) -> None:
    first = await sandbox.shadhinpay()
    again = await sandbox.shadhinpay()
    assert (again.status, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replay"] == "true"
    other_body = await sandbox.shadhinpay(amount="20")
    assert (other_body.status, other_body.json["errorType"]) == (409, "IDEMPOTENCY_CONFLICT")
    other_key = await sandbox.shadhinpay(key="k2")
    assert (other_key.status, other_key.json["errorType"]) == (409, "DUPLICATE_RESOURCE")
    await sandbox.control("clock", advance_seconds=24 * 3600)
    assert (await sandbox.shadhinpay()).json["errorType"] == "DUPLICATE_RESOURCE"


@pytest.mark.parametrize(
    ("phone", "status"),
    [("01770618575", "paid"), ("8801770618576", "failed"), ("01770618577", "open"), ("01770618578", "cancelled")],
)
async def test_shadhinpay_test_phones_decide_what_paying_does(sandbox: Driver, phone: str, status: str) -> None:
    await sandbox.shadhinpay(customerPhone=phone)
    assert (await sandbox.shopper("shadhinpay", "pay"))["session"]["status"] == status


async def test_moneybag_is_verified_by_a_transaction_alone(sandbox: Driver) -> None:
    session = (await opened(sandbox, "moneybag"))["data"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", session["expires_at"])
    assert (await sandbox.verify(session["session_id"])).status == 404
    left = await sandbox.shopper("moneybag", "walk_away")
    assert left["redirect"] is None
    pending = (await sandbox.verify(left["session"]["transaction_id"])).json["data"]
    assert (pending["status"], pending["verified"]) == ("PENDING", False)
    redirect = urlsplit((await sandbox.shopper("moneybag", "pay"))["redirect"])
    query = parse_qs(redirect.query)
    assert (redirect.path, query["status"], query["order_id"]) == ("/s", ["SUCCESS"], [REFERENCE])
    paid = (await sandbox.verify(query["transaction_id"][0])).json["data"]
    assert (paid["status"], paid["verified"], paid["order_id"]) == ("SUCCESS", True, REFERENCE)
    assert (paid["amount"], paid["charge_amount"]) == ("1500.5000", "22.5075")
    assert re.fullmatch(r"txn[0-9a-f]{32}", paid["transaction_id"])
    await sandbox.control("refund", provider="moneybag", reference=REFERENCE)
    assert (await sandbox.verify(paid["transaction_id"])).json["data"]["status"] == "REFUNDED"


async def test_moneybag_keeps_each_attempt_as_a_transaction_of_its_own(sandbox: Driver) -> None:
    await opened(sandbox, "moneybag")
    await sandbox.shopper("moneybag", "fail")
    await sandbox.shopper("moneybag", "pay")
    attempts = (await sandbox.asked(f"sessions?reference={REFERENCE}"))["sessions"][0]["transactions"]
    assert [attempt["status"] for attempt in attempts] == ["failed", "paid"]
    told = [(await sandbox.verify(attempt["transaction_id"])).json["data"]["status"] for attempt in attempts]
    assert told == ["FAILED", "SUCCESS"]


async def test_ipay_opens_is_paid_and_tells_by_both_ids(sandbox: Driver) -> None:
    order = await opened(sandbox, "ipay")
    assert order["paymentUrl"].startswith(sandbox.base.removeprefix("http://"))
    assert len(order["orderId"]) <= 25
    fresh = (await sandbox.ipay_status()).json
    assert (fresh["statusCode"], fresh["transactionId"], fresh["transactionTime"]) == (100, None, None)
    assert (await sandbox.shopper("ipay", "pay"))["redirect"] == f"{SHOP}/s"
    paid = (await sandbox.ipay_status()).json
    assert (paid["statusCode"], paid["status"]) == (200, "Successfully paid")
    assert re.fullmatch(r"\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} BDT", paid["transactionTime"])
    assert paid["orderAmount"] == 1500.5
    assert (await sandbox.call("GET", f"/ipay/order/{order['orderId']}/status", headers=IPAY)).json == paid
    used = await sandbox.ipay()
    told = f"Reference Id '{REFERENCE}' has already been used"
    assert (used.status, used.json) == (409, {"message": told, "errorMessage": told})


@pytest.mark.parametrize(("does", "path", "code"), [("fail", "/f", 400), ("cancel", "/c", 300)])
async def test_ipay_has_a_url_and_a_code_for_each_outcome(sandbox: Driver, does: str, path: str, code: int) -> None:
    await opened(sandbox, "ipay")
    assert (await sandbox.shopper("ipay", does))["redirect"] == SHOP + path
    assert (await sandbox.ipay_status()).json["statusCode"] == code


async def test_wrong_keys_get_each_gateways_own_error(sandbox: Driver) -> None:
    assert (await sandbox.payparse(headers={"x-api-key": "no"})).status == 401
    granted = await sandbox.call("POST", "/onepaybd/grant", headers={"apikey": "no"}, json={})
    assert (granted.status, granted.json) == (403, {"message": "Forbidden"})
    shadhin = await sandbox.shadhinpay(headers=SHADHINPAY | {"X-Api-Key": "sk_live_1"})
    assert (shadhin.status, shadhin.json["status"], shadhin.json["errorType"]) == (401, "error", "INVALID_API_KEY")
    moneybag = await sandbox.moneybag(headers={"X-Merchant-API-Key": "no"})
    assert (moneybag.status, moneybag.json["success"]) == (401, False)
    ipay = await sandbox.ipay(headers={"Authorization": "Bearer  sandbox-ipay-key"})
    assert (ipay.status, ipay.json) == (401, {"message": "Invalid API key", "errorMessage": "Invalid API key"})


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 9.99},
        {"amount": 500000.01},
        {"amount": "1500.00"},
        {"expires_in": 299},
        {"expires_in": 86401},
        {"success_url": "/s"},
    ],
)
async def test_payparse_keeps_its_limits(sandbox: Driver, changes: Any) -> None:
    assert (await sandbox.payparse(**changes)).status == 400


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 50}, "2006"),
        ({"amount": "0"}, "2006"),
        ({"currency": "USD"}, "2007"),
        ({"intent": "authorization"}, "2008"),
        ({"mode": "0001"}, "2063"),
        ({"callbackURL": "shop"}, "2049"),
        ({"payerReference": None}, "2065"),
    ],
)
async def test_onepaybd_names_what_is_wrong_by_code(sandbox: Driver, changes: Any, code: str) -> None:
    await sandbox.granted()
    answered = await sandbox.bkash(**changes)
    assert (answered.status, answered.json["statusCode"]) == (200, code)


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"amount": "9.99"}, "INVALID_AMOUNT", "amount"),
        ({"amount": "200000.01"}, "INVALID_AMOUNT", "amount"),
        ({"amount": 100}, "INVALID_AMOUNT", "amount"),
        ({"currency": "USD"}, "VALIDATION_ERROR", "currency"),
        ({"callbackUrl": None}, "MISSING_REQUIRED_FIELD", "callbackUrl"),
        ({"preferredVendor": "ROCKET"}, "VALIDATION_ERROR", "preferredVendor"),
    ],
)
async def test_shadhinpay_names_the_field_that_is_wrong(sandbox: Driver, changes: Any, kind: str, field: str) -> None:
    answered = await sandbox.shadhinpay(**changes)
    assert (answered.status, answered.json["errorType"]) == (400, kind)
    assert field in answered.json["data"]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"order_id": "short"}, 400, "order_id"),
        ({"order_id": "x" * 31}, 400, "order_id"),
        ({"order_amount": "9.99"}, 400, "order_amount"),
        ({"order_amount": "500000.01"}, 400, "order_amount"),
        ({"order_amount": "15.5"}, 400, "order_amount"),
        ({"customer": {"name": "Rahima"}}, 400, "customer.email"),
        ({"ipn_url": None}, 500, None),
    ],
)
async def test_moneybag_keeps_its_limits(sandbox: Driver, changes: Any, status: int, field: str | None) -> None:
    answered = await sandbox.moneybag(**changes)
    assert (answered.status, answered.json["error"].get("field")) == (status, field)


async def test_moneybag_refuses_fields_it_does_not_know(sandbox: Driver) -> None:
    answered = await sandbox.moneybag(callback="x")
    assert (answered.status, answered.json["detail"][0]["loc"]) == (422, ["body", "callback"])


@pytest.mark.parametrize(
    "changes", [{"amount": 100.234}, {"amount": "100"}, {"referenceId": "x" * 51}, {"description": ""}]
)
async def test_ipay_keeps_its_limits(sandbox: Driver, changes: Any) -> None:
    answered = await sandbox.ipay(**changes)
    assert answered.status == 400
    assert answered.json.keys() == {"message", "errorMessage"}


@pytest.mark.parametrize(
    ("provider", "lifetime"),
    [
        ("payparse", 900),
        ("onepaybd", 86_400),
        ("shadhinpay", 900),
        ("moneybag", 1800),
        ("ipay", 900),
        ("sslcommerz", 1800),
        ("bkash", 86_400),
        ("shurjopay", 1800),
        ("aamarpay", 1800),
        ("eps", 1800),
        ("uddoktapay", 1800),
    ],
)
async def test_sessions_end_by_the_clock(sandbox: Driver, provider: str, lifetime: int) -> None:
    url = checkout_url(provider, await opened(sandbox, provider))
    await sandbox.control("clock", advance_seconds=lifetime - 60)
    assert (await sandbox.asked("sessions"))["sessions"][0]["status"] == "open"
    await sandbox.control("clock", advance_seconds=61)
    assert (await sandbox.asked("sessions"))["sessions"][0]["status"] == "expired"
    if provider == "payparse":
        page = await sandbox.call("GET", url)
        assert (page.status, page.headers["Location"]) == (303, f"{SHOP}/c")


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_the_hosted_page_shows_the_order_and_pays_once(sandbox: Driver, provider: str) -> None:
    url = checkout_url(provider, await opened(sandbox, provider))
    page = await sandbox.call("GET", url)
    assert (page.status, REFERENCE.encode() in page.body) == (200, True)
    deed = f"{url.partition('?')[0]}/pay"
    done = await sandbox.call("POST", deed)
    assert (done.status, leads_to(done).startswith(SHOP)) == (200 if provider in POSTING else 303, True)
    assert (await sandbox.call("POST", deed)).status == 409


async def test_troubles_answer_in_place_of_the_gateway(sandbox: Driver) -> None:
    await opened(sandbox, "ipay")
    for name, status in (("500", 500), ("503", 503), ("429", 429), ("401", 401), ("not_found", 404), ("html", 200)):
        await sandbox.trouble("ipay", name, "status", seconds=7)
        answered = await sandbox.ipay_status()
        assert answered.status == status
        assert answered.headers.get("Retry-After") == ("7" if name == "429" else None)
        assert answered.headers["Content-Type"].startswith("text/html" if name == "html" else "application/json")
        assert (await sandbox.ipay_status()).json["statusCode"] == 100


async def test_troubles_that_never_answer_close_the_connection(sandbox: Driver) -> None:
    await opened(sandbox, "ipay")
    for name in ("reset", "timeout"):
        # Twice: aiohttp's client repeats a GET by itself when its connection was cut.
        await sandbox.trouble("ipay", name, "status", seconds=0.05, times=2)
        with pytest.raises(aiohttp.ClientError):
            await sandbox.ipay_status()
    await sandbox.trouble("ipay", "timeout", "status")
    with pytest.raises(TimeoutError):
        await sandbox.call("GET", f"/ipay/order/referenceId/{REFERENCE}/status", headers=IPAY, seconds=0.1)
    await sandbox.trouble("ipay", "slow", "status", seconds=0.01)
    assert (await sandbox.ipay_status()).json["statusCode"] == 100


async def test_a_lost_answer_did_the_work(sandbox: Driver) -> None:
    await sandbox.trouble("ipay", "lost_answer", "create")
    with pytest.raises(aiohttp.ClientError):
        await sandbox.ipay()
    assert (await sandbox.ipay()).status == 409
    created = await opened(sandbox, "onepaybd")
    await sandbox.shopper("onepaybd", "pay")
    await sandbox.trouble("onepaybd", "lost_answer", "execute", reference=REFERENCE)
    with pytest.raises(aiohttp.ClientError):
        await sandbox.onepaybd("execute", {"paymentID": created["paymentID"]})
    assert (await sandbox.onepaybd("status", {"paymentID": created["paymentID"]})).json[
        "transactionStatus"
    ] == "Completed"


async def test_troubles_are_for_their_reference_kind_and_number_of_times(sandbox: Driver) -> None:
    await opened(sandbox, "ipay")
    await sandbox.trouble("ipay", "500", "create", times=None)
    await sandbox.trouble("ipay", "500", "any", reference="another-order", times=None)
    await sandbox.trouble("ipay", "503", "status", reference=REFERENCE, times=2)
    assert [(await sandbox.ipay_status()).status for _ in range(3)] == [503, 503, 200]
    assert (await sandbox.ipay(referenceId="third-order")).status == 500
    assert (await sandbox.call("DELETE", "/_control/troubles?provider=ipay")).json == {"cleared": 2}
    assert (await sandbox.ipay(referenceId="third-order")).status == 200


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_falsified_answers_differ_from_the_true_one_as_named(sandbox: Driver, provider: str) -> None:
    answer = await opened(sandbox, provider)
    await sandbox.shopper(provider, "pay")
    if provider in WITH_EXECUTE:
        await sandbox.execute(provider, answer["paymentID"])
    if provider == "sslcommerz":
        await told_by_status(sandbox, provider, answer)  # the first answer says VALID, all others VALIDATED
    true = await told_by_status(sandbox, provider, answer)
    for trouble, meant in (
        ("unknown_word", "(?i)status"),
        ("contradiction", "(?i)status"),
        ("wrong_identity", "(?i)order|reference|invoice|txn|tran_id|transactionid|metadata"),
        ("wrong_currency", "currency"),
        ("wrong_amount", "(?i)amount"),
    ):
        if trouble == "wrong_currency" and provider in ("ipay", "eps", "uddoktapay"):
            body = {"provider": provider, "trouble": trouble}
            assert (await sandbox.call("POST", "/_control/troubles", json=body)).status == 409
            continue
        await sandbox.trouble(provider, trouble, "status")
        false = await told_by_status(sandbox, provider, answer)
        changed = [name for name in false if false[name] != true.get(name)]
        assert any(re.search(meant, name.replace("transactionStatus", "status")) for name in changed), (
            trouble,
            changed,
        )
    assert await told_by_status(sandbox, provider, answer) == true


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_another_amount_paid_is_the_amount_told(sandbox: Driver, provider: str) -> None:
    answer = await opened(sandbox, provider)
    await sandbox.shopper(provider, "pay", amount="1.5")
    if provider in WITH_EXECUTE:
        await sandbox.execute(provider, answer["paymentID"])
    told = await told_by_status(sandbox, provider, answer)
    assert float(told[{"ipay": "orderAmount", "eps": "TotalAmount"}.get(provider, "amount")]) == 1.5


async def test_every_call_is_counted(sandbox: Driver) -> None:
    created = await opened(sandbox, "onepaybd")
    await sandbox.trouble("onepaybd", "500", "status")
    for _ in range(2):
        await sandbox.onepaybd("status", {"paymentID": created["paymentID"]})
    calls = await sandbox.asked("calls?provider=onepaybd")
    assert calls == {"total": 4, "by": {"create": 1, "status": 2, "execute": 0, "grant": 1, "refund": 0}}
    assert (await sandbox.asked(f"calls?reference={REFERENCE}"))["total"] == 3
    await sandbox.control("reset")
    assert (await sandbox.asked("calls"))["total"] == 0


async def test_late_money_and_a_second_transaction_can_be_scripted(sandbox: Driver) -> None:
    await opened(sandbox, "shadhinpay")
    await sandbox.control("expire", provider="shadhinpay", reference=REFERENCE)
    late = (await sandbox.shopper("shadhinpay", "pay"))["session"]
    again = (await sandbox.shopper("shadhinpay", "pay"))["session"]
    assert (late["status"], again["status"]) == ("paid", "paid")
    assert late["transaction_id"] != again["transaction_id"]
    refused = {"provider": "shadhinpay", "reference": REFERENCE, "does": "cancel"}
    assert (await sandbox.call("POST", "/_control/shopper", json=refused)).status == 409


async def test_control_refuses_what_it_cannot_read_or_find(sandbox: Driver) -> None:
    for body, status in (
        ({"provider": "ipay", "reference": "none", "does": "pay"}, 404),
        ({"provider": "ipay", "reference": "none", "does": "dance"}, 400),
        ({"provider": "ipay", "reference": "none", "does": "pay", "typo": 1}, 400),
    ):
        answered = await sandbox.call("POST", "/_control/shopper", json=body)
        assert (answered.status, answered.json.keys() - {"field"}) == (status, {"error"})


async def test_shadhinpay_webhooks_are_signed_and_retried_until_taken(sandbox: Driver, receiver: Receiver) -> None:
    receiver.statuses = [500, 302]
    await sandbox.control("webhook_urls", provider="shadhinpay", url=receiver.url)
    created = await opened(sandbox, "shadhinpay")
    await sandbox.shopper("shadhinpay", "pay")
    came = [await receiver.next() for _ in range(3)]
    assert all(signed_by_shadhinpay(headers, body) for headers, body in came)
    assert [headers["X-ShadhinPay-Delivery-Attempt"] for headers, _ in came] == ["1", "2", "3"]
    assert len({(headers["X-ShadhinPay-Event-Id"], body) for headers, body in came}) == 1
    told = json.loads(came[0][1])
    assert (told["eventType"], told["businessId"]) == ("payment.completed", 12345)
    assert told["eventId"] == came[0][0]["X-ShadhinPay-Event-Id"]
    assert told["payload"]["paymentId"] == created["data"]["paymentId"]
    assert (told["payload"]["merchantTxnId"], told["payload"]["status"]) == (REFERENCE, "COMPLETED")
    await sandbox.control("refund", provider="shadhinpay", reference=REFERENCE)
    assert json.loads((await receiver.next())[1])["eventType"] == "payment.refunded"


async def test_a_webhook_is_given_up_after_six_attempts(sandbox: Driver, receiver: Receiver) -> None:
    receiver.statuses = [500] * 7
    await sandbox.control("webhook_urls", provider="moneybag", url=receiver.url)
    await opened(sandbox, "moneybag")
    await sandbox.shopper("moneybag", "fail")
    for _ in range(6):
        await receiver.next()
    async with asyncio.timeout(DEADLINE):
        while (delivery := (await sandbox.asked("deliveries"))["deliveries"][0])["state"] == "due":
            pass
    assert (delivery["state"], delivery["statuses"]) == ("given_up", [500] * 6)
    assert receiver.came.empty()


async def test_cancelled_and_silent_payments_send_nothing_by_default(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.control("webhook_urls", provider="shadhinpay", url=receiver.url)
    await opened(sandbox, "shadhinpay")
    await sandbox.shopper("shadhinpay", "cancel")
    await sandbox.shopper("shadhinpay", "pay", webhook=False)
    assert (await sandbox.asked("deliveries"))["deliveries"] == []
    await sandbox.control("webhook_urls", provider="shadhinpay", url=receiver.url, events=["payment.expired"])
    await sandbox.shadhinpay(key="k2", merchantTxnId="order-2")
    await sandbox.control("clock", advance_seconds=901)
    assert json.loads((await receiver.next())[1])["eventType"] == "payment.expired"


async def test_moneybag_posts_no_form_where_nobody_tried_to_pay(sandbox: Driver, receiver: Receiver) -> None:
    """A form would name a transaction that does not exist."""
    await sandbox.moneybag(ipn_url=receiver.url)
    await sandbox.control("clock", advance_seconds=1801)
    assert (await sandbox.asked("sessions?provider=moneybag"))["sessions"][0]["status"] == "expired"
    assert (await sandbox.asked("deliveries"))["deliveries"] == []


async def test_moneybag_sends_its_webhook_and_the_form_an_order_asked_for(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.control("webhook_urls", provider="moneybag", url=receiver.url)
    await sandbox.moneybag(ipn_url=receiver.url)
    session = (await sandbox.shopper("moneybag", "pay"))["session"]
    came = [await receiver.next() for _ in range(2)]
    (headers, body), (form_headers, form) = sorted(came, key=lambda item: "X-Webhook-Signature" not in item[0])
    assert signed_by_moneybag(headers, body)
    assert headers["X-Webhook-Event-Type"] == "payment.success"
    assert headers["X-Webhook-Event-Id"]
    expected = {
        "transaction_id": session["transaction_id"],
        "order_id": REFERENCE,
        "amount": "1500.50",
        "status": "SUCCESS",
    }
    assert json.loads(body) == {"event_type": "payment.success", "data": expected}
    assert form_headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(form.decode())["transaction_id"] == [session["transaction_id"]]


async def test_extra_webhooks_come_double_forged_stale_and_mixed(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.control("webhook_urls", provider="shadhinpay", url=receiver.url)
    await opened(sandbox, "shadhinpay")
    await sandbox.shopper("shadhinpay", "pay")
    first = await receiver.next()
    about = {"provider": "shadhinpay", "reference": REFERENCE}
    receiver.statuses = [200, 401]
    assert (await sandbox.control("webhook", **about, times=2))["statuses"] == [200, 401]
    for _ in range(2):
        headers, body = await receiver.next()
        assert (headers["X-ShadhinPay-Event-Id"], body) == (first[0]["X-ShadhinPay-Event-Id"], first[1])
    await sandbox.control("webhook", **about, forged=True)
    assert not signed_by_shadhinpay(*await receiver.next())
    await sandbox.control("webhook", **about, stale=True)
    stale = await receiver.next()
    assert signed_by_shadhinpay(*stale)
    age = int(first[0]["X-ShadhinPay-Signature"][2:12]) - int(stale[0]["X-ShadhinPay-Signature"][2:12])
    assert age == pytest.approx(3600, abs=60)
    other = (await sandbox.shadhinpay(key="k2", merchantTxnId="order-2")).json["data"]["paymentId"]
    await sandbox.control("webhook", **about, of_reference="order-2")
    payload = json.loads((await receiver.next())[1])["payload"]
    assert (payload["merchantTxnId"], payload["paymentId"]) == (REFERENCE, other)


async def test_a_receiver_that_is_away_costs_attempts_and_nothing_else(sandbox: Driver, unused_port: int) -> None:
    await sandbox.control("webhook_urls", provider="moneybag", url=f"http://127.0.0.1:{unused_port}/")
    await opened(sandbox, "moneybag")
    await sandbox.shopper("moneybag", "pay")
    about = {"provider": "moneybag", "reference": REFERENCE}
    assert (await sandbox.control("webhook", **about))["statuses"] == [0]


@pytest.fixture
async def unused_port() -> int:
    async with serving(web.Application()) as base:
        return int(base.rsplit(":", 1)[1])


async def test_everything_is_still_there_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    config = SandboxConfig(seed=7, state=str(tmp_path / "state.sqlite"), webhook_base_delay=0.05)
    receiver.statuses = [503]
    async with driving(config) as sandbox:
        await sandbox.control("webhook_urls", provider="shadhinpay", url=receiver.url)
        await sandbox.control("clock", advance_seconds=1000)
        created = await opened(sandbox, "onepaybd")
        await opened(sandbox, "shadhinpay")
        await sandbox.trouble("ipay", "500", "create")
        await sandbox.shopper("shadhinpay", "pay")
        await receiver.next()
        token = sandbox.token
    async with driving(config) as sandbox:
        sandbox.token = token
        headers, body = await receiver.next()
        assert signed_by_shadhinpay(headers, body)
        asked = (await sandbox.onepaybd("status", {"paymentID": created["paymentID"]})).json
        assert asked["transactionStatus"] == "Initiated"
        assert (await sandbox.ipay()).status == 500
        assert (await sandbox.control("clock", advance_seconds=0))["offset_seconds"] == 1000
        second = (await sandbox.bkash(merchantInvoiceNumber="order-2")).json["paymentID"]
        assert second[:13] != created["paymentID"][:13]
        assert (await sandbox.asked("calls?provider=onepaybd"))["by"]["create"] == 2


async def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for seed in (3, 3, 4):
        async with driving(SandboxConfig(seed=seed)) as sandbox:
            ids.append([(await sandbox.payparse(order_ref=f"order-{n}")).json["payment_id"] for n in range(2)])
    assert ids[0] == ids[1] != ids[2]
    assert len(set(ids[0])) == 2


async def test_the_process_survives_a_kill_and_ends_cleanly_when_asked(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def start() -> tuple[asyncio.subprocess.Process, Driver]:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "worker.cli",
                    "sandbox",
                    "--port",
                    "0",
                    "--state",
                    str(tmp_path / "state.sqlite"),
                ),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            async with asyncio.timeout(DEADLINE):
                line = (await process.stdout.readline()).decode()
            return process, Driver(line.split()[-1], http)

        process, sandbox = await start()
        await opened(sandbox, "ipay")
        await sandbox.shopper("ipay", "pay")
        process.kill()
        await asyncio.wait_for(process.communicate(), DEADLINE)
        process, sandbox = await start()
        assert (await sandbox.ipay_status()).json["statusCode"] == 200
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert (process.returncode, errors) == (0, b"")


async def test_shutdown_does_not_wait_for_a_silent_call() -> None:
    async with aiohttp.ClientSession() as http:
        async with serving(make_app(SandboxConfig())) as base:
            sandbox = Driver(base, http)
            await opened(sandbox, "ipay")
            await sandbox.trouble("ipay", "timeout", "status")
            silent = asyncio.ensure_future(sandbox.ipay_status())
            async with asyncio.timeout(DEADLINE):
                while (await sandbox.asked("calls?provider=ipay"))["by"]["status"] == 0:
                    pass
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(silent, DEADLINE)


def test_the_accounts_name_every_gateway_with_the_sandboxs_own_keys() -> None:
    accounts = tomllib.loads('[[merchants]]\nid = "shop"\n' + accounts_toml("http://127.0.0.1:8090/"))["merchants"][0][
        "accounts"
    ]
    assert [account["id"] for account in accounts] == [
        "shop-payparse",
        "shop-payparse-blind",
        "shop-onepaybd",
        "shop-shadhinpay",
        "shop-moneybag",
        "shop-ipay",
        "shop-sslcommerz",
        "shop-bkash",
        "shop-shurjopay",
        "shop-aamarpay",
        "shop-eps",
        "shop-uddoktapay",
    ]
    assert {account["provider"] for account in accounts} == set(GATEWAYS)
    assert accounts[0]["base_url"] == "http://127.0.0.1:8090/payparse"
    assert accounts[0]["status_check"]["path"] == "/api/v1/order/{session_id}/status"
    assert "status_check" not in accounts[1]
    assert accounts[5]["status_codes"] == {"100": "pending", "300": "cancelled", "400": "failed", "408": "expired"}
