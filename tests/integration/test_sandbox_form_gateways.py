"""SSLCOMMERZ, aamarPay and ShurjoPay as their facts tell: attempts, words, forms, signatures, refunds, tokens."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.integration.sandboxes import REFERENCE, SHOP, SSLCOMMERZ, Driver, Receiver, opened, receiving

COVERED = {"tran_id", "val_id", "amount", "currency_type", "currency_amount", "status", "store_id"}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving("/ipn") as made:
        yield made


def signed(form: dict[str, str], password: str = SSLCOMMERZ["store_passwd"]) -> bool:
    """By the recipe of the facts, written here a second time."""
    names = [*form["verify_key"].split(","), "store_passwd"]
    values = form | {"store_passwd": hashlib.md5(password.encode()).hexdigest()}
    text = "&".join(f"{name}={values[name]}" for name in sorted(names))
    return hashlib.md5(text.encode()).hexdigest() == form["verify_sign"]


async def elements(sandbox: Driver) -> list[Any]:
    told = await sandbox.ask_sslcommerz(tran_id=REFERENCE)
    assert (told["APIConnect"], told["no_of_trans_found"]) == ("DONE", len(told["element"]))
    assert all(isinstance(value, str) for one in told["element"] for value in one.values())
    return list(told["element"])


async def test_sslcommerz_is_processing_then_valid_then_validated_for_ever(sandbox: Driver) -> None:
    session = await opened(sandbox, "sslcommerz")
    assert [one["status"] for one in await elements(sandbox)] == ["PROCESSING"]
    back = await sandbox.shopper("sslcommerz", "pay")
    (first,) = await elements(sandbox)
    assert (first["status"], first["currency_amount"], first["currency_type"]) == ("VALID", "1500.50", "BDT")
    assert first["store_amount"] != first["amount"]
    assert {"tran_date", "val_id", "card_type", "card_issuer", "risk_level", "risk_title"} <= first.keys()
    assert [one["status"] for one in await elements(sandbox)] == ["VALIDATED"]
    validated = await sandbox.validate(back["form"]["val_id"])
    assert (validated["status"], validated["bank_tran_id"]) == ("VALIDATED", back["form"]["bank_tran_id"])
    assert "store_id" not in validated
    flat = await sandbox.ask_sslcommerz(sessionkey=session["sessionkey"])
    assert (flat["sessionkey"], flat["status"], flat["tran_id"]) == (session["sessionkey"], "VALIDATED", REFERENCE)


async def test_sslcommerz_lists_each_attempt_and_two_paid_ones(sandbox: Driver) -> None:
    await opened(sandbox, "sslcommerz")
    await sandbox.shopper("sslcommerz", "fail")
    await opened(sandbox, "sslcommerz")
    assert sorted(one["status"] for one in await elements(sandbox)) == ["FAILED", "PROCESSING"]
    await sandbox.shopper("sslcommerz", "pay")
    await sandbox.shopper("sslcommerz", "pay")
    told = await elements(sandbox)
    assert sorted(one["status"] for one in told) == ["FAILED", "VALID", "VALID"]
    assert len({one["bank_tran_id"] for one in told}) == 3


async def test_sslcommerz_does_not_know_an_id_and_says_so_of_a_val_id_alone(sandbox: Driver) -> None:
    await opened(sandbox, "sslcommerz")
    unknown = {"tran_id": "nobody-s", "status": "INVALID"}
    assert await sandbox.ask_sslcommerz(tran_id="nobody-s") == {
        "APIConnect": "DONE",
        "no_of_trans_found": 0,
        "element": [unknown],
    }
    assert (await sandbox.validate("made-up-val-id"))["status"] == "INVALID_TRANSACTION"
    assert await sandbox.ask_sslcommerz(tran_id=REFERENCE, store_passwd="wrong") == {"APIConnect": "FAILED"}
    assert [one["status"] for one in await elements(sandbox)] == ["PROCESSING"]


@pytest.mark.parametrize(
    ("does", "status", "path"), [("pay", "VALID", "/s"), ("fail", "FAILED", "/f"), ("cancel", "CANCELLED", "/c")]
)
async def test_sslcommerz_posts_a_signed_form_back_and_the_same_as_ipn(
    sandbox: Driver, receiver: Receiver, does: str, status: str, path: str
) -> None:
    await sandbox.sslcommerz(ipn_url=receiver.url, value_a="kept")
    back = await sandbox.shopper("sslcommerz", does)
    _, body = await receiver.next()
    for form in (back["form"], dict(parse_qsl(body.decode(), keep_blank_values=True))):
        assert (form["status"], form["tran_id"], form["value_a"]) == (status, REFERENCE, "kept")
        assert signed(form)
        assert not signed(form, "another")
        assert set(form["verify_key"].split(",")) >= (COVERED if status == "VALID" else COVERED - {"val_id"})
        assert ("val_id" in form) == (status == "VALID")
        assert bool(form["bank_tran_id"]) == (status != "CANCELLED")
    assert back["redirect"] == SHOP + path


async def test_a_forged_form_of_sslcommerz_is_signed_by_somebody_else(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.sslcommerz(ipn_url=receiver.url)
    await sandbox.control("scripts", provider="sslcommerz", reference=REFERENCE, script="callback_forged")
    back = await sandbox.shopper("sslcommerz", "pay")
    assert (back["form"]["status"], signed(back["form"]), back["session"]["status"]) == ("VALID", False, "open")
    assert (await sandbox.validate(back["form"]["val_id"]))["status"] == "INVALID_TRANSACTION"
    assert [one["status"] for one in await elements(sandbox)] == ["PROCESSING"]
    await sandbox.control("webhook", provider="sslcommerz", reference=REFERENCE, forged=True)
    _, body = await receiver.next()
    assert not signed(dict(parse_qsl(body.decode(), keep_blank_values=True)))


@pytest.mark.parametrize(
    ("provider", "own", "account_s"), [("sslcommerz", "tran_id", "val_id"), ("aamarpay", "mer_txnid", "pg_txnid")]
)
async def test_the_form_of_another_order_names_one_that_is_paid(
    sandbox: Driver, provider: str, own: str, account_s: str
) -> None:
    await opened(sandbox, provider)
    await sandbox.control("scripts", provider=provider, reference=REFERENCE, script="callback_of_another")
    form = (await sandbox.shopper(provider, "pay"))["form"]
    assert form[own].startswith("another-")
    assert form[account_s]


async def test_sslcommerz_refunds_by_get_shown_by_the_refund_s_own_question_alone(sandbox: Driver) -> None:
    await opened(sandbox, "sslcommerz")
    bank_tran_id = (await sandbox.shopper("sslcommerz", "pay"))["form"]["bank_tran_id"]
    asked = {"bank_tran_id": bank_tran_id, "refund_amount": "500.00", "refund_remarks": "r", "refe_id": "1"}
    refused = await sandbox.ask_sslcommerz(**asked)
    assert (refused["status"], refused["errorReason"]) == ("failed", "refund_trans_id is required")
    done = await sandbox.ask_sslcommerz(**asked, refund_trans_id="refund-1")
    assert (done["status"], done["bank_tran_id"]) == ("success", bank_tran_id)
    told = await sandbox.ask_sslcommerz(refund_ref_id=done["refund_ref_id"])
    assert (told["status"], bool(told["refunded_on"])) == ("refunded", True)
    assert [one["status"] for one in await elements(sandbox)] == ["VALID"]
    calls = (await sandbox.asked("calls?provider=sslcommerz"))["by"]
    assert (calls["refund"], calls["status"]) == (3, 1)
    too_much = await sandbox.ask_sslcommerz(**asked | {"refund_amount": "1500.50"}, refund_trans_id="refund-2")
    assert too_much["status"] == "failed"


@pytest.mark.parametrize("provider", ["sslcommerz", "aamarpay"])
async def test_a_payment_at_risk_is_paid_and_says_so(sandbox: Driver, provider: str) -> None:
    await opened(sandbox, provider)
    await sandbox.control("scripts", provider=provider, reference=REFERENCE, script="paid_at_risk")
    await sandbox.shopper(provider, "pay")
    told = (await elements(sandbox))[0] if provider == "sslcommerz" else (await sandbox.search_aamarpay()).json
    assert told["risk_level"] == "1"
    assert told["status" if provider == "sslcommerz" else "pay_status"] in ("VALID", "Successful")


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_amount": "9.99"},
        {"total_amount": "500000.01"},
        {"tran_id": "t" * 31},
        {"cus_phone": "1" * 21},
        {"cus_name": None},
        {"success_url": "/s"},
        {"currency": "TAKA"},
        {"store_passwd": "wrong"},
    ],
)
async def test_sslcommerz_refuses_with_failed_and_http_200(sandbox: Driver, wrong: Any) -> None:
    answered = await sandbox.sslcommerz(**wrong)
    assert (answered.status, answered.json["status"], bool(answered.json["failedreason"])) == (200, "FAILED", True)
    assert (await sandbox.asked("sessions"))["sessions"] == []


async def test_aamarpay_is_asked_by_our_id_and_gives_none_of_its_own(sandbox: Driver) -> None:
    answer = await opened(sandbox, "aamarpay")
    assert answer.keys() == {"result", "payment_url"}
    assert answer["result"] == "true"
    pending = (await sandbox.search_aamarpay()).json
    assert (pending["pay_status"], pending["status_code"]) == ("Pending", "0")
    back = await sandbox.shopper("aamarpay", "pay")
    told = (await sandbox.search_aamarpay()).json
    assert (told["pay_status"], told["status_code"], told["amount"], told["currency"]) == (
        "Successful",
        "2",
        "1500.50",
        "BDT",
    )
    assert told["pg_txnid"] == back["form"]["pg_txnid"] == back["session"]["transaction_id"]
    assert (await sandbox.search_aamarpay("nobody-s")).json == []
    assert (await sandbox.search_aamarpay(signature_key="wrong")).json == {"result": "Invalid Store ID"}
    assert (await sandbox.aamarpay()).json.keys() == {"result"}


async def test_aamarpay_s_cancel_brings_nothing_at_all(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.control("webhook_urls", provider="aamarpay", url=receiver.url)
    await opened(sandbox, "aamarpay")
    cancelled = await sandbox.shopper("aamarpay", "cancel")
    assert (cancelled["redirect"], cancelled["form"]) == (f"{SHOP}/c", None)
    assert (await sandbox.asked("deliveries"))["deliveries"] == []
    await opened(sandbox, "aamarpay")
    paid = await sandbox.shopper("aamarpay", "pay")
    _, body = await receiver.next()
    assert dict(parse_qsl(body.decode(), keep_blank_values=True)).items() >= {"mer_txnid": REFERENCE}.items()
    assert paid["form"]["pay_status"] == "Successful"


async def test_shurjopay_s_token_has_a_twelve_hour_clock_and_leads_to_the_sandbox(sandbox: Driver) -> None:
    granted = (await sandbox.granted_by_shurjopay()).json
    assert re.fullmatch(r"\d{4}-\d\d-\d\d (0[1-9]|1[0-2]):\d\d:\d\d[ap]m", granted["token_create_time"])
    assert granted["execute_url"] == f"{sandbox.base}/shurjopay/api/secret-pay"
    assert isinstance(granted["store_id"], int)
    wrong = await sandbox.call("POST", "/shurjopay/api/get_token", json={"username": "u", "password": "p"})
    assert (wrong.status, wrong.json["sp_code"]) == (401, "1003")
    await sandbox.control("revoke_tokens")
    refused = await sandbox.shurjopay()
    assert (refused.status, refused.json["sp_code"]) == (401, "1064")


async def test_shurjopay_answers_an_array_with_four_decimals_and_an_object_for_an_unknown_id(
    sandbox: Driver, receiver: Receiver
) -> None:
    await sandbox.control("webhook_urls", provider="shurjopay", url=receiver.url)
    answer = await opened(sandbox, "shurjopay")
    asked = {"order_id": answer["sp_order_id"]}
    (initiated,) = (await sandbox.at_shurjopay("verification", asked)).json
    assert (initiated["sp_code"], initiated["bank_trx_id"]) == ("1068", "0")
    back = await sandbox.shopper("shurjopay", "pay")
    assert (back["redirect"], back["form"]) == (f"{SHOP}/r?order_id={answer['sp_order_id']}", None)
    for path in ("verification", "payment-status"):
        (told,) = (await sandbox.at_shurjopay(path, asked)).json
        assert (told["sp_code"], told["amount"], told["customer_order_id"]) == ("1000", "1500.5000", REFERENCE)
        assert told["bank_trx_id"] == back["session"]["transaction_id"]
    assert (await sandbox.at_shurjopay("verification", {"order_id": "NOBODYS"})).json == {
        "sp_code": "1011",
        "message": "Invalid order id",
    }
    _, body = await receiver.next()
    assert body == b""


async def test_shurjopay_s_bank_holds_a_payment_until_it_lets_it_go(sandbox: Driver) -> None:
    answer = await opened(sandbox, "shurjopay")
    await sandbox.shopper("shurjopay", "pay")
    await sandbox.trouble("shurjopay", "still_pending", "status", times=None)
    asked = {"order_id": answer["sp_order_id"]}
    for _ in range(2):
        assert (await sandbox.at_shurjopay("verification", asked)).json[0]["sp_code"] == "2005"
    await sandbox.call("DELETE", "/_control/troubles?provider=shurjopay")
    assert (await sandbox.at_shurjopay("verification", asked)).json[0]["sp_code"] == "1000"


async def test_an_answer_may_be_encoded_twice(sandbox: Driver) -> None:
    answer = await opened(sandbox, "shurjopay")
    await sandbox.control("scripts", provider="shurjopay", reference=REFERENCE, script="status_in_text")
    told = (await sandbox.at_shurjopay("verification", {"order_id": answer["sp_order_id"]})).json
    assert isinstance(told, str)
    assert '"sp_code":"1068"' in told


async def test_the_way_back_posts_by_itself_and_has_a_button_without_scripts(sandbox: Driver) -> None:
    answer = await opened(sandbox, "sslcommerz")
    async with sandbox.http.post(f"{answer['GatewayPageURL']}/pay", data={}, allow_redirects=False) as response:
        html, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert f'<form id="back" method="post" action="{SHOP}/s">' in html
    assert 'name="verify_sign"' in html
    assert '<button class="go">Back to the shop</button>' in html
    assert "getElementById('back').submit()" in html
    assert "script-src 'sha256-" in policy
