"""The receivers and return pages of the guide, as they stand there: what Payproof says is shipped, and nothing else.

Every story ends with the same comparison: each receiver knows every payment as the API shows it now, and lets an order
leave exactly where one of its payments is completed and not held.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import asyncpg
import pytest
from msgspec import Struct

from schemas.secret import Secret
from tests.e2e.buyers import GATEWAYS, WEBHOOK_SECRET, Payproof, payproof_says
from tests.e2e.receivers import EXAMPLES, Example, examples
from tests.harness import Document, Scene, System, staged
from tests.processes import directory, loud, running, until
from worker.deliver.sender import signature_headers
from worker.postgres.server.embedded import embedded_here

HEARD_SECONDS = 40.0
"""More than the first wait between two attempts, which is 5 s."""


class Shops(Struct):
    system: System
    receivers: list[Example]
    pages: list[Example]


@pytest.fixture(scope="module")
def shops() -> Iterator[Shops]:
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data"):
            postgres = home / "data" / "postgres"
            asyncio.run(_make_database(postgres))
            receivers = examples("receiver", home, WEBHOOK_SECRET, postgres)
            pages = examples("thanks", home, WEBHOOK_SECRET, postgres)
            hooks = "".join(
                f'\n[[merchants.webhooks]]\nurl = "{one.url}"\nsecret = "{WEBHOOK_SECRET}"\n' for one in receivers
            )
            with running(merchants=hooks, secret=WEBHOOK_SECRET) as system:
                yield Shops(system, receivers, pages)


@pytest.fixture
async def payproof(shops: Shops) -> AsyncIterator[Payproof]:
    async with started(shops.receivers), staged(shops.system) as stage:
        yield Payproof(shops.system, stage)
    assert loud(shops.system.service.log.read_text()) == []


@asynccontextmanager
async def started(of: list[Example]) -> AsyncIterator[None]:
    try:
        for one in of:
            await one.start()
        yield
    finally:
        for one in of:
            await one.stop()


async def test_paid_is_shipped_and_refused_is_not(payproof: Payproof, shops: Shops) -> None:
    paid, refused = await payproof.opened("ipay", order="paid"), await payproof.opened("payparse", order="refused")
    await paid.returns(await paid.at_gateway("pay"))
    await refused.returns(await refused.at_gateway("fail"))
    await paid.until("opened", "completed")
    await refused.until("opened", "failed")
    await right(payproof, shops, leave={"paid"}, stay={"refused"})


async def test_a_second_attempt_that_is_paid_ships_the_order(payproof: Payproof, shops: Shops) -> None:
    first = await payproof.opened("ipay", order="again")
    await first.returns(await first.at_gateway("fail"))
    await first.until("opened", "failed")
    second = await payproof.opened("payparse", order="again")
    await second.returns(await second.at_gateway("pay"))
    await second.until("opened", "completed")
    await right(payproof, shops, leave={"again"})


async def test_doubled_is_shipped_once(payproof: Payproof, shops: Shops) -> None:
    """The buyer's return is doubled, an event is sent again, and a payment is paid by a second transaction."""
    scene = await payproof.opened("ipay", order="doubled")
    await scene.hits(await scene.at_gateway("pay"), 5)
    payment = await scene.until("opened", "completed")
    await right(payproof, shops, leave={"doubled"})
    event = f"{payment['payment_id']}.{payment['version']}"
    endpoints = [one["id"] for one in (await payproof.shop_calls("GET", "/v1/webhooks")).json["webhooks"]]
    for endpoint in endpoints:  # the receiver has it a moment before its delivery is recorded
        await delivered_times(payproof, endpoint, payment["payment_id"], event, 1)
    assert (await payproof_says(payproof, "events", "resend", event)).code == 0
    for endpoint in endpoints:
        await delivered_times(payproof, endpoint, payment["payment_id"], event, 2)
    twice = await played(payproof, "ipay", "paid_twice", order="paid-twice")
    await twice.until("opened", "completed", "held", seconds=60)
    await right(payproof, shops, leave={"doubled"}, stay={"paid-twice"})
    assert await stops(shops, "paid-twice") == ["duplicate_for_order"] * 3


async def test_late_money_ships(payproof: Payproof, shops: Shops) -> None:
    scene = Scene(payproof.stage, GATEWAYS["payparse"], 90, script="paid_after_expiry")
    await scene.open(lives=2.0, order="late")
    await scene.until("opened", "expired", seconds=60)
    await right(payproof, shops, stay={"late"})
    await scene.returns(await scene.at_gateway("pay"))
    assert (await scene.until("opened", "expired", "completed"))["late"] is True
    await right(payproof, shops, leave={"late"})


async def test_held_stays_until_a_person_decided(payproof: Payproof, shops: Shops) -> None:
    scene = await played(payproof, "payparse", "amount_tampered", order="held")
    payment = await scene.until("opened", "held")
    await right(payproof, shops, stay={"held"})
    decision = {"status": "completed", "actor": "Rahima", "reason": "The rest was paid in cash"}
    await payproof.stage.shop.resolve(payment["payment_id"], **decision)
    await scene.until("opened", "held", "completed")
    await right(payproof, shops, leave={"held"})


async def test_held_after_it_was_shipped_is_stopped(payproof: Payproof, shops: Shops) -> None:
    scene = await played(payproof, "ipay", "status_contradiction", order="contradicted")
    await scene.until("opened", "completed")
    await right(payproof, shops, leave={"contradicted"})
    await scene.looks_again()
    await scene.until("opened", "completed", "held")
    await right(payproof, shops, stay={"contradicted"})
    assert await stops(shops, "contradicted") == ["contradiction"] * 3


async def test_refunded_is_stopped_and_a_new_attempt_ships(payproof: Payproof, shops: Shops) -> None:
    scene = await payproof.opened("payparse", order="refunded")
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")
    await right(payproof, shops, leave={"refunded"})
    await scene.gateway_refunds()
    await scene.looks_again()
    await scene.until("opened", "completed", "refunded")
    await right(payproof, shops, stay={"refunded"})
    assert await stops(shops, "refunded") == ["refunded"] * 3
    other = await payproof.opened("ipay", order="refunded")
    await other.returns(await other.at_gateway("pay"))
    await other.until("opened", "completed")
    await right(payproof, shops, leave={"refunded"})


async def test_high_risk_stays(payproof: Payproof, shops: Shops) -> None:
    scene = await played(payproof, "sslcommerz", "paid_at_risk", order="risky")
    assert (await scene.until("opened", "completed"))["risk"] == "high"
    await right(payproof, shops, stay={"risky"})
    assert await stops(shops, "risky") == ["risk"] * 3


async def test_an_endpoint_that_was_down_misses_nothing(payproof: Payproof, shops: Shops) -> None:
    for receiver in shops.receivers:
        await receiver.stop()
    scene = await payproof.opened("ipay", order="down")
    await scene.returns(await scene.at_gateway("pay"))
    payment = await scene.until("opened", "completed")
    event = f"{payment['payment_id']}.{payment['version']}"

    async def all_failed() -> bool:
        entries = await payproof.stage.shop.timeline(payment["payment_id"])
        tried = [one for one in entries if one["kind"] == "delivery" and one["event_id"] == event]
        return len({one["endpoint"] for one in tried if one["result"] != "delivered"}) == len(shops.receivers)

    await until(all_failed, what="each endpoint was tried in vain")
    for receiver in shops.receivers:
        await receiver.start()
    await right(payproof, shops, leave={"down"})


async def test_only_what_payproof_signed_is_taken(payproof: Payproof, shops: Shops) -> None:
    """A forged event, an old one, a straggler, one of an unknown type, and noise in each header."""
    now, ours = datetime.now(UTC), Secret(WEBHOOK_SECRET)
    forged = _event("forged", 2)
    signed = signature_headers([ours], "pay_forged.2", now, forged)
    other = signature_headers([Secret("whsec_" + "QUJD" * 8)], "pay_forged.2", now, forged)
    wrong: list[tuple[dict[str, str], bytes]] = [
        ({}, forged),
        (other, forged),
        (signed, forged + b" "),
        (signed | {"webhook-id": "pay_forged.3"}, forged),
        (signature_headers([ours], "pay_forged.2", now - timedelta(minutes=6), forged), forged),
        (signature_headers([ours], "pay_forged.2", now + timedelta(minutes=6), forged), forged),
        (signed | {"webhook-timestamp": "²"}, forged),
        (signed | {"webhook-timestamp": "9" * 5000}, forged),
        (signed | {"webhook-signature": "v1, v1,ünsinn"}, forged),
        (signed, b""),
    ]
    for receiver in shops.receivers:
        for headers, body in wrong:
            assert await _posted(receiver, headers, body) == 401, (receiver.kind, headers)
        for version, status in ((3, "refunded"), (2, "completed")):
            body, name = _event("straggler", version, status), f"pay_straggler.{version}"
            assert await _posted(receiver, signature_headers([ours], name, now, body), body) == 200
        body = _event("rotated", 2)
        rotated = signature_headers([Secret("whsec_" + "QUJD" * 8), ours], "pay_rotated.2", now, body)
        assert await _posted(receiver, rotated, body) == 200
        taken = dict(await receiver.ask("select order_id, stop from shipments"))
        posted = {name: taken[name] for name in ("forged", "straggler", "rotated") if name in taken}
        assert posted == {"straggler": "refunded", "rotated": None}, receiver.kind
        assert await receiver.ask("select version from payments where id = 'pay_straggler'") == [(3,)]
        await receiver.forget("straggler", "rotated")
    for endpoint in (await payproof.shop_calls("GET", "/v1/webhooks")).json["webhooks"]:
        tested = await payproof_says(payproof, "webhooks", "test", "--endpoint", endpoint["id"])
        assert tested.code == 0, tested


async def test_what_could_not_be_stored_is_not_acknowledged(payproof: Payproof, shops: Shops) -> None:
    """A signed event whose storing fails is answered 5xx, so that it is sent again."""
    body = json.dumps({"id": "pay_x.2", "type": "payment.completed", "data": {"payment_id": "pay_x"}}).encode()
    headers = signature_headers([Secret(WEBHOOK_SECRET)], "pay_x.2", datetime.now(UTC), body)
    for receiver in shops.receivers:
        assert await _posted(receiver, headers, body) == 500, receiver.kind
        assert await receiver.ask("select id from payments where id = 'pay_x'") == [], receiver.kind


async def test_the_return_page_believes_a_right_signature_alone(payproof: Payproof, shops: Shops) -> None:
    scene = await payproof.opened("ipay", return_url=shops.pages[0].url)
    back = urlsplit((await payproof.comes_back(scene, "pay")).headers["Location"])
    own = f"/{scene.payment['reference']}"
    asked = {"payment_id": f"{scene.payment['payment_id']}.7831", "reference": "2", "status": "completed"}
    key, text = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_")), ".".join(["payproof-return", *asked.values()])
    moved = urlencode(asked | {"signature": hmac.digest(key, text.encode(), "sha256").hex()})
    async with started(shops.pages):
        for page in shops.pages:
            assert "Paid. Thank you!" in await _page(f"{page.url}{own}?{back.query}"), page.kind
            for other in (
                f"{own}?{back.query.replace('completed', 'refunded')}",
                f"{own}?{re.sub('signature=[^&]*', 'signature=0', back.query)}",
                f"{own}?{re.sub('&signature=[^&]*', '', back.query)}",
                f"{own}?status[]=completed&signature[]=0",
                f"/another-order?{back.query}",
                f"/2?{moved}",
                own,
            ):
                assert "We are checking." in await _page(page.url + other), (page.kind, other)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_QUJD"])
async def test_without_a_secret_nothing_is_taken(secret: str, tmp_path: Path) -> None:
    """A key that anyone can guess signs nothing: Python and Node do not start, and PHP fails at each request."""
    body = json.dumps({"type": "payproof.test"}).encode()
    for does in ("receiver", "thanks"):
        for one in examples(does, tmp_path, secret, tmp_path):
            if one.kind == "php":
                async with started([one]):
                    assert await _posted(one, _weakly_signed(secret, body), body) == 500
                continue
            with pytest.raises(AssertionError, match="it ended"):
                await one.start()
            assert "is no whsec_ secret" in one.log.read_text()


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_an_example_is_read_at_a_glance(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 66


async def right(
    payproof: Payproof, shops: Shops, *, leave: set[str] | None = None, stay: set[str] | None = None
) -> None:
    """Each receiver knows all payments, and lets leave what is completed and not held; these orders among them."""
    payments = await known(payproof, shops)
    paid = {
        one["order"] or one["reference"]
        for one in payments
        if (one["status"], one["hold"]) == ("completed", None) and one["risk"] != "high"
    }
    assert (leave or set()) <= paid
    assert not (stay or set()) & paid
    for receiver in shops.receivers:
        leaves = await receiver.ask("select order_id from shipments where stop is null")
        assert sorted(order for (order,) in leaves) == sorted(paid), receiver.kind


async def known(payproof: Payproof, shops: Shops) -> list[Document]:
    """The payments as the API shows them, once every receiver has stored each in its newest version."""
    payments = (await payproof.shop_calls("GET", "/v1/payments?limit=100")).json["payments"]
    expected = sorted((one["payment_id"], one["version"], stop_of(one)) for one in payments)
    for receiver in shops.receivers:

        async def all_there(receiver: Example = receiver) -> bool:
            return sorted(await receiver.ask("select id, version, stop from payments")) == expected

        await until(all_there, what=f"{receiver.kind} knows all; see {receiver.log}", seconds=HEARD_SECONDS)
    return list(payments)


def stop_of(payment: Document) -> str | None:
    """Why this payment alone lets nothing leave."""
    if payment["hold"] or payment["risk"] == "high":
        return payment["hold"] or "risk"
    return None if payment["status"] == "completed" else str(payment["status"])


async def played(payproof: Payproof, gateway: str, script: str, *, order: str) -> Scene:
    """A buyer who pays and returns while the gateway follows the script."""
    scene = Scene(payproof.stage, GATEWAYS[gateway], len(script), script=script)
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))
    return scene


async def stops(shops: Shops, order: str) -> list[str | None]:
    asked = f"select stop from shipments where order_id = '{order}'"
    return [stop for receiver in shops.receivers for (stop,) in await receiver.ask(asked)]


async def delivered_times(payproof: Payproof, endpoint: str, payment_id: str, event: str, times: int) -> None:
    async def looked() -> bool:
        entries = await payproof.stage.shop.timeline(payment_id)
        found = [one for one in entries if one["kind"] == "delivery" and one["event_id"] == event]
        return sum(one["result"] == "delivered" for one in found if one["endpoint"] == endpoint) >= times

    await until(looked, what=f"{event} was delivered {times} times to {endpoint}")


async def _make_database(socket: Path) -> None:
    admin = await asyncpg.connect(host=str(socket), user="payproof", database="postgres")
    await admin.execute("CREATE DATABASE shop")
    await admin.close()


def _event(payment: str, version: int, status: str = "completed") -> bytes:
    data: dict[str, Any] = {"payment_id": f"pay_{payment}", "order": payment, "reference": payment}
    data |= {"version": version, "status": status, "hold": None}
    return json.dumps({"id": f"pay_{payment}.{version}", "type": f"payment.{status}", "data": data}).encode()


async def _posted(receiver: Example, headers: dict[str, str], body: bytes) -> int:
    async with aiohttp.ClientSession() as http, http.post(receiver.url, data=body, headers=headers) as answered:
        return answered.status


def _weakly_signed(secret: str, body: bytes) -> dict[str, str]:
    at, key = int(datetime.now(UTC).timestamp()), base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.digest(key, f"x.{at}.".encode() + body, "sha256")).decode()
    return {"webhook-id": "x", "webhook-timestamp": str(at), "webhook-signature": f"v1,{digest}"}


async def _page(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answered:
        return await answered.text()
