"""The WooCommerce gateway's webhook, cron and pages: what is believed, what is stored, and who may look up."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.e2e.buyers import WEBHOOK_SECRET, payproof_says
from tests.e2e.woocommerce import (
    OTHER_SECRET,
    Shop,
    Site,
    answers,
    installed_site,
    open_shop,
    page,
    signed,
    weakly_signed,
)
from tests.e2e.wordpress import PASSWORD
from tests.processes import until


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with installed_site() as site:
        yield site


@pytest.fixture
async def shop(site: Site) -> AsyncIterator[Shop]:
    async with open_shop(site) as shop:
        yield shop


async def test_a_site_that_was_down_misses_nothing(shop: Shop) -> None:
    order = await shop.at_checkout()
    shop.wordpress.stop()
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.tried(order)
    shop.wordpress.start(WEBHOOK_SECRET)
    await until(lambda: answers(shop.wordpress), what="WordPress answers")
    assert (await shop.becomes(order, "processing"))["history"] == ["processing"]


async def test_an_order_that_heard_nothing_is_looked_up_by_cron(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.serves_with(OTHER_SECRET)
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.tried(order)
    assert (await shop.shown(order))["status"] == "pending"
    scheduled = "<?php require __DIR__ . '/wp-load.php'; echo wp_get_schedule('payproof_reconcile');"
    assert shop.wordpress.run(scheduled).strip() == "payproof"
    now = "wp_schedule_single_event(time() - 1, 'payproof_reconcile');"
    shop.wordpress.run(f"<?php require __DIR__ . '/wp-load.php'; wp_clear_scheduled_hook('payproof_reconcile'); {now}")
    await page(f"{shop.wordpress.url}/wp-cron.php?doing_wp_cron")
    assert (await shop.becomes(order, "processing"))["history"] == ["processing"]


async def test_a_refund_that_was_not_heard_of_is_found_by_cron(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.becomes(order, "processing")
    await shop.serves_with(OTHER_SECRET)
    await order.scene.gateway_refunds()
    await order.scene.looks_again()
    await shop.payproof.settled(order.payment_id, "refunded")
    shop.wordpress.run("<?php require __DIR__ . '/wp-load.php'; payproof_reconcile();")
    await shop.becomes(order, "refunded")


async def test_money_whose_attempt_was_lost_is_told_by_cron_and_stops_a_second_payment(shop: Shop) -> None:
    """A backup was restored: it has the order, and not its attempt."""
    order = await shop.at_checkout()
    forget = "payproof_query('DELETE FROM {attempts} WHERE order_id = %d', $given);"
    shop.wordpress.play(forget, order.id)
    await shop.serves_with(OTHER_SECRET)
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.payproof.settled(order.payment_id, "completed")
    mails = shop.wordpress.play("payproof_reconcile(); payproof_reconcile(); return mails();")
    assert [order.payment_id in mail["message"] for mail in mails] == [True]
    await shop.serves_with(WEBHOOK_SECRET)
    clicked = await shop.wordpress.call("POST", f"/orders/{order.id}/pay", click=True)
    assert "If you have paid, please wait" in str(clicked["notices"])
    assert [one["payment_id"] for one in await shop.payments_of(order)] == [order.payment_id]


async def test_a_webhook_is_believed_by_its_signature(shop: Shop) -> None:
    order = await shop.at_checkout()
    payment = order.scene.payment | {"status": "completed", "version": 9}
    body = json.dumps({"id": "x.9", "type": "payment.completed", "data": payment}).encode()
    right = signed("x.9", body)
    for headers in ({}, signed("x.9", body, OTHER_SECRET)):
        assert await shop.posted(headers, body) == 401
    assert await shop.posted(right, body + b" ") == 401
    less = json.dumps({"id": "x.8", "type": "payment.completed", "data": payment | {"amount": "1.00"}}).encode()
    assert await shop.posted(signed("x.8", less), less) == 200
    assert (await shop.shown(order))["status"] == "on-hold", "another amount than the order's total"
    foreign = json.dumps({"id": "y.1", "type": "payment.completed", "data": payment | {"order": "other-1"}}).encode()
    assert await shop.posted(signed("y.1", foreign), foreign) == 200
    for endpoint in (await shop.payproof.shop_calls("GET", "/v1/webhooks")).json["webhooks"]:
        tested = await payproof_says(shop.payproof, "webhooks", "test", "--endpoint", endpoint["id"])
        assert tested.code == 0, tested


@pytest.mark.parametrize("broken", ["all", "status"])
async def test_a_webhook_is_acknowledged_when_its_order_is_stored(shop: Shop, broken: str) -> None:
    """WooCommerce tells nobody that it could not write an order, or could write its metas alone."""
    order = await shop.at_checkout()
    body = json.dumps(
        {"type": "payment.completed", "data": order.scene.payment | {"status": "completed", "version": 9}}
    )
    await shop.wordpress.call("POST", "/broken", **{"is": broken})
    assert await shop.posted(signed("x.9", body.encode()), body.encode()) == 503
    assert (await shop.shown(order))["status"] == "pending"
    await shop.wordpress.call("POST", "/broken", **{"is": ""})
    assert await shop.posted(signed("x.9", body.encode()), body.encode()) == 200
    assert (await shop.shown(order))["status"] == "processing"


async def test_without_a_secret_no_webhook_is_believed_and_nothing_is_sold(shop: Shop) -> None:
    order = await shop.at_checkout()
    body = json.dumps({"type": "payment.completed", "data": order.scene.payment | {"version": 9}}).encode()
    for secret in ("", "whsec_", "whsec_QUJD"):
        await shop.serves_with(secret)
        assert await shop.posted(weakly_signed(secret, body), body) == 401
        assert (await shop.pays(order))["result"] == "unavailable"


async def test_a_payment_of_a_copy_of_the_site_ships_nothing(shop: Shop) -> None:
    order = await shop.at_checkout()
    for change in ({"account": "shop-ipay"}, {"reference": f"{order.scene.payment['reference']}1"}):
        forged = order.scene.payment | {"status": "completed", "version": 9} | change
        body = json.dumps({"id": "x.9", "type": "payment.completed", "data": forged}).encode()
        right = signed("x.9", body)
        assert await shop.posted(right, body) == 200
    assert (await shop.shown(order))["history"] == []


async def test_only_a_manager_with_a_nonce_looks_up_and_no_page_has_a_secret(shop: Shop) -> None:
    order = await shop.at_checkout()
    ask = f"{shop.wordpress.url}/wp-admin/admin-post.php?action=payproof_ask&order_id={order.id}"
    show = f"{shop.wordpress.url}/wp-admin/admin.php?page=standin-order&id={order.id}"
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        async with http.get(ask, allow_redirects=False) as stranger:
            assert stranger.status in (302, 400), "nobody is signed in"
        form = {"log": "admin", "pwd": PASSWORD, "testcookie": "1"}
        async with (
            http.get(f"{shop.wordpress.url}/wp-login.php"),
            http.post(f"{shop.wordpress.url}/wp-login.php", data=form) as signed_in,
        ):
            assert signed_in.status == 200
        async with http.get(ask, allow_redirects=False) as without:
            assert without.status == 403, "no nonce"
        async with http.get(show) as shown:
            html = await shown.text()
        (link,) = re.findall(r'href="([^"]*payproof_ask[^"]*)"', html)
        async with http.get(link.replace("&#038;", "&").replace("&amp;", "&"), allow_redirects=False) as asked:
            assert (asked.status, "standin-order" in asked.headers["Location"]) == (302, True)
    texts = [html, json.dumps(await shop.wordpress.call("GET", "/settings")), json.dumps(await shop.shown(order))]
    for text in texts:
        assert shop.payproof.system.key not in text
        assert WEBHOOK_SECRET not in text
    assert "They are set." in texts[1]
