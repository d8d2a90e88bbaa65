"""The paths that gateways and buyers call: with a slash at the end, and without the id of a payment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.buyers import Answered, Payproof, signed
from tests.e2e.test_callbacks import LARGE, UNKNOWN
from tests.e2e.test_returns import nothing_durable
from tests.harness import Scene

PATHS = {
    "return": "/return/shop-moneybag/{id}/",
    "return of success": "/return/shop-moneybag/{id}/success/",
    "return without id": "/return/shop-moneybag/",
    "notification": "/ipn/shop-moneybag/{id}/",
    "notification without id": "/ipn/shop-moneybag/",
}


async def told(payproof: Payproof, buyer: Scene) -> dict[str, str]:
    """What Moneybag says of a payment that was paid and of which we have received nothing."""
    await buyer.at_gateway("pay", webhook=False)
    reference = buyer.payment["reference"]
    session = await payproof.stage.control.session("moneybag", reference)
    assert session is not None
    return {"transaction_id": session["transaction_id"], "order_id": reference, "status": "SUCCESS"}


async def arrives(payproof: Payproof, method: str, path: str, buyer: Scene, said: dict[str, str]) -> Answered:
    more: dict[str, Any] = {"params": said} if method == "GET" else {"data": said}
    return await payproof.call(method, path.format(id=buyer.payment["payment_id"]), **more)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("what", PATHS)
async def test_a_slash_at_the_end_is_no_other_path(payproof: Payproof, what: str, method: str) -> None:
    buyer = await payproof.opened("moneybag")
    answered = await arrives(payproof, method, PATHS[what], buyer, await told(payproof, buyer))
    assert answered.status == (200 if what.startswith("notification") else 303)
    await payproof.settled(buyer.payment["payment_id"], "completed")


async def test_nor_is_one_behind_a_webhook_or_a_page_that_waits(payproof: Payproof) -> None:
    buyer = await payproof.opened("moneybag")
    payment_id = buyer.payment["payment_id"]
    assert (await payproof.call("GET", f"/return/shop-moneybag/{payment_id}/wait/")).status == 200
    body = json.dumps({"event_type": "payment.success", "data": await told(payproof, buyer)}).encode()
    headers = signed("moneybag", body)
    assert (await payproof.call("POST", "/webhooks/shop-moneybag/", data=body, headers=headers)).status == 200
    await payproof.settled(payment_id, "completed")
    for path in (f"/return/shop-moneybag/{payment_id}//", "/ipn//", f"/return/shop-moneybag/{payment_id}/paid/"):
        assert (await payproof.call("GET", path)).status == 404


async def test_a_notification_without_an_id_in_its_path_is_refused_as_one_with_it(payproof: Payproof) -> None:
    assert (await payproof.call("POST", "/ipn/nobody", data={"order_id": "a"})).status == 404
    assert (await payproof.call("POST", "/ipn/shop-moneybag", data=LARGE)).status == 413
    assert (await payproof.call("POST", "/ipn/shop-moneybag", data=b'{"data": ')).status == 400
    known = (await payproof.opened("moneybag")).payment["reference"]
    async with nothing_durable(payproof):
        for reference in (known, "order-of-nobody"):
            answered = await payproof.call("POST", "/ipn/shop-moneybag", json={"order_id": reference})
            assert (answered.status, answered.headers["Retry-After"]) == (503, "5")


async def test_a_payment_of_another_account_is_not_found_by_its_ids(payproof: Payproof) -> None:
    buyer = await payproof.opened("moneybag")
    said = await told(payproof, buyer)
    assert (await payproof.call("POST", "/ipn/shop-ipay", json={"referenceId": said["order_id"]})).status == 200
    assert (await payproof.call("POST", f"/ipn/shop-ipay/{UNKNOWN}", json=said)).status == 404
    await payproof.nothing_queued(buyer.gateway)
    assert await payproof.claims(buyer.payment["payment_id"]) == []
