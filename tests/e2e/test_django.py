"""The Django shop beside the service and the simulated gateways: its orders, from the click to the parcel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.buyers import payproof_says
from tests.e2e.django_shop import SECONDS, Shop, Site, beside_payproof, opened, page
from tests.harness import System
from tests.processes import until

pytestmark = pytest.mark.timeout(700)  # the first installs Django


@pytest.fixture(scope="module")
def beside() -> Iterator[tuple[Site, System]]:
    with beside_payproof() as both:
        yield both


@pytest.fixture
async def shop(beside: tuple[Site, System]) -> AsyncIterator[Shop]:
    async with opened(*beside) as shop:
        yield shop


async def test_paid_leaves_once_and_the_page_believes_the_signature(shop: Shop) -> None:
    scene = await shop.at_checkout("order-paid")
    assert scene.payment["amount"] == "1500.50"
    back = (await shop.payproof.comes_back(scene, "pay")).headers["Location"]
    await shop.becomes("order-paid", "paid")
    assert "Your payment is verified" in await page(back)
    payment = (await shop.payments("order-paid"))[0]
    event = f"{payment['payment_id']}.{payment['version']}"
    assert (await payproof_says(shop.payproof, "events", "resend", event)).code == 0
    status, url, _ = await shop.clicks("order-paid")
    assert (status, url) == (403, ""), "a paid order has no button"
    await shop.becomes("order-paid", "paid")
    assert len(await shop.payments("order-paid")) == 1


async def test_a_refused_order_is_paid_by_another_attempt(shop: Shop) -> None:
    scene = await shop.at_checkout("order-refused")
    first = scene.payment["reference"]
    back = (await shop.payproof.comes_back(scene, "fail")).headers["Location"]
    await shop.becomes("order-refused", "open")
    await until(lambda: shop.attempts("order-refused") == ["failed"], what="the site knows of the refusal")
    assert "not paid" in await page(back)
    assert "We are checking" in await page(back.replace("status=failed", "status=completed"))
    await shop.tries(scene, "order-refused")
    assert scene.payment["reference"] != first
    await shop.payproof.comes_back(scene, "pay")
    await shop.becomes("order-refused", "paid")


async def test_a_lost_answer_opens_no_second_payment(shop: Shop) -> None:
    scene = await shop.ordered("order-lost", script="create_lost")
    status, _, text = await shop.clicks("order-lost")
    if status != 303:
        assert (status, "If you paid, please wait" in text) == (502, True)
    await shop.tries(scene, "order-lost")
    assert len(await shop.payments("order-lost")) == 1
    await shop.payproof.comes_back(scene, "pay")
    await shop.becomes("order-lost", "paid")


async def test_held_waits_for_a_person(shop: Shop) -> None:
    scene = await shop.at_checkout("order-held", script="amount_tampered")
    await shop.payproof.comes_back(scene, "pay")
    await shop.becomes("order-held", "held")
    decision = {"status": "completed", "actor": "Rahima", "reason": "The rest came in cash"}
    await shop.payproof.stage.shop.resolve(scene.payment["payment_id"], **decision)
    await shop.becomes("order-held", "paid")


async def test_doubled_refunded_and_late(shop: Shop) -> None:
    late = await shop.at_checkout("order-late", lives=2.0)
    await shop.payproof.stage.shorten(late.payment["payment_id"], 2.0)
    twice = await shop.at_checkout("order-twice", script="paid_twice")
    await twice.hits(await twice.at_gateway("pay"), 5)
    refunded = await shop.at_checkout("order-refunded")
    await shop.payproof.comes_back(refunded, "pay")
    await shop.becomes("order-refunded", "paid")
    await refunded.gateway_refunds()
    await refunded.looks_again()
    await shop.becomes("order-refunded", "refunded")
    await until(lambda: shop.holds("order-twice") == ["duplicate_for_order"], what="paid twice", seconds=SECONDS)
    await shop.becomes("order-twice", "held")
    await until(lambda: shop.attempts("order-late") == ["expired"], what="it expired", seconds=SECONDS)
    await shop.payproof.comes_back(late, "pay")
    await shop.becomes("order-late", "paid")
    await shop.tries(refunded, "order-refunded")
    await shop.payproof.comes_back(refunded, "pay")
    await shop.becomes("order-refunded", "paid")


async def test_a_shop_that_was_down_misses_nothing(shop: Shop) -> None:
    scene = await shop.at_checkout("order-down")
    await shop.site.stop()
    await shop.payproof.comes_back(scene, "pay")
    await shop.was_tried_in_vain(scene)
    await shop.site.start()
    await shop.becomes("order-down", "paid")


async def test_an_order_that_heard_nothing_is_looked_up(shop: Shop) -> None:
    scene = await shop.at_checkout("order-unheard")
    await shop.grows_deaf()
    await shop.payproof.comes_back(scene, "pay")
    await shop.was_tried_in_vain(scene)
    assert shop.attempts("order-unheard") == ["pending"]
    assert "done" in await asyncio.to_thread(shop.site.manage, "reconcile_payments")
    await shop.becomes("order-unheard", "paid")


async def test_a_paid_attempt_that_was_not_heard_of_opens_no_second(shop: Shop) -> None:
    scene = await shop.at_checkout("order-deaf")
    await shop.grows_deaf()
    await shop.payproof.comes_back(scene, "pay")
    await shop.was_tried_in_vain(scene)
    shop.site.ask("update payments_attempt set expires_at = '2020-01-01' where reference = 'order-deaf-a1'")
    status, url, _ = await shop.clicks("order-deaf")
    assert (status, url) == (302, "/orders/order-deaf/thanks/")
    assert len(await shop.payments("order-deaf")) == 1
    await shop.becomes("order-deaf", "paid")


async def test_another_total_is_another_attempt(shop: Shop) -> None:
    scene = await shop.at_checkout("order-changed")
    first = scene.payment["reference"]
    shop.site.ask("update payments_order set total = 99.00 where name = 'order-changed'")
    await shop.tries(scene, "order-changed")
    assert scene.payment["reference"] != first
    assert scene.payment["amount"] == "99.00"
