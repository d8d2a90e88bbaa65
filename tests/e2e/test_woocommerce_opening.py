"""The buyer's click and cron in WooCommerce's gateway, when Payproof answers this or that, in WordPress."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.buyers import WEBHOOK_SECRET
from tests.e2e.wordpress import WordPress, wordpress_alone


@pytest.fixture(scope="module")
def wordpress() -> Iterator[WordPress]:
    with wordpress_alone() as wordpress:
        yield wordpress


CLICKED = """
    $asked = [];
    payproof_answers(function (string $method, string $url, mixed $body) use ($given, &$asked): array {
        $asked[] = $body;
        return $method === 'GET' ? $given['get'] ?? [200, ['payments' => []]] : $given['post'];
    });
    $order_id = standin_order($given['order'] ?? []);
    $clicked = [click($order_id), click($order_id)];
    return [$clicked[0]['words'], shown($order_id)['notes'], count(shown($order_id)['attempts']), array_filter($asked)];
"""


def test_an_answer_that_asks_to_come_again_settles_nothing(wordpress: WordPress) -> None:
    """The second click repeats the first's request; after a refusal it opens a second attempt."""
    again = [(409, {"retry-after": "1"}), (429, {}), (500, {}), (502, {}), (503, {}), (504, {})]
    attempts = []
    for status, headers in [*again, (422, {}), (409, {})]:
        words, _, opened, asked = wordpress.play(CLICKED, {"post": [status, {"code": "a_word"}, headers]})
        assert ("We cannot see your payment now" in words) == (opened == 1)
        assert "othing was paid" not in words
        assert len({one["reference"] for one in dict(asked).values()}) == opened
        attempts.append(opened)
    assert attempts == [1] * 6 + [2, 2]


def test_a_buyer_who_may_have_paid_is_not_told_otherwise(wordpress: WordPress) -> None:
    """The payments cannot be read, so nothing is opened; the shop's staff and its log hear why."""
    for answer, why in (([403, {"code": "scope"}], "403 scope"), ([503, {"code": "away"}], "503 away")):
        words, notes, opened, _ = wordpress.play(CLICKED, {"get": answer, "post": [201, {}]})
        assert "If you have paid, please wait" in words
        assert opened == 0
        assert why in notes[0]
        assert why in (wordpress.place / "debug.log").read_text()


def test_a_bangladeshi_address_is_sent_as_every_gateway_takes_it(wordpress: WordPress) -> None:
    """WooCommerce asks for no postcode there, and for an address of any length."""
    order = {"address": "রোড " * 30, "postcode": ""}
    post = [201, {"payment_id": "pay_1", "checkout_url": "https://gateway.example/1"}]
    _, _, _, asked = wordpress.play(CLICKED, {"order": order, "post": post})
    customer = dict(asked)["1"]["customer"]
    assert (customer["address"], customer["postcode"]) == (("রোড " * 30)[:50], "0000")


def test_the_buyer_reads_which_field_a_gateway_refused(wordpress: WordPress) -> None:
    answer = [422, {"code": "invalid_request", "field": "customer.phone", "detail": "customer.phone: too long"}]
    words, notes, _, _ = wordpress.play(CLICKED, {"post": answer})
    assert "Please check your phone" in words
    assert any("customer.phone: too long" in note for note in notes)


LOOKED = """
    payproof_query('DELETE FROM {attempts} WHERE 1 = %d', 1);
    foreach ($given as [$name, $settled, $days]) {
        payproof_query(
            "INSERT INTO {attempts} (reference, order_id, order_name, account, opened_at, request, snapshot, settled)
                VALUES (%s, 1, %s, 'shop-payparse', %d, '', '', %d)",
            ...[$name, $name, time() - $days * DAY_IN_SECONDS, $settled],
        );
    }
    $asked = [];
    $away = true;
    payproof_answers(function (string $method, string $url) use (&$asked, &$away): array {
        if (str_contains($url, 'from=')) {
            return [200, ['payments' => []]];
        }
        $asked[] = substr($url, -1);
        return [$away && count($asked) === 2 ? 503 : 200, ['payments' => []]];
    });
    foreach ([true, false, false] as $away) {
        payproof_reconcile();
        $asked[] = '|';
        payproof_query('UPDATE {attempts} SET looked_at = looked_at - %d', 100);
    }
    return implode('', $asked);
"""


def test_cron_asks_first_about_orders_that_wait_and_then_about_those_not_looked_at_for_long(
    wordpress: WordPress,
) -> None:
    """Payproof is away at the second order; an order without an attempt of the last days is left out."""
    orders = [("a", 1, 0), ("b", 0, 0), ("c", 0, 30), ("d", 0, 0), ("e", 1, 0)]
    assert wordpress.play(LOOKED, orders) == "bd|bdae|bdae|"


def test_an_order_that_cannot_be_asked_about_stops_no_other(wordpress: WordPress) -> None:
    """Each run goes on behind the order at which the last one stopped."""
    asked = wordpress.play(
        LOOKED.replace("$away && count($asked) === 2", "str_ends_with($url, 'a')").replace("- %d', 100", "- %d', 0"),
        [("a", 0, 0), ("b", 0, 0)],
    )
    assert asked.startswith("a|b")
    assert "payproof: a: its payments could not be read: 503" in (wordpress.place / "debug.log").read_text()


def test_the_page_after_the_checkout_stands_where_the_attempts_cannot_be_read(wordpress: WordPress) -> None:
    shown = wordpress.play("""
        global $wpdb;
        $order_id = standin_order();
        [$class] = apply_filters('woocommerce_payment_gateways', []);
        new $class();
        $wpdb->suppress_errors();
        $break = fn(string $sql): string => str_replace('payproof_attempts', 'none', $sql);
        $pages = [];
        foreach (['query' => $break, 'pre_option_payproof_site' => fn(): string => ''] as $filter => $breaks) {
            add_filter($filter, $breaks);
            ob_start();
            try {
                do_action('woocommerce_thankyou_payproof', $order_id);
            } catch (Throwable $error) {
                echo get_class($error);
            }
            $pages[] = ob_get_clean();
            remove_filter($filter, $breaks);
        }
        return $pages;
    """)
    assert shown == ['<p class="payproof">We are checking your payment.</p>'] * 2


def test_the_name_of_a_site_is_drawn_once(wordpress: WordPress) -> None:
    before, after = wordpress.play("$before = payproof_site(); payproof_install(); return [$before, payproof_site()];")
    assert before == after


@pytest.mark.parametrize("missing", [None, "PAYPROOF_URL", "PAYPROOF_API_KEY", "PAYPROOF_WEBHOOK_SECRET"])
def test_the_method_is_offered_where_all_of_its_settings_are_there(wordpress: WordPress, missing: str | None) -> None:
    before = "" if missing is None else f"error_reporting(0); define('{missing}', '');"  # wp-config.php has it, too
    shown = wordpress.run(f"""<?php {before} putenv('SECRET={WEBHOOK_SECRET}');
        require __DIR__ . '/wp-load.php';
        [$class] = apply_filters('woocommerce_payment_gateways', []);
        echo 'offered: ', json_encode((new $class())->is_available());""")
    assert shown.endswith(f"offered: {'true' if missing is None else 'false'}"), shown
