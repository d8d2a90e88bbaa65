"""The sandbox's bKash over real sockets: tokens, the course of a payment, search, refunds, and notifications by SNS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.sandboxes import (
    BKASH_APP,
    BKASH_USER,
    REFERENCE,
    Driver,
    Receiver,
    driving,
    opened,
    receiving,
    signed_by_sns,
)
from worker.playground.sandbox.sandbox_config import SandboxConfig

TOPIC = "arn:aws:sns:ap-southeast-1:000000000000:bpt_01929918000"


@pytest.fixture
async def receiver(sandbox: Driver) -> AsyncIterator[Receiver]:
    async with receiving() as made:
        await sandbox.control("webhook_urls", provider="bkash", url=made.url)
        yield made


async def paid(sandbox: Driver) -> Any:
    """Our payment, executed: the answer of Execute."""
    created = await opened(sandbox, "bkash")
    await sandbox.shopper("bkash", "pay")
    return (await sandbox.execute("bkash", created["paymentID"])).json


async def certificate(sandbox: Driver, body: bytes) -> bytes:
    return (await sandbox.call("GET", json.loads(body)["SigningCertURL"])).body


async def test_a_payment_takes_money_by_execute_alone_and_once(sandbox: Driver) -> None:
    created = await opened(sandbox, "bkash")
    ids = {"paymentID": created["paymentID"]}
    assert (await sandbox.execute("bkash", ids["paymentID"])).json["statusCode"] == "2056"
    assert (await sandbox.shopper("bkash", "pay"))["redirect"] == created["successCallbackURL"]
    asked = (await sandbox.direct("payment/status", ids)).json
    assert (asked["statusCode"], asked["transactionStatus"]) == ("0000", "Initiated")
    executed = (await sandbox.execute("bkash", ids["paymentID"])).json
    assert (executed["transactionStatus"], executed["amount"]) == ("Completed", "1500.5")
    assert (await sandbox.execute("bkash", ids["paymentID"])).json["statusCode"] == "2062"
    asked = (await sandbox.direct("payment/status", ids)).json
    assert (asked["trxID"], asked["amount"], asked["merchantInvoice"]) == (executed["trxID"], "1500.50", REFERENCE)
    assert asked["verificationStatus"] == asked["userVerificationStatus"] == "Complete"


async def test_a_token_is_taken_bare_or_as_a_bearer_and_belongs_to_this_gateway(sandbox: Driver) -> None:
    await sandbox.granted()
    assert (await sandbox.direct_bkash()).status == 401
    await sandbox.granted_by_bkash()
    sandbox.token = f"Bearer {sandbox.token}"
    assert (await sandbox.direct_bkash()).json["statusCode"] == "0000"
    assert (await sandbox.direct("create", {}, **{"X-APP-Key": "no"})).status == 401


async def test_a_refresh_takes_the_token_for_it_alone(sandbox: Driver) -> None:
    granted = (await sandbox.granted_by_bkash()).json
    wrong = await sandbox.direct("token/refresh", BKASH_APP | {"refresh_token": granted["id_token"]}, **BKASH_USER)
    assert wrong.status == 401
    body = BKASH_APP | {"refresh_token": granted["refresh_token"]}
    renewed = (await sandbox.direct("token/refresh", body, **BKASH_USER)).json
    assert (renewed["statusCode"], renewed["expires_in"]) == ("0000", 3600)
    sandbox.token = granted["refresh_token"]
    assert (await sandbox.direct_bkash()).status == 401
    sandbox.token = renewed["id_token"]
    assert (await sandbox.direct_bkash()).json["statusCode"] == "0000"


async def test_wrong_credentials_are_refused(sandbox: Driver) -> None:
    assert (await sandbox.direct("token/grant", BKASH_APP, **BKASH_USER | {"password": "no"})).status == 401
    refused = await sandbox.direct("token/grant", BKASH_APP | {"app_secret": "no"}, **BKASH_USER)
    assert (refused.status, refused.json["statusCode"]) == (200, "2001")


async def test_an_amount_may_be_a_number(sandbox: Driver) -> None:
    await sandbox.granted_by_bkash()
    created = (await sandbox.direct_bkash(amount=1500.5)).json
    assert (created["statusCode"], created["amount"]) == ("0000", "1500.5")
    assert (await sandbox.direct_bkash(amount=0)).json["statusCode"] == "2006"
    assert (await sandbox.direct_bkash(mode="0001")).json["statusCode"] == "2063"


async def test_a_refund_shows_in_the_search_and_not_in_the_query(sandbox: Driver) -> None:
    executed = await paid(sandbox)
    ids = {"paymentID": executed["paymentID"], "trxID": executed["trxID"]}
    assert (await sandbox.direct("payment/refund", ids)).json["statusCode"] == "2028"
    wanted = ids | {"amount": "500.50", "sku": "book", "reason": "one of two"}
    refund = (await sandbox.direct("payment/refund", wanted)).json
    assert (refund["originalTrxID"], refund["transactionStatus"], refund["amount"]) == (
        executed["trxID"],
        "Completed",
        "500.50",
    )
    assert (await sandbox.direct("payment/refund", ids)).json == refund
    found = (await sandbox.direct("general/searchTransaction", {"trxID": executed["trxID"]})).json
    assert (found["amount"], found["maxRefundableAmount"]) == ("1500.50", "1000.00")
    assert not {"paymentID", "merchantInvoiceNumber"} & found.keys()
    found = (await sandbox.direct("general/searchTransaction", {"trxID": refund["refundTrxID"]})).json
    assert (found["amount"], found["originalTrxAmount"]) == ("500.50", "1500.50")
    assert (await sandbox.direct("payment/refund", wanted | {"amount": "1000.01"})).json["statusCode"] == "2026"
    assert (await sandbox.direct("payment/refund", wanted | {"amount": "1000.00"})).json["statusCode"] == "0000"
    assert (await sandbox.direct("payment/refund", wanted | {"amount": "1.00"})).json["statusCode"] == "2034"
    asked = (await sandbox.direct("payment/status", {"paymentID": ids["paymentID"]})).json
    assert asked["transactionStatus"] == "Completed"
    assert (await sandbox.direct("general/searchTransaction", {"trxID": "NONE"})).json["statusCode"] == "2033"


async def test_a_notification_is_signed_says_what_was_paid_and_is_retried(sandbox: Driver, receiver: Receiver) -> None:
    receiver.statuses = [500]
    executed = await paid(sandbox)
    (headers, body), (_, again) = [await receiver.next() for _ in range(2)]
    assert body == again
    assert signed_by_sns(body, await certificate(sandbox, body))
    told = json.loads(body)
    assert headers["x-amz-sns-message-type"] == told["Type"] == "Notification"
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert (told["TopicArn"], told["SignatureVersion"]) == (TOPIC, "1")
    message = json.loads(told["Message"])
    assert (message["trxID"], message["amount"]) == (executed["trxID"], "1500.5")
    assert (message["merchantInvoiceNumber"], message["transactionStatus"]) == (REFERENCE, "Completed")
    assert "paymentID" not in message


@pytest.mark.parametrize("does", ["fail", "cancel", "walk_away"])
async def test_what_is_not_paid_is_not_notified(sandbox: Driver, receiver: Receiver, does: str) -> None:
    await opened(sandbox, "bkash")
    await sandbox.shopper("bkash", does)
    assert (await sandbox.asked("deliveries"))["deliveries"] == []
    assert receiver.came.empty()


async def test_a_silent_payment_is_not_notified(sandbox: Driver, receiver: Receiver) -> None:
    created = await opened(sandbox, "bkash")
    await sandbox.shopper("bkash", "pay", webhook=False)
    assert (await sandbox.execute("bkash", created["paymentID"])).json["statusCode"] == "0000"
    assert (await sandbox.asked("deliveries"))["deliveries"] == []
    assert receiver.came.empty()


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_subscription_is_confirmed_by_its_address(sandbox: Driver, receiver: Receiver, version: str) -> None:
    assert (await sandbox.asked("sns"))["confirmed"] == 0
    assert (await sandbox.control("sns", version=version))["statuses"] == [200]
    headers, body = await receiver.next()
    told = json.loads(body)
    assert (headers["x-amz-sns-message-type"], told["SignatureVersion"]) == ("SubscriptionConfirmation", version)
    assert signed_by_sns(body, await certificate(sandbox, body))
    wrong = told["SubscribeURL"].replace("Token=", "Token=x")
    assert (await sandbox.call("GET", wrong)).status == 400
    assert (await sandbox.call("GET", told["SubscribeURL"])).status == 200
    assert (await sandbox.asked("sns"))["confirmed"] == 1


@pytest.mark.parametrize(
    ("wrong", "signed"),
    [
        ({"forged": True}, False),
        ({"stale": True}, True),
        ({"topic_arn": "arn:aws:sns:ap-southeast-1:111111111111:bpt_another"}, True),
        ({"version": "2", "reference": REFERENCE}, True),
    ],
)
async def test_messages_that_a_receiver_must_refuse(
    sandbox: Driver, receiver: Receiver, wrong: Any, signed: bool
) -> None:
    await opened(sandbox, "bkash")
    await sandbox.control("sns", **wrong)
    _, body = await receiver.next()
    assert signed_by_sns(body, await certificate(sandbox, body)) == signed
    assert json.loads(body)["TopicArn"] == wrong.get("topic_arn", TOPIC)


async def test_the_certificate_outlives_a_restart_and_a_new_key_has_a_new_address(tmp_path: Any) -> None:
    addresses = []
    for reset in (False, False, True):
        config = SandboxConfig(state=str(tmp_path / "state.sqlite"), public_url="http://gateway.example", reset=reset)
        async with driving(config) as sandbox:
            addresses.append((await sandbox.asked("sns"))["signing_cert_url"])
    assert addresses[0] == addresses[1]
    assert addresses[0].startswith("http://gateway.example/bkash/sns/SimpleNotificationService-")
