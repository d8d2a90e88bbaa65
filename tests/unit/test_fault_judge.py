"""The judge of the fault run: its verdict on payments that ended otherwise than the gateways' books say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fault.chaos import HEAD, below_table
from tests.fault.recovering import Spell, slowest_recovery
from tests.fault.shoppers import Customer
from tests.fault.verdicts import Seen, by_order, rightly_ended, what_is_wrong
from tests.harness import BLIND, IPAY, ONEPAYBD, SHADHINPAY, Gateway, ToldEvent


def seen(
    status: str,
    hold: str | None,
    books: str,
    *,
    gateway: Gateway = IPAY,
    deed: str = "pays",
    refunded: tuple[str, str] = ("0.00", "0.00"),
) -> Seen:
    payment: dict[str, Any] = {"payment_id": f"pay_{status}", "order": "order-1"}
    told = payment | {"status": status, "hold": hold, "refunded_amount": refunded[0]}
    customer = Customer(gateway=gateway, deed=deed, payment=payment)
    return Seen(customer, told, {"status": books, "refunded": refunded[1]})


def kinds(*attempts: Seen) -> list[str]:
    return [kind for kind, _ in what_is_wrong(attempts)]


@pytest.mark.parametrize(
    "one",
    [
        seen("completed", None, "paid"),
        seen("expired", None, "expired"),
        seen("refunded", None, "refunded", gateway=SHADHINPAY, refunded=("9.00", "9.0")),
        seen("completed", None, "paid", gateway=SHADHINPAY, refunded=("2.50", "2.50")),
        seen("pending", "unverifiable", "paid", gateway=BLIND),
        seen("expired", None, "paid", gateway=BLIND, deed="pays and is lost"),
    ],
)
def test_what_the_books_say_is_right(one: Seen) -> None:
    assert rightly_ended([one])
    assert kinds(one) == []


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (seen("expired", None, "paid"), "lost"),
        (seen("pending", None, "approved", gateway=ONEPAYBD), "lost"),
        (seen("pending", None, "paid"), "silent"),
        (seen("pending", "unresolved", "paid"), "held"),
        (seen("completed", "duplicate_for_order", "paid"), "held"),
        (seen("completed", None, "failed"), "wrong"),
        (seen("completed", None, "paid", gateway=SHADHINPAY, refunded=("0.00", "2.50")), "wrong"),
    ],
)
def test_what_is_said_of_a_payment_that_ended_otherwise(one: Seen, kind: str) -> None:
    assert not rightly_ended([one])
    assert kinds(one) == [kind]


def test_of_an_order_that_is_paid_twice_one_attempt_counts_and_the_other_is_held() -> None:
    counts, held = seen("completed", None, "paid"), seen("completed", "duplicate_for_order", "paid")
    assert rightly_ended([counts, held])
    assert kinds(counts, counts) == ["doubled"]
    assert kinds(held, held) == ["lost"]
    assert not rightly_ended([counts, counts])
    assert not rightly_ended([held, held])


def test_an_attempt_that_was_given_back_in_full_does_not_hold_the_next_one() -> None:
    first = seen("refunded", None, "refunded", gateway=SHADHINPAY, refunded=("9.00", "9.00"))
    second = seen("completed", "duplicate_for_order", "paid", gateway=SHADHINPAY)
    assert kinds(first, second) == ["held"]


def test_attempts_of_one_order_are_judged_together() -> None:
    one, other = seen("completed", None, "paid").customer, seen("expired", None, "expired").customer
    alone = Customer(gateway=IPAY, deed="pays", payment={"payment_id": "pay_alone", "order": None})
    assert by_order([one, alone, other]) == [[one, other], [alone]]


def told(payment_id: str, word: str, at: float) -> ToldEvent:
    moment = datetime.fromtimestamp(at, UTC)
    return ToldEvent(id=payment_id, type=f"payment.{word}", subject=payment_id, time=moment, data={}, raw=b"")


def test_recovery_begins_with_the_fault_and_ends_with_the_last_that_came_before_its_end() -> None:
    events = [told("a", "opened", 90), *(told(*one) for one in (("a", "completed", 118), ("b", "completed", 130)))]
    events.append(told("c", "failed", 150))
    acknowledged = {"a": 95.0, "b": 125.0, "c": 95.0}
    assert slowest_recovery([Spell("killed", 100, 110)], acknowledged, events) == 18
    assert slowest_recovery([Spell("killed", 100, 128)], acknowledged, events) == 30
    assert slowest_recovery([], acknowledged, events) == 0


@pytest.mark.parametrize("notes", ["", "\nOf three runs.\n\nThe second found a fault.\n"])
def test_the_notes_below_the_table_of_chaos_stay_when_it_is_made_again(notes: str) -> None:
    assert below_table(f"{HEAD}| ingress | kill | 3.0 |\n{notes}") == notes
