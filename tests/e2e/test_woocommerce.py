"""The WooCommerce gateway in Debian's WordPress: orders go out on a verified webhook alone, once, and none is lost."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from schemas.secret import Secret
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof, payproof_says
from tests.e2e.two_attempts import STORIES, played
from tests.e2e.wordpress import PASSWORD, WordPress
from tests.harness import PAYPARSE, Document, Scene, System, staged
from tests.processes import directory, loud, running, until
from worker.deliver.sender import signature_headers

OTHER_SECRET = "whsec_" + "QUJD" * 8
SECONDS = 60.0


class Site(Struct):
    system: System
    wordpress: WordPress


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        wordpress = WordPress(stack.enter_context(directory()))
        hook = f'\n[[merchants.webhooks]]\nurl = "{wordpress.hook}"\nsecret = "{WEBHOOK_SECRET}"\n'
        system = stack.enter_context(running(merchants=hook, secret=WEBHOOK_SECRET))
        stack.enter_context(wordpress.running(system))
        yield Site(system, wordpress)


@pytest.fixture
async def shop(site: Site) -> AsyncIterator[Shop]:
    site.wordpress.start(WEBHOOK_SECRET)
    try:
        await until(lambda: answers(site.wordpress), what="WordPress answers")
        async with staged(site.system) as stage:
            yield Shop(Payproof(site.system, stage), site.wordpress)
    finally:
        site.wordpress.stop()
    assert loud(site.system.service.log.read_text()) == []
    log = site.wordpress.place / "debug.log"
    ours = "payproof-gateway"  # WordPress itself has notices of its own
    assert not log.exists() or [line for line in log.read_text().splitlines() if "PHP " in line and ours in line] == []


async def answers(wordpress: WordPress) -> bool:
    try:
        await wordpress.call("GET", "/settings")
    except aiohttp.ClientConnectionError:
        return False
    return True


class Order(Struct):
    id: int
    scene: Scene

    @property
    def payment_id(self) -> str:
        return str(self.scene.payment["payment_id"])


class Shop:
    def __init__(self, payproof: Payproof, wordpress: WordPress) -> None:
        self.payproof, self.wordpress = payproof, wordpress

    async def ordered(self, total: str = "1500.50", *, script: str | None = None, lives: float | None = None) -> Order:
        """An order whose buyer is at the checkout."""
        made = await self.wordpress.call("POST", "/orders", total=total)
        order = Order(made["id"], Scene(self.payproof.stage, PAYPARSE, 0))
        name = self.wordpress.run(
            f"<?php require __DIR__ . '/wp-load.php'; echo payproof_order_name({order.id});"
        ).strip()
        control, first = self.payproof.stage.control, {"provider": "payparse", "reference": f"{name}-1"}
        if lives is not None:
            await control.post("lifetime", **first, seconds=lives)
        if script is not None:
            await control.post("scripts", **first, script=script)
        order.scene.payment = {"order": name}
        return order

    async def pays(self, order: Order) -> Document:
        """What the checkout of WooCommerce answers to the buyer's click."""
        answered: Document = await self.wordpress.call("POST", f"/orders/{order.id}/pay", click=True)
        if answered["result"] == "success":
            name = order.scene.payment["order"]
            found = (await self.payproof.shop_calls("GET", f"/v1/payments?order={name}")).json["payments"]
            order.scene.payment = found[0]
        return answered

    async def at_checkout(self, **how: Any) -> Order:
        order = await self.ordered(**how)
        assert (await self.pays(order))["redirect"] == order.scene.payment["checkout_url"]
        return order

    async def shown(self, order: Order) -> Document:
        shown: Document = await self.wordpress.call("GET", f"/orders/{order.id}")
        return shown

    async def becomes(self, order: Order, status: str) -> Document:
        """The order, once it has this status and the site has acted on the payment as it stands."""

        async def look() -> Document | None:
            shown = await self.shown(order)
            payment = await self.payproof.stage.shop.payment(order.payment_id)
            known = dict(dict(shown["meta"]).get("_payproof_known") or {}).get(order.payment_id, {}).get("version")
            return shown if shown["status"] == status and known == payment["version"] else None

        return await until(look, what=f"order {order.id} is {status}", seconds=SECONDS)


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
    assert order.scene.payment["reference"] == first.removesuffix("1") + "2"
    assert (await shop.pays(order))["redirect"] == order.scene.payment["checkout_url"], "an open checkout is kept"
    await shop.payproof.comes_back(order.scene, "pay")
    assert (await shop.becomes(order, "processing"))["history"] == ["failed", "processing"]


async def test_a_lost_answer_opens_no_second_payment(shop: Shop) -> None:
    order = await shop.ordered(script="create_lost")
    name = order.scene.payment["order"]
    answered = await shop.pays(order)
    if answered["result"] != "success":
        assert "Nothing was paid" in str(answered["notices"])
        await shop.pays(order)
    found = (await shop.payproof.shop_calls("GET", f"/v1/payments?order={name}")).json["payments"]
    assert [one["reference"] for one in found] == [f"{name}-1"]
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


async def test_a_site_that_was_down_misses_nothing(shop: Shop) -> None:
    order = await shop.at_checkout()
    shop.wordpress.stop()
    await shop.payproof.comes_back(order.scene, "pay")
    await tried(shop, order)
    shop.wordpress.start(WEBHOOK_SECRET)
    await until(lambda: answers(shop.wordpress), what="WordPress answers")
    assert (await shop.becomes(order, "processing"))["history"] == ["processing"]


async def test_an_order_that_heard_nothing_is_looked_up_by_cron(shop: Shop) -> None:
    order = await shop.at_checkout()
    shop.wordpress.stop()
    shop.wordpress.start(OTHER_SECRET)
    await until(lambda: answers(shop.wordpress), what="WordPress answers")
    await shop.payproof.comes_back(order.scene, "pay")
    await tried(shop, order)
    assert (await shop.shown(order))["status"] == "pending"
    scheduled = "<?php require __DIR__ . '/wp-load.php'; echo wp_get_schedule('payproof_reconcile');"
    assert shop.wordpress.run(scheduled).strip() == "payproof"
    now = "wp_schedule_single_event(time() - 1, 'payproof_reconcile');"
    shop.wordpress.run(f"<?php require __DIR__ . '/wp-load.php'; wp_clear_scheduled_hook('payproof_reconcile'); {now}")
    await page(f"{shop.wordpress.url}/wp-cron.php?doing_wp_cron")
    assert (await shop.becomes(order, "processing"))["history"] == ["processing"]


async def test_a_webhook_is_believed_by_its_signature_and_acknowledged_when_stored(shop: Shop) -> None:
    order = await shop.at_checkout()
    payment = order.scene.payment | {"status": "completed", "version": 9}
    body = json.dumps({"id": "x.9", "type": "payment.completed", "data": payment}).encode()
    right = signature_headers([Secret(WEBHOOK_SECRET)], "x.9", datetime.now(UTC), body)
    for headers in ({}, signature_headers([Secret(OTHER_SECRET)], "x.9", datetime.now(UTC), body)):
        assert await posted(shop, headers, body) == 401
    assert await posted(shop, right, body + b" ") == 401
    await shop.wordpress.call("POST", "/broken", **{"is": "1"})
    assert await posted(shop, right, body) == 503
    assert (await shop.shown(order))["status"] == "pending"
    await shop.wordpress.call("POST", "/broken", **{"is": ""})
    less = json.dumps({"id": "x.8", "type": "payment.completed", "data": payment | {"amount": "1.00"}}).encode()
    assert await posted(shop, signature_headers([Secret(WEBHOOK_SECRET)], "x.8", datetime.now(UTC), less), less) == 200
    assert (await shop.shown(order))["status"] == "on-hold", "another amount than the order's total"
    foreign = json.dumps({"id": "y.1", "type": "payment.completed", "data": payment | {"order": "other-1"}}).encode()
    signed = signature_headers([Secret(WEBHOOK_SECRET)], "y.1", datetime.now(UTC), foreign)
    assert await posted(shop, signed, foreign) == 200
    for endpoint in (await shop.payproof.shop_calls("GET", "/v1/webhooks")).json["webhooks"]:
        tested = await payproof_says(shop.payproof, "webhooks", "test", "--endpoint", endpoint["id"])
        assert tested.code == 0, tested


async def test_without_a_secret_no_webhook_is_believed_and_nothing_is_sold(shop: Shop) -> None:
    order = await shop.at_checkout()
    body = json.dumps({"type": "payment.completed", "data": order.scene.payment | {"version": 9}}).encode()
    for secret in ("", "whsec_", "whsec_QUJD"):
        shop.wordpress.stop()
        shop.wordpress.start(secret)
        await until(lambda: answers(shop.wordpress), what="WordPress answers")
        assert await posted(shop, weakly_signed(secret, body), body) == 401
        assert (await shop.pays(order))["result"] == "unavailable"


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


TELL = """<?php
require __DIR__ . '/wp-load.php';
$ends = [];
foreach (json_decode(file_get_contents('php://stdin'), true) as [$story, $events]) {
    global $wpdb;
    $data = ['status' => 'pending', 'total' => '1500.50', 'payment_method' => 'payproof', 'currency' => 'BDT'];
    $data += ['transaction_id' => '', 'meta' => [], 'history' => [], 'anonymous' => false];
    $wpdb->insert($wpdb->prefix . 'standin_orders', ['data' => wp_json_encode($data)]);
    $order_id = $wpdb->insert_id;
    foreach ($events as $event) {
        $order = wc_get_order($order_id);
        $number = substr($event['reference'], -1);
        if ((int) $order->get_meta(PAYPROOF_ATTEMPT) < $number) {
            $order->update_meta_data(PAYPROOF_ATTEMPT, $number);
            $order->save();
        }
        $event['order'] = payproof_order_name($order_id);
        $event['reference'] = "{$event['order']}-$number";
        $wpdb->replace("{$wpdb->prefix}payproof_attempts", ['reference' => $event['reference'], 'order_id' => $order_id,
            'account' => $event['account'], 'opened_at' => time()]);
        payproof_take($event);
        payproof_take($event);
    }
    $ends[] = [$story, wc_get_order($order_id)->shown()['history']];
}
echo json_encode($ends);
"""
STATUS = {"paid": "processing", "held": "on-hold", "refunded": "refunded", "open": "failed"}


def test_an_order_with_several_attempts_ends_alike_in_each_order_of_events(site: Site) -> None:
    """WooCommerce sends mails at `refunded`: if money is heard of after that, a person looks at the order."""
    told = [
        (number, events)
        for number, story in enumerate(STORIES)
        for _, events in played(story, "story")
        if len(story.attempts) == 2
    ]
    ends = json.loads(site.wordpress.run(TELL, json.dumps(told)))
    assert len(ends) == len(told)
    for (number, history), (_, events) in zip(ends, told, strict=True):
        wanted, end = STATUS[STORIES[number].ends], history[-1]
        again = "refunded" in history and (wanted, end) == ("processing", "on-hold")
        assert end == wanted or again, (STORIES[number].name, history, events)


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


async def test_a_payment_of_a_copy_of_the_site_ships_nothing(shop: Shop) -> None:
    order = await shop.at_checkout()
    for change in ({"account": "shop-ipay"}, {"reference": f"{order.scene.payment['reference']}1"}):
        forged = order.scene.payment | {"status": "completed", "version": 9} | change
        body = json.dumps({"id": "x.9", "type": "payment.completed", "data": forged}).encode()
        right = signature_headers([Secret(WEBHOOK_SECRET)], "x.9", datetime.now(UTC), body)
        assert await posted(shop, right, body) == 200
    assert (await shop.shown(order))["history"] == []


async def test_an_order_in_another_currency_is_not_paid_by_its_figure(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.wordpress.call("POST", f"/orders/{order.id}/change", currency="USD")
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.becomes(order, "on-hold")


async def test_an_order_without_billing_data_is_paid(shop: Shop) -> None:
    order = await shop.ordered()
    await shop.wordpress.call("POST", f"/orders/{order.id}/change", anonymous=True)
    assert (await shop.pays(order))["result"] == "success"


async def test_a_checkout_that_is_over_is_not_shown_again(shop: Shop) -> None:
    order = await shop.at_checkout(lives=2.0)
    first = order.scene.payment["reference"]
    request = "update_meta_data(PAYPROOF_REQUEST, 'any')"
    shop.wordpress.run(
        f"<?php require __DIR__ . '/wp-load.php'; $order = wc_get_order({order.id}); $order->{request}; $order->save();"
    )
    await shop.pays(order)
    assert order.scene.payment["reference"] == first.removesuffix("1") + "2"


OPENED = """<?php
require __DIR__ . '/wp-load.php';
$answer = fn(int $code, array $body, array $headers = []): array =>
    ['response' => ['code' => $code], 'headers' => $headers, 'body' => json_encode($body), 'cookies' => []];
[$class] = apply_filters('woocommerce_payment_gateways', []);
$left = [];
foreach (json_decode(file_get_contents('php://stdin'), true) as [$code, $headers]) {
    $fake = fn(mixed $no, array $how): array => $how['method'] === 'GET'
        ? $answer(200, ['payments' => []]) : $answer($code, ['code' => 'a_word'], $headers);
    add_filter('pre_http_request', $fake, 10, 2);
    global $wpdb;
    $data = ['status' => 'pending', 'total' => '1500.50', 'payment_method' => 'payproof', 'currency' => 'BDT'];
    $data += ['transaction_id' => '', 'meta' => [], 'history' => [], 'anonymous' => false];
    $wpdb->insert($wpdb->prefix . 'standin_orders', ['data' => wp_json_encode($data)]);
    $order_id = (int) $wpdb->insert_id;
    (new $class())->process_payment($order_id);
    (new $class())->process_payment($order_id);
    $left[] = (int) wc_get_order($order_id)->get_meta(PAYPROOF_ATTEMPT);
    remove_filter('pre_http_request', $fake);
}
echo json_encode($left);
"""


def test_an_answer_that_asks_to_come_again_settles_nothing(site: Site) -> None:
    """The second click repeats the first's request; after a refusal it opens a second attempt."""
    again = [(409, {"retry-after": "1"}), (429, {}), (500, {}), (502, {}), (503, {}), (504, {})]
    assert json.loads(site.wordpress.run(OPENED, json.dumps([*again, (422, {}), (409, {})]))) == [1] * 6 + [2, 2]


LOOKED = """<?php
require __DIR__ . '/wp-load.php';
global $wpdb;
$wpdb->query("DELETE FROM {$wpdb->prefix}payproof_attempts");
foreach ([900001 => 0, 900002 => 0, 900003 => 30 * DAY_IN_SECONDS, 900004 => 0] as $order_id => $age) {
    $wpdb->insert("{$wpdb->prefix}payproof_attempts", ['reference' => "of-$order_id", 'order_id' => $order_id,
        'account' => 'shop-payparse', 'opened_at' => time() - $age]);
}
update_option('payproof_looked', 0);
$asked = [];
$away = false;
add_filter('pre_http_request', function (mixed $no, array $how, string $url) use (&$asked, &$away): array {
    $asked[] = (int) substr($url, -6);
    $code = $away && count($asked) === 2 ? 503 : 200;
    return ['response' => ['code' => $code], 'headers' => [], 'body' => '{"payments": []}', 'cookies' => []];
}, 10, 3);
foreach ([true, false, false] as $away) {
    payproof_reconcile();
    $asked[] = '-';
}
echo json_encode($asked);
"""


def test_cron_goes_on_behind_the_last_order_that_it_looked_up(site: Site) -> None:
    """Payproof is away at the second order, and an order without an attempt of the last days is left out."""
    first, second, third = 900001, 900002, 900004
    asked = json.loads(site.wordpress.run(LOOKED))
    assert asked == [first, second, "-", second, third, "-", first, second, third, "-"]


async def test_a_refund_that_was_not_heard_of_is_found_by_cron(shop: Shop) -> None:
    order = await shop.at_checkout()
    await shop.payproof.comes_back(order.scene, "pay")
    await shop.becomes(order, "processing")
    shop.wordpress.stop()
    shop.wordpress.start(OTHER_SECRET)
    await until(lambda: answers(shop.wordpress), what="WordPress answers")
    await order.scene.gateway_refunds()
    await order.scene.looks_again()
    await shop.payproof.settled(order.payment_id, "refunded")
    shop.wordpress.run("<?php require __DIR__ . '/wp-load.php'; payproof_reconcile();")
    await shop.becomes(order, "refunded")


def test_the_name_of_a_site_is_drawn_once(site: Site) -> None:
    name = "<?php require __DIR__ . '/wp-load.php'; payproof_install(); echo payproof_order_name(1);"
    assert site.wordpress.run(name) == site.wordpress.run(name)


async def tried(shop: Shop, order: Order) -> None:
    """The outcome was sent to the site, in vain."""

    async def failed() -> bool:
        entries = await shop.payproof.stage.shop.timeline(order.payment_id)
        sent = [one for one in entries if one["kind"] == "delivery" and one["type"] == "payment.completed"]
        return any(one["result"] != "delivered" for one in sent)

    await until(failed, what="the site was tried in vain")


async def posted(shop: Shop, headers: dict[str, str], body: bytes) -> int:
    kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(shop.wordpress.hook, data=body, headers=kind | headers) as answered,
    ):
        return answered.status


def weakly_signed(secret: str, body: bytes) -> dict[str, str]:
    """Signed with the bytes of a secret that is too short, as a stranger could guess them."""
    at, key = int(datetime.now(UTC).timestamp()), base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.digest(key, f"x.{at}.".encode() + body, "sha256")).decode()
    return {"webhook-id": "x", "webhook-timestamp": str(at), "webhook-signature": f"v1,{digest}"}


async def page(url: str, status: int = 200) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answered:
        assert answered.status == status, url
        return await answered.text()
