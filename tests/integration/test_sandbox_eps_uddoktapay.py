"""The sandbox's EPS and UddoktaPay over real sockets: opening, returns, status answers, messages, approvals."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.sandboxes import (
    REFERENCE,
    SHOP,
    UDDOKTAPAY,
    Driver,
    Receiver,
    opened,
    opened_by_eps,
)

# -- EPS ---------------------------------------------------------------------------------------------------------------


async def test_eps_opens_is_paid_and_tells_so_in_capital_letters(sandbox: Driver) -> None:
    created = await opened(sandbox, "eps")
    assert created["RedirectURL"].endswith(created["TransactionId"])
    assert (await sandbox.eps_status()).json["Status"] == "PENDING"
    redirect = urlsplit((await sandbox.shopper("eps", "pay"))["redirect"])
    query = {name: value for name, [value] in parse_qs(redirect.query).items()}
    told = (await sandbox.eps_status()).json
    assert (told["Status"], told["TotalAmount"], told["StoreAmount"]) == ("SUCCESS", "1500.50", "1470.49")
    assert query == {
        "Status": "Success",
        "MerchantTransactionId": REFERENCE,
        "EPSTransactionId": told["EPSTransactionId"],
    }
    assert "Currency" not in told
    by_both = f"EPSEngine/CheckMerchantTransactionStatus?merchantTransactionId={REFERENCE}&EPSTransactionId=other"
    assert (await sandbox.eps_call("GET", by_both, REFERENCE)).status == 404


@pytest.mark.parametrize(
    ("does", "path", "said", "status"),
    [("fail", "/f", "Failed", "FAILED"), ("cancel", "/c", "Cancelled", "CANCELED")],
)
async def test_eps_has_an_address_and_a_word_for_each_outcome(
    sandbox: Driver, does: str, path: str, said: str, status: str
) -> None:
    await opened(sandbox, "eps")
    redirect = urlsplit((await sandbox.shopper("eps", does))["redirect"])
    assert (redirect.path, parse_qs(redirect.query)["Status"]) == (path, [said])
    assert (await sandbox.eps_status()).json["Status"] == status


async def test_eps_glues_its_query_by_a_second_question_mark(sandbox: Driver) -> None:
    await sandbox.granted_by_eps()
    await sandbox.eps(successUrl=f"{SHOP}/s?order=7")
    assert (await sandbox.shopper("eps", "pay"))["redirect"].startswith(f"{SHOP}/s?order=7?Status=Success&")


async def test_eps_writes_numbers_where_the_script_wants_them(sandbox: Driver) -> None:
    await opened(sandbox, "eps")
    await sandbox.control("scripts", provider="eps", reference=REFERENCE, script="status_numbers")
    assert b'"TotalAmount":1500.50,' in (await sandbox.eps_status()).body
    assert b'"TotalAmount":"1500.50"' in (await sandbox.eps_status()).body


async def test_eps_knows_no_other_payment_and_takes_no_wrong_hash_or_token(sandbox: Driver) -> None:
    await sandbox.granted_by_eps()
    assert (await sandbox.eps_status("unknown-0001")).status == 404
    path = f"EPSEngine/CheckMerchantTransactionStatus?merchantTransactionId={REFERENCE}"
    assert (await sandbox.eps_call("GET", path, "another")).status == 401
    assert (await sandbox.eps_call("GET", path, REFERENCE, Authorization="Bearer no")).status == 401
    wrong = {"userName": "sandbox-eps-user", "password": "no"}
    assert (await sandbox.eps_call("POST", "Auth/GetToken", wrong["userName"], json=wrong)).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"merchantTransactionId": "short"},
        {"totalAmount": 0},
        {"storeId": "another"},
        {"customerPhone": None},
        {"successUrl": "/s"},
        {"transactionTypeId": 4},
    ],
)
async def test_eps_refuses_by_a_message_without_an_address(sandbox: Driver, changes: Any) -> None:
    await sandbox.granted_by_eps()
    refused = await sandbox.eps(**changes)
    assert (refused.status, refused.json["RedirectURL"]) == (200, "")
    assert refused.json["ErrorMessage"]


async def test_eps_takes_an_id_once_and_an_amount_as_text(sandbox: Driver) -> None:
    await sandbox.granted_by_eps()
    assert (await sandbox.eps(totalAmount="1500.50")).json["TransactionId"]
    assert (await sandbox.eps()).json["ErrorMessage"] == "merchantTransactionId must be unique"


async def test_eps_encrypts_its_ipn(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.control("webhook_urls", provider="eps", url=receiver.url)
    await opened(sandbox, "eps")
    await sandbox.shopper("eps", "pay")
    headers, body = await receiver.next()
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body).keys() == {"Data"}
    assert REFERENCE.encode() not in body
    told = opened_by_eps(body)
    assert (told["Status"], told["MerchantTransactionId"]) == ("SUCCESS", REFERENCE)
    await sandbox.control("webhook", provider="eps", reference=REFERENCE, forged=True)
    assert opened_by_eps((await receiver.next())[1]) is None


# -- UddoktaPay --------------------------------------------------------------------------------------------------------


async def test_uddoktapay_names_no_invoice_until_the_return(sandbox: Driver) -> None:
    created = await opened(sandbox, "uddoktapay")
    assert created.keys() == {"status", "message", "payment_url"}
    invoice = await sandbox.invoice()
    assert invoice not in created["payment_url"]
    assert (await sandbox.verify_invoice(invoice)).json["status"] == "PENDING"
    assert (await sandbox.shopper("uddoktapay", "pay"))["redirect"] == f"{SHOP}/b?invoice_id={invoice}"
    told = (await sandbox.verify_invoice(invoice)).json
    assert (told["status"], told["amount"], told["metadata"]) == ("COMPLETED", "1500.50", {"reference": REFERENCE})
    assert (told["invoice_id"], len(told["transaction_id"])) == (invoice, 10)
    assert "currency" not in told
    unknown = (await sandbox.verify_invoice("none")).json
    assert (unknown["status"], bool(unknown["message"])) == ("ERROR", True)


async def test_uddoktapay_comes_back_by_a_form_unless_asked_otherwise(sandbox: Driver) -> None:
    created = (await sandbox.uddoktapay(return_type=None)).json
    back = await sandbox.call("POST", f"{created['payment_url']}/pay")
    invoice = await sandbox.invoice()
    assert (back.status, f'action="{SHOP}/b"' in back.body.decode()) == (200, True)
    assert f'<input type="hidden" name="invoice_id" value="{invoice}">' in back.body.decode()
    assert b"document.getElementById('back').submit();" in back.body
    paid = await sandbox.shopper("uddoktapay", "pay")
    assert (paid["redirect"], paid["form"]) == (f"{SHOP}/b", {"invoice_id": invoice})


async def test_uddoktapay_s_cancel_brings_nothing(sandbox: Driver) -> None:
    await opened(sandbox, "uddoktapay")
    cancelled = await sandbox.shopper("uddoktapay", "cancel")
    assert (cancelled["redirect"], cancelled["form"]) == (f"{SHOP}/c", None)
    assert (await sandbox.verify_invoice(await sandbox.invoice())).json["status"] == "PENDING"


async def test_uddoktapay_s_webhook_carries_the_key_and_goes_where_the_order_says(
    sandbox: Driver, receiver: Receiver
) -> None:
    await sandbox.uddoktapay(webhook_url=receiver.url)
    await sandbox.shopper("uddoktapay", "pay")
    headers, body = await receiver.next()
    assert headers["RT-UDDOKTAPAY-API-KEY"] == UDDOKTAPAY["RT-UDDOKTAPAY-API-KEY"]
    told = json.loads(body)
    assert (told["status"], told["invoice_id"]) == ("COMPLETED", await sandbox.invoice())
    await sandbox.control("webhook", provider="uddoktapay", reference=REFERENCE, forged=True)
    headers, _ = await receiver.next()
    assert headers["RT-UDDOKTAPAY-API-KEY"] != UDDOKTAPAY["RT-UDDOKTAPAY-API-KEY"]


async def test_an_admin_approves_after_days(sandbox: Driver, receiver: Receiver) -> None:
    await sandbox.control("scripts", provider="uddoktapay", reference=REFERENCE, script="paid_after_review", seconds=60)
    await sandbox.uddoktapay(webhook_url=receiver.url)
    paid = await sandbox.shopper("uddoktapay", "pay")
    invoice = await sandbox.invoice()
    assert (paid["session"]["status"], invoice in paid["redirect"]) == ("review", True)
    await sandbox.control("clock", advance_seconds=5 * 86_400)
    assert (await sandbox.verify_invoice(invoice)).json["status"] == "PENDING"
    assert receiver.came.empty()
    edited = await sandbox.control("edit", provider="uddoktapay", reference=REFERENCE, status="paid")
    assert edited["session"]["status"] == "paid"
    assert (await sandbox.verify_invoice(invoice)).json["status"] == "COMPLETED"
    assert json.loads((await receiver.next())[1])["status"] == "COMPLETED"


async def test_a_review_ends_by_itself_after_its_seconds(sandbox: Driver, receiver: Receiver) -> None:
    about = {"provider": "uddoktapay", "reference": REFERENCE}
    await sandbox.control("scripts", **about, script="paid_after_review", seconds=0.1)
    await sandbox.uddoktapay(webhook_url=receiver.url)
    await sandbox.shopper("uddoktapay", "pay")
    assert json.loads((await receiver.next())[1])["status"] == "COMPLETED"


async def test_a_status_is_edited_by_hand_and_taken_back(sandbox: Driver) -> None:
    await opened(sandbox, "uddoktapay")
    invoice = await sandbox.invoice()
    about = {"provider": "uddoktapay", "reference": REFERENCE}
    told = []
    for status in ("paid", "failed"):
        await sandbox.control("edit", **about, status=status)
        told.append((await sandbox.verify_invoice(invoice)).json["status"])
    assert told == ["COMPLETED", "PENDING"]
    refused = await sandbox.call("POST", "/_control/edit", json=about | {"status": "failed"})
    assert refused.status == 409


async def test_one_invoice_can_be_presented_at_another_order(sandbox: Driver) -> None:
    await opened(sandbox, "uddoktapay")
    await sandbox.control("scripts", provider="uddoktapay", reference=REFERENCE, script="callback_of_another")
    redirect = (await sandbox.shopper("uddoktapay", "pay"))["redirect"]
    invoice = redirect.partition("invoice_id=")[2]
    told = (await sandbox.verify_invoice(invoice)).json
    assert (told["status"], told["amount"]) == ("COMPLETED", "1500.50")
    assert told["metadata"]["reference"].startswith("another-")
    assert (await sandbox.verify_invoice(await sandbox.invoice())).json["status"] == "PENDING"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"headers": {"RT-UDDOKTAPAY-API-KEY": "no"}}, 401),
        ({"metadata": "order-7831"}, 422),
        ({"amount": "0"}, 422),
        ({"email": None}, 422),
        ({"return_type": "PUT"}, 422),
        ({"redirect_url": "/b"}, 422),
    ],
)
async def test_uddoktapay_refuses_by_a_false_status(sandbox: Driver, changes: Any, status: int) -> None:
    refused = await sandbox.uddoktapay(**changes)
    assert (refused.status, refused.json["status"]) == (status, False)
    assert refused.json["message"]
