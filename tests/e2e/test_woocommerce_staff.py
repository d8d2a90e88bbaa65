"""Orders in WooCommerce that staff closed, moved or changed, and what news of money does with them then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.wordpress import WordPress, wordpress_alone


@pytest.fixture(scope="module")
def wordpress() -> Iterator[WordPress]:
    with wordpress_alone() as wordpress:
        yield wordpress


@pytest.mark.parametrize("by_staff", ["refunded", "cancelled", "on-hold"])
def test_released_money_for_an_order_that_staff_closed_waits_for_a_person(wordpress: WordPress, by_staff: str) -> None:
    ends = wordpress.play(
        """
        $order_id = standin_order();
        [$first, $second] = [attempt($order_id), attempt($order_id)];
        payproof_apply_payment(payment($order_id, $first));
        standin_change($order_id, ['status' => $given]);
        payproof_apply_payment(payment($order_id, $second, ['hold' => 'duplicate_for_order']));
        payproof_apply_payment(payment($order_id, $second, ['version' => 3]));
        payproof_apply_payment(payment($order_id, $second, ['version' => 4, 'refunded_amount' => '1.00']));
        return [shown($order_id)['status'], count(mails())];
        """,
        by_staff,
    )
    assert ends == ["on-hold", 1]


@pytest.mark.parametrize(
    ("before", "money", "by_staff", "later", "ends"),
    [
        ("processing", {}, "cancelled", {"refunded_amount": "500.00"}, "cancelled"),
        ("processing", {}, "cancelled", {"version": 1002}, "cancelled"),  # the same again, after a failover
        ("refunded", {}, "cancelled", {"refunded_amount": "500.00"}, "cancelled"),
        ("processing", {}, "on-hold", {"refunded_amount": "500.00"}, "on-hold"),
        ("pending", {"hold": "contradiction"}, "cancelled", {}, "on-hold"),
    ],
)
def test_an_order_that_a_person_closed_after_money_goes_out_by_a_person_alone(
    wordpress: WordPress, before: str, money: dict[str, str], by_staff: str, later: dict[str, str], ends: str
) -> None:
    """Also where the money never paid it: it was cash, or was never right. A part refund is no news."""
    status, told = wordpress.play(
        """
        [$before, $money, $by_staff, $later] = $given;
        $order_id = standin_order(['status' => $before]);
        $reference = attempt($order_id);
        payproof_apply_payment(payment($order_id, $reference, $money));
        standin_change($order_id, ['status' => $by_staff]);
        mails();
        payproof_apply_payment(payment($order_id, $reference, $later + ['version' => 3]));
        return [shown($order_id)['status'], count(mails())];
        """,
        [before, money, by_staff, later],
    )
    assert (status, told) == (ends, int(money != {}))


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize(("by_staff", "ends"), [("processing", "on-hold"), ("completed", "completed")])
def test_an_order_that_a_person_moved_is_stopped_and_not_refunded_when_the_money_goes_back(
    wordpress: WordPress, by_staff: str, ends: str, heard: bool
) -> None:
    """The person took cash, or saw the money at Payproof before the site heard of it: nothing tells which."""
    status, notes = wordpress.play(
        """
        $order_id = standin_order(['status' => $given[0]]);
        $reference = attempt($order_id);
        $given[1] && payproof_apply_payment(payment($order_id, $reference));
        payproof_apply_payment(payment($order_id, $reference, ['status' => 'refunded', 'version' => 3]));
        return [shown($order_id)['status'], shown($order_id)['notes']];
        """,
        [by_staff, heard],
    )
    assert status == ends
    assert any("is it paid twice?" in note for note in notes) == heard


def test_an_order_that_staff_let_go_on_is_stopped_when_its_money_goes_back(wordpress: WordPress) -> None:
    assert wordpress.play("""
        $order_id = standin_order();
        $reference = attempt($order_id);
        payproof_apply_payment(payment($order_id, $reference, ['risk' => 'high']));
        standin_change($order_id, ['status' => 'processing']);
        payproof_apply_payment(payment($order_id, $reference, ['status' => 'refunded', 'version' => 3]));
        return shown($order_id)['history'];
    """) == ["on-hold", "on-hold"]


def test_a_total_that_staff_put_right_is_paid_by_the_money_that_is_there(wordpress: WordPress) -> None:
    assert wordpress.play("""
        $order_id = standin_order(['total' => '1400.00']);
        [$first, $second] = [attempt($order_id), attempt($order_id)];
        payproof_apply_payment(payment($order_id, $first));
        $held = shown($order_id);
        standin_change($order_id, ['total' => '1500.50']);
        payproof_apply_payment(payment($order_id, $second, ['status' => 'expired']));
        return [$held['status'], shown($order_id)['status']];
    """) == ["on-hold", "processing"]


def test_an_order_in_a_status_of_the_shop_s_own_is_stopped(wordpress: WordPress) -> None:
    """`completed` alone says that it was sent."""
    assert wordpress.play("""
        $ends = [];
        foreach ([['hold' => 'contradiction'], ['status' => 'refunded']] as $news) {
            foreach ([true, false] as $paid_here) {
                $order_id = standin_order();
                $reference = attempt($order_id);
                $paid_here && payproof_apply_payment(payment($order_id, $reference));
                standin_change($order_id, ['status' => 'packed']);
                payproof_apply_payment(payment($order_id, $reference, $news + ['version' => 3]));
                $ends[] = shown($order_id)['status'];
            }
        }
        return $ends;
    """) == ["on-hold", "on-hold", "refunded", "on-hold"]
