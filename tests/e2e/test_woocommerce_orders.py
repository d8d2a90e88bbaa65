"""What payments and people together make of an order in WooCommerce, told to the plugin in WordPress by scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.wordpress import WordPress, wordpress_alone


@pytest.fixture(scope="module")
def wordpress() -> Iterator[WordPress]:
    with wordpress_alone() as wordpress:
        yield wordpress


def test_a_payment_of_a_lost_order_pays_no_order_that_has_its_id_by_now(wordpress: WordPress) -> None:
    """A backup was restored, and Payproof has the payments of the orders after it."""
    ends = wordpress.play("""
        $lost = standin_order(['key' => 'wc_order_lost']);
        $reference = attempt($lost);
        $old = payment($lost, $reference);
        standin_change($lost, ['key' => 'wc_order_new']);
        $asked = [];
        payproof_answers(function (string $method, string $url, mixed $body) use ($old, &$asked): array {
            $asked[] = $body['reference'] ?? $url;
            return $method === 'GET' ? [200, ['payments' => [$old]]]
                : [201, ['payment_id' => 'pay_new', 'checkout_url' => 'https://gateway.example/new']];
        });
        $clicked = click($lost);
        payproof_reconcile_order(payproof_order_name(wc_get_order($lost)));
        payproof_apply_payment($old);
        return [$clicked['redirect'], shown($lost)['history'], $old['order'], $asked, $reference, mails()];
    """)
    redirect, history, old_name, asked, old_reference, mails = ends
    assert (redirect, history) == ("https://gateway.example/new", [])
    assert old_name not in asked[0]
    assert asked[1] != old_reference
    assert [mail["subject"] for mail in mails] == ["Payproof: money without an order"]


def test_an_order_is_read_past_every_cache(wordpress: WordPress) -> None:
    """Another request completes the order; this one has read it before, and hears of an older attempt's end."""
    history, paid = wordpress.play("""
        $order_id = standin_order();
        [$first, $second] = [attempt($order_id), attempt($order_id)];
        $stale = wc_get_container()->get(Automattic\\WooCommerce\\Caches\\OrderCache::class);
        wc_get_order($order_id);
        $row = $stale->rows[$order_id];
        payproof_apply_payment(payment($order_id, $first));
        $stale->rows[$order_id] = $row;
        payproof_apply_payment(payment($order_id, $second, ['status' => 'expired']));
        return [shown($order_id)['history'], shown($order_id)['attempts'][$first]->paid];
    """)
    assert (history, paid) == (["processing"], "1")


def test_money_for_an_order_in_the_trash_is_told_to_a_person_and_kept_until_it_comes_back(wordpress: WordPress) -> None:
    assert wordpress.play("""
        $order_id = standin_order();
        $payment = payment($order_id, attempt($order_id));
        standin_change($order_id, ['status' => 'trash']);
        payproof_apply_payment($payment);
        payproof_apply_payment($payment);
        $mails = mails();
        standin_change($order_id, ['status' => 'pending']);
        payproof_apply_payment($payment);
        return [count($mails), shown($order_id)['history']];
    """) == [1, ["processing"]]


def test_an_order_that_comes_back_after_eight_days_is_told_by_the_button_alone(wordpress: WordPress) -> None:
    assert wordpress.play("""
        $order_id = standin_order(['status' => 'trash']);
        $payment = payment($order_id, attempt($order_id));
        payproof_query('UPDATE {attempts} SET opened_at = opened_at - %d', 9 * DAY_IN_SECONDS);
        standin_change($order_id, ['status' => 'pending']);
        payproof_answers(fn(): array => [200, ['payments' => [$payment]]]);
        payproof_reconcile();
        $ends = [shown($order_id)['status']];
        payproof_reconcile_order($payment['order']);
        return [...$ends, shown($order_id)['status']];
    """) == ["pending", "processing"]


@pytest.mark.parametrize("order", [None, {"status": "trash"}, {"status": "refunded"}, {"status": "on-hold"}])
def test_a_webhook_is_acknowledged_when_its_mail_went(wordpress: WordPress, order: dict[str, str] | None) -> None:
    """Of money without an attempt or an order, and of money for an order that was closed."""
    answered, mails, notes = wordpress.play(
        """
        $order_id = standin_order();
        $payment = payment($order_id, $given === null ? 'never-opened-here' : attempt($order_id));
        if ($given === ['status' => 'on-hold']) { // by a person, after other money
            payproof_apply_payment(payment($order_id, attempt($order_id)));
        }
        standin_change($order_id, $given ?? []);
        $answered = [];
        foreach ([false, false, true, true] as $goes) {
            $mailer = fn(?bool $sent): ?bool => $goes ? $sent : false;
            add_filter('pre_wp_mail', $mailer, 20);
            $request = new WP_REST_Request('POST', '/payproof/v1/webhook');
            $request->set_body(json_encode(['type' => 'payment.completed', 'data' => $payment]));
            $answered[] = payproof_handle_webhook($request)->get_status();
            remove_filter('pre_wp_mail', $mailer, 20);
            $goes || mails();
        }
        return [$answered, count(mails()), wc_get_order($order_id)->shown()['notes']];
        """,
        order,
    )
    assert (answered, mails) == ([503, 503, 200, 200], 1)
    assert len([note for note in notes if "A person decides" in note]) == int(order == {"status": "refunded"})


def test_a_copied_order_is_paid_by_its_own_payment(wordpress: WordPress) -> None:
    """Subscriptions and plugins that duplicate orders copy every meta."""
    assert wordpress.play("""
        $first = standin_order();
        payproof_apply_payment(payment($first, attempt($first)));
        $copy = standin_order(['meta' => shown($first)['meta']]);
        payproof_apply_payment(payment($copy, attempt($copy)));
        return [shown($first)['history'], shown($copy)['history']];
    """) == [["processing"], ["processing"]]


def test_an_order_that_was_cancelled_unpaid_goes_out_when_it_is_paid_late(wordpress: WordPress) -> None:
    """As in WooCommerce itself, which cancels an unpaid order by the clock."""
    assert (
        wordpress.play("""
        $order_id = standin_order(['status' => 'cancelled']);
        payproof_apply_payment(payment($order_id, attempt($order_id), ['late' => true]));
        return shown($order_id)['status'];
    """)
        == "processing"
    )


def test_a_hold_of_ours_is_over_when_it_ended(wordpress: WordPress) -> None:
    """Staff put the order on hold themselves, for a bank transfer; another attempt expires."""
    assert (
        wordpress.play("""
        $order_id = standin_order();
        $reference = attempt($order_id);
        payproof_apply_payment(payment($order_id, $reference, ['status' => 'pending', 'hold' => 'unverifiable']));
        payproof_apply_payment(payment($order_id, $reference, ['status' => 'expired', 'version' => 3]));
        $second = attempt($order_id);
        standin_change($order_id, ['status' => 'on-hold']);
        payproof_apply_payment(payment($order_id, $second, ['status' => 'expired']));
        return shown($order_id)['status'];
    """)
        == "on-hold"
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"hold": "duplicate_for_order"}, "until Payproof shows no hold"),
        ({"amount": "1.00"}, "until a person has decided here"),
        ({"risk": "high"}, "until a person has decided here"),
    ],
)
def test_the_note_says_what_the_goods_wait_for(wordpress: WordPress, more: dict[str, str], words: str) -> None:
    notes = wordpress.play(
        """
        $order_id = standin_order();
        payproof_apply_payment(payment($order_id, attempt($order_id), $given));
        return shown($order_id)['notes'];
        """,
        more,
    )
    assert words in notes[-1]
