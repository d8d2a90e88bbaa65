"""Strangers' bytes get the right refusal and nothing else, as the contract writes it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.e2e.buyers import GATEWAYS, Payproof, signed

SIGNING = ("shadhinpay", "moneybag")
"""Those that sign the bytes of a webhook with a secret."""
PROVING = (*SIGNING, "bkash")
"""All whose webhooks prove who sent them: bKash's by a certificate."""
UNKNOWN = "pay_00000000000000000000000000"
LARGE = b"x" * (64 * 1024 + 1)
UNREAD = {
    "no JSON": b'{"data": ',
    "a list": b"[1, 2]",
    "deep nesting": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "a form of nothing": b"\x00\x01\x02",
    "somebody else's form": b"utm_source=mail",
}
SPOILT = {
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": -Infinity}',
    "a key twice": b'{"order_id": "a", "order_id": "b"}',
    "a huge number": b'{"amount": ' + b"9" * 4000 + b"}",
    "NUL": b'{"order_id": "a\\u0000b"}',
    "a lone surrogate": b'{"order_id": "\\ud800"}',
}
UNSOUND = UNREAD | SPOILT
STRANGE = SPOILT | {
    "numbers for ids": b'{"data": {"transaction_id": 5, "order_id": 7}, "payload": {"paymentId": 5}}',
    "another shape": b'{"data": ["a"], "payload": "b", "eventId": {}, "eventType": []}',
    "another alphabet": '{"data": {"transaction_id": "১২৩", "amount": "১২"}}'.encode(),
    "ids without end": json.dumps({"data": {"transaction_id": "x" * 60_000}}).encode(),
    "an unknown event": b'{"eventId": "e-1", "eventType": "payout.made", "event_type": "payout.made"}',
    "nothing at all": b"{}",
}


# -- webhooks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVING)
async def test_a_forged_webhook_is_refused_and_nothing_is_queued(payproof: Payproof, name: str) -> None:
    buyer = await payproof.opened(name)
    before = await payproof.calls(name)
    await buyer.gateway_notifies(401, forged=True, event="paid")
    body = json.dumps({"order_id": buyer.payment["reference"]}).encode()
    wrong = (signed(name, body + b" "), signed(name, body, secret="another")) if name in SIGNING else ()
    for headers in ({}, *wrong):
        answered = await payproof.call("POST", f"/webhooks/{buyer.gateway.account}", data=body, headers=headers)
        assert answered.status == 401
    assert await payproof.calls(name) == before
    await payproof.nothing_queued(buyer.gateway)
    assert await payproof.claims(buyer.payment["payment_id"]) == []


@pytest.mark.parametrize("name", SIGNING)
@pytest.mark.parametrize("what", UNREAD)
async def test_a_signed_body_that_cannot_be_read_is_400(payproof: Payproof, name: str, what: str) -> None:
    account, body = GATEWAYS[name].account, UNREAD[what]
    answered = await payproof.call("POST", f"/webhooks/{account}", data=body, headers=signed(name, body))
    assert answered.status == 400
    assert set(answered.json) == {"error"}


@pytest.mark.parametrize("name", SIGNING)
@pytest.mark.parametrize("what", STRANGE)
async def test_a_signed_body_that_names_nothing_is_taken(payproof: Payproof, name: str, what: str) -> None:
    account, body = GATEWAYS[name].account, STRANGE[what]
    answered = await payproof.call("POST", f"/webhooks/{account}", data=body, headers=signed(name, body))
    assert (answered.status, answered.json) == (200, {"received": True})


@pytest.mark.parametrize("name", SIGNING)
async def test_a_right_signature_of_long_ago_is_an_unsigned_claim(payproof: Payproof, name: str) -> None:
    buyer = await payproof.opened(name)
    await buyer.at_gateway("walk_away")
    await buyer.gateway_notifies(200, stale=True, event="paid")
    await payproof.taken(buyer.payment["payment_id"], 1)
    [claim] = await payproof.claims(buyer.payment["payment_id"], "webhook")
    assert claim["authenticity"] == "unsigned"


@pytest.mark.parametrize(
    "account", ["shop-ipay", "shop-payparse", "shop-onepaybd", "nobody", "%00", "shop-moneybag%20"]
)
async def test_there_are_no_webhooks_where_nothing_signs(payproof: Payproof, account: str) -> None:
    answered = await payproof.call("POST", f"/webhooks/{account}", data=b"{}")
    assert answered.status == 404


async def test_a_webhook_is_signed_in_its_bytes_so_gzip_is_just_bytes(payproof: Payproof) -> None:
    body = b'{"order_id": "somebody-elses"}'
    headers = signed("moneybag", body) | {"Content-Encoding": "gzip"}
    answered = await payproof.call("POST", "/webhooks/shop-moneybag", data=body, headers=headers)
    assert answered.status == 200


# -- notifications of one order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        ("GET", {"params": {"transaction_id": "{id}", "STATUS": "SUCCESS"}}),
        ("POST", {"data": {"Transaction_ID": "{id}", "status": "SUCCESS"}}),
        ("POST", {"json": {"TRANSACTION_ID": "{id}", "Status": "SUCCESS"}}),
        ("POST", {"json": {"event_type": "payment.success", "data": {"transaction_id": "{id}"}}}),
    ],
)
async def test_a_notification_is_read_wherever_it_stands(
    payproof: Payproof, method: str, sent: dict[str, object]
) -> None:
    buyer = await payproof.opened("moneybag")
    await buyer.at_gateway("pay", webhook=False)
    session = await payproof.stage.control.session("moneybag", buyer.payment["reference"])
    assert session is not None
    filled = json.loads(json.dumps(sent).replace("{id}", session["transaction_id"]))
    path = f"/ipn/shop-moneybag/{buyer.payment['payment_id']}"
    answered = await payproof.call(method, path, **filled)
    assert (answered.status, answered.json) == (200, {"received": True})
    await payproof.settled(buyer.payment["payment_id"], "completed")


async def test_notifications_about_nothing_of_ours_are_404(payproof: Payproof) -> None:
    buyer = await payproof.opened("moneybag")
    payment_id = buyer.payment["payment_id"]
    before = await payproof.calls("moneybag")
    for place in (f"shop-moneybag/{UNKNOWN}", f"shop-ipay/{payment_id}", f"nobody/{payment_id}", "shop-moneybag/pay_1"):
        said = {"transaction_id": "txn1", "orderId": "IPAY-1"}  # a field that each of the two gateways' readers knows
        assert (await payproof.call("POST", f"/ipn/{place}", data=said)).status == 404
    assert await payproof.calls("moneybag") == before


@pytest.mark.parametrize("what", UNREAD)
async def test_a_notification_that_cannot_be_read_is_400(payproof: Payproof, what: str) -> None:
    buyer = await payproof.opened("moneybag")
    path = f"/ipn/shop-moneybag/{buyer.payment['payment_id']}"
    assert (await payproof.call("POST", path, data=UNREAD[what])).status == 400
    assert await payproof.claims(buyer.payment["payment_id"]) == []


@pytest.mark.parametrize("what", UNREAD)
async def test_a_notification_whose_body_cannot_be_read_is_heard_by_its_query(payproof: Payproof, what: str) -> None:
    buyer = await payproof.opened("moneybag")
    await buyer.at_gateway("pay", webhook=False)
    session = await payproof.stage.control.session("moneybag", buyer.payment["reference"])
    assert session is not None
    path = f"/ipn/shop-moneybag/{buyer.payment['payment_id']}?transaction_id={session['transaction_id']}"
    assert (await payproof.call("POST", path, data=UNREAD[what])).status == 200
    await payproof.settled(buyer.payment["payment_id"], "completed")


@pytest.mark.parametrize("what", UNREAD)
async def test_a_buyer_who_approved_is_executed_whatever_the_body_is(payproof: Payproof, what: str) -> None:
    buyer = await payproof.opened("onepaybd")
    returned = await buyer.at_gateway("pay")
    assert (await payproof.sent_on("POST", returned, data=UNREAD[what])).status == 303
    await payproof.settled(buyer.payment["payment_id"], "completed")


async def test_a_multipart_notification_of_another_encoding_is_read(payproof: Payproof) -> None:
    buyer = await payproof.opened("moneybag")
    await buyer.at_gateway("pay", webhook=False)
    session = await payproof.stage.control.session("moneybag", buyer.payment["reference"])
    assert session is not None
    fields = {"customer": "José", "transaction_id": session["transaction_id"], "note": "a\r\nb"}
    parts = (f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{told}\r\n' for key, told in fields.items())
    body = ("".join(parts) + "--x--\r\n").encode("windows-1252")
    path = f"/ipn/shop-moneybag/{buyer.payment['payment_id']}"
    label = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await payproof.call("POST", path, data=body, headers=label)).status == 200
    await payproof.settled(buyer.payment["payment_id"], "completed")


@pytest.mark.parametrize("name", SIGNING)
async def test_a_replayed_body_with_a_chosen_query_and_headers_changes_nothing(payproof: Payproof, name: str) -> None:
    buyer = await payproof.opened(name)
    reference = buyer.payment["reference"]
    told = {"moneybag": {"data": {"order_id": reference, "transaction_id": "txn" + "0" * 32}}}
    told["shadhinpay"] = {"payload": {"merchantTxnId": reference, "paymentId": buyer.payment["session_id"]}}
    body = json.dumps(told[name]).encode()
    for number in range(3):
        chosen = {"X-Webhook-Event-Id": f"e-{number}", "X-ShadhinPay-Event-Id": f"e-{number}"}
        path = f"/webhooks/{buyer.gateway.account}?transaction_id=txn{number}&paymentId=PAY_{number}&eventId=e-{number}"
        answered = await payproof.call("POST", path, data=body, headers=signed(name, body) | chosen)
        assert answered.status == 200
    await payproof.taken(buyer.payment["payment_id"], 3)
    claims = await payproof.claims(buyer.payment["payment_id"])
    assert {claim.get("transaction_id") for claim in claims} <= {None, "txn" + "0" * 32}
    assert sorted(claim["verdict"] for claim in claims)[1:] == ["repeated", "repeated"]


# -- too much ----------------------------------------------------------------------------------------------------------


async def test_what_is_over_64_kib_is_413_everywhere(payproof: Payproof) -> None:
    buyer = await payproof.opened("moneybag")
    payment_id = buyer.payment["payment_id"]
    for path in (
        "/webhooks/shop-moneybag",
        f"/ipn/shop-moneybag/{payment_id}",
        f"/return/shop-moneybag/{payment_id}",
        f"/return/shop-moneybag/{payment_id}/success",
        "/return/shop-moneybag",
    ):
        answered = await payproof.call("POST", path, data=LARGE, headers=signed("moneybag", LARGE))
        assert answered.status == 413, path
    assert (await payproof.shop_calls("POST", "/v1/payments", data=LARGE)).status == 413
    assert await payproof.claims(payment_id) == []


# -- returns about nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/success", "/failure", "/cancel", "/wait"])
async def test_a_return_of_an_unknown_payment_gets_a_neutral_page(payproof: Payproof, end: str) -> None:
    elsewhere = await payproof.opened("payparse")
    before = {name: await payproof.calls(name) for name in ("ipay", "payparse")}
    places = (
        f"shop-ipay/{UNKNOWN}",
        f"shop-ipay/{elsewhere.payment['payment_id']}",
        f"nobody/{elsewhere.payment['payment_id']}",
        "shop-ipay/pay_short",
        "shop-ipay/..%2f..%2fetc",
    )
    pages = [await payproof.call("GET", f"/return/{place}{end}") for place in places]
    assert {page.status for page in pages} == {404}
    assert len({page.body for page in pages}) == 1
    assert {name: await payproof.calls(name) for name in ("ipay", "payparse")} == before
    assert await payproof.claims(elsewhere.payment["payment_id"]) == []


async def test_a_return_in_an_unknown_word_is_no_page_of_ours(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    answered = await payproof.call("GET", f"/return/shop-ipay/{buyer.payment['payment_id']}/paid")
    assert answered.status == 404


@pytest.mark.parametrize("what", UNREAD)
async def test_a_return_whose_body_cannot_be_read_still_makes_us_look(payproof: Payproof, what: str) -> None:
    """The path names the payment, and a buyer is looking at the page."""
    buyer = await payproof.opened("ipay")
    returned = await buyer.at_gateway("pay")
    answered = await payproof.sent_on("POST", returned, data=UNSOUND[what])
    assert answered.status == 303
    [claim] = await payproof.claims(buyer.payment["payment_id"])
    assert claim["note"] == "the body could not be read"


@pytest.mark.parametrize("query", ["?a=%00", "?a=%ff%fe", "?status=%ed%a0%80", "?" + "a=1&" * 2000, "?since=-1e9"])
async def test_a_return_with_any_query_is_answered(payproof: Payproof, query: str) -> None:
    buyer = await payproof.opened("ipay")
    await buyer.at_gateway("pay")
    answered = await payproof.sent_on("GET", f"/return/shop-ipay/{buyer.payment['payment_id']}{query}")
    assert answered.status == 303


# -- the shop's own requests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [what for what in UNSOUND if what not in ("a list", "NUL", "a lone surrogate")])
async def test_a_request_of_the_shop_that_cannot_be_read_is_400(payproof: Payproof, what: str) -> None:
    answered = await payproof.shop_calls("POST", "/v1/payments", data=UNSOUND[what])
    assert answered.status == 400
    assert answered.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 12.5),
        ("amount", "১২"),
        ("amount", "1_000"),
        ("amount", "1e3"),
        ("amount", "-5"),
        ("amount", "NaN"),
        ("amount", "5\n"),
        ("amount", "5.001"),
        ("amount", "9" * 400),
        ("currency", "USD"),
        ("reference", "a b"),
        ("reference", "a\n"),
        ("reference", ["a"]),
        ("description", "a\x00b"),
        ("return_url", "javascript:alert(1)"),
        ("return_url", "//shop.example"),
        ("customer", "Rahima"),
        ("customer.email", "\ud800"),
        ("metadata", {"a": {"b": 1}}),
        ("account", "nobody"),
        ("expires_in", "900"),
        ("surprise", 1),
    ],
)
async def test_a_wrong_field_is_named(payproof: Payproof, field: str, value: object) -> None:
    request = await payproof.opened("ipay")
    body = (await request.request()) | {}
    outer, _, inner = field.partition(".")
    body[outer] = {inner: value} if inner else value
    answered = await payproof.shop_calls("POST", "/v1/payments", data=json.dumps(body))
    assert answered.status == 422
    assert answered.json["field"] == field


async def test_no_path_of_the_api_answers_without_a_key(payproof: Payproof) -> None:
    for method, path in (
        ("POST", "/v1/payments"),
        ("POST", "/v1/payments/track"),
        ("GET", "/v1/payments"),
        ("GET", f"/v1/payments/{UNKNOWN}"),
        ("GET", "/v1/events"),
        ("GET", "/v1/nothing"),
    ):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": payproof.system.key}):
            assert (await payproof.call(method, path, headers=headers)).status == 401


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_a_flood_of_returns_costs_one_question_a_second(payproof: Payproof) -> None:
    """Without a payment every request waits its second. The first request asks at once, later questions keep apart."""
    buyer = await payproof.opened("ipay")
    began = time.monotonic()
    answered = await asyncio.gather(*[payproof.call("GET", buyer.forged()) for _ in range(200)])
    assert {one.status for one in answered} == {200}
    await payproof.taken(buyer.payment["payment_id"], 200)
    questions = await payproof.stage.control.questions("ipay", buyer.payment["reference"])
    assert questions <= 2 + (time.monotonic() - began)
