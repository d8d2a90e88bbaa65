"""The WooCommerce gateway in Debian's WordPress: orders go out on what Payproof verified, once, and none is lost."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.buyers import payproof_says
from tests.e2e.woocommerce import SECONDS, Shop, Site, installed_site, open_shop, page
from tests.processes import until


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with installed_site() as site:
        yield site


@pytest.fixture
async def shop(site: Site) -> AsyncIterator[Shop]:
    async with open_shop(site) as shop:
        yield shop


async def test_paid_is_completed_once_by_the_webhook(shop: Shop) -> None:
    order = await shop.at_checkout()
    assert order.scene.payment["amount"] == "1500.50"
    back = (await shop.payproof.comes_back(order.scene, "pay")).headers["Location"]
    shown = await shop.becomes(order, "processing")
    payment = await shop.payproof.stage.shop.payment(order.payment_id)
    assert shown["history"] == ["processing"]
    assert shown["transaction_id"] == payment["transaction_id"]
    assert any("Paid and verified" in note for note in shown["notes"])
    assert "verified. Thank you!" in await page(back)
    assert "We are checking" in await page(re.sub("status=[a-z]+", "status=refunded", back))
    other = await shop.ordered()
    assert "We are checking" in await page(back.replace(f"order-received={order.id}", f"order-received={other.id}"))
    event = f"{order.payment_id}.{payment['version']}"
    assert (await payproof_says(shop.payproof, "events", "resend", event)).code == 0
    again = await shop.pays(order)
    assert again["redirect"].endswith(f"?order-received={order.id}"), "a paid order opens nothing"
    assert (await shop.shown(order))["history"] == ["processing"]


async def test_a_refused_order_is_paid_by_another_attempt(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.payproof.comes_back(order.scene, "fail")
    assert (await shop.becomes(order, "failed"))["history"] == ["failed"]
    first = order.scene.payment["reference"]
    await shop.pays(order)
    assert order.scene.payment["reference"] != first
    assert (await shop.pays(order))["redirect"] == order.scene.payment["checkout_url"], "an open checkout is kept"
    await shop.payproof.comes_back(order.scene, "pay")
    assert (await shop.becomes(order, "processing"))["history"] == ["failed", "processing"]


async def test_a_lost_answer_opens_no_second_payment(shop: Shop) -> None:
    order = await shop.ordered(script="create_lost")
    answered = await shop.pays(order)
    if answered["result"] != "success":
        assert "We cannot see your payment now" in str(answered["notices"])
        await shop.pays(order)
    assert [one["reference"] for one in await shop.payments_of(order)] == [f"wc-{order.id}-{order.drawn}"]
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.becomes(order, "processing")


async def test_held_is_shown_in_the_notes_until_a_person_decides(shop: Shop) -> None:
    order = await shop.at_checkout(script="amount_tampered")
    await shop.payproof.comes_back(order.scene, "pay")
    shown = await shop.becomes(order, "on-hold")
    assert any("holds it: amount_mismatch" in note for note in shown["notes"])
    assert (await shop.pays(order))["redirect"].endswith(f"?order-received={order.id}"), "it may be paid already"
    decision = {"status": "completed", "actor": "Rahima", "reason": "The rest came in cash"}
    await shop.payproof.stage.shop.resolve(order.payment_id, **decision)
    assert (await shop.becomes(order, "processing"))["history"] == ["on-hold", "processing"]


async def test_doubled_refunded_and_late(shop: Shop) -> None:
    late = await shop.at_checkout(lives=2.0)
    await shop.payproof.stage.shorten(late.payment_id, 2.0)
    twice = await shop.at_checkout(script="paid_twice")
    redirect = await twice.scene.at_gateway("pay")
    await twice.scene.hits(redirect, 5)
    refunded = await shop.at_checkout()
    await shop.payproof.comes_back(refunded.scene, "pay")
    await shop.becomes(refunded, "processing")
    await refunded.scene.gateway_refunds()
    await refunded.scene.looks_again()
    assert (await shop.becomes(refunded, "refunded"))["history"] == ["processing", "refunded"]
    assert (await shop.becomes(twice, "on-hold"))["history"] == ["processing", "on-hold"]
    await shop.becomes(late, "failed")
    await shop.payproof.comes_back(late.scene, "pay")
    shown = await shop.becomes(late, "processing")
    assert shown["history"] == ["failed", "processing"]
    assert any("It came late" in note for note in shown["notes"])


async def test_an_order_in_another_currency_is_not_paid_by_its_figure(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.wordpress.call("POST", f"/orders/{order.id}/change", currency="USD")
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.becomes(order, "on-hold")


async def test_an_order_without_billing_data_is_paid(shop: Shop) -> None:
    order = await shop.ordered()
    await shop.wordpress.call("POST", f"/orders/{order.id}/change", anonymous=True)
    assert (await shop.pays(order))["result"] == "success"


async def test_a_checkout_that_is_nearly_over_is_not_shown_again(shop: Shop) -> None:
    order = await shop.at_checkout()
    first = order.scene.payment["reference"]
    await shop.payproof.stage.shorten(order.payment_id, 30.0)
    await shop.pays(order)
    assert order.scene.payment["reference"] != first


async def test_money_for_an_order_that_is_paid_another_way_waits_for_a_person(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.wordpress.call("POST", f"/orders/{order.id}/change", payment_method="cod", status="processing")
    await shop.payproof.comes_back(order.scene, "pay")
    shown = await shop.becomes(order, "on-hold")
    assert any("the payment method cod by now" in note for note in shown["notes"])


async def test_money_for_a_deleted_order_is_told_to_a_person(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.wordpress.call("POST", f"/orders/{order.id}/delete")
    await shop.payproof.comes_back(order.scene, "pay")

    async def told() -> bool:
        return any(order.payment_id in mail["message"] for mail in await shop.wordpress.call("GET", "/mails"))

    await until(told, what="a mail about the money", seconds=SECONDS)
