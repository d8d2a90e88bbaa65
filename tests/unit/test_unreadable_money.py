"""Unreadable money is reported at once, and is the one mismatch that a later answer lifts by itself.

Later means asked later, as everywhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas.words import Hold, Status
from tests.fakes.drive import AMOUNT
from tests.fakes.providers import CANDIDATES, PROVING
from tests.unit.test_lifecycle import Bench

COMPLETED, FAILED, PENDING, REFUNDED = Status.COMPLETED, Status.FAILED, Status.PENDING, Status.REFUNDED
AMOUNT_UNREAD: dict[str, Any] = {"amount": None, "unreadable": ("amount",)}
REFUND_UNREAD: dict[str, Any] = {"refunded_amount": None, "unreadable": ("refunded_amount",)}
BOTH_UNREAD: dict[str, Any] = {"amount": None, "unreadable": ("amount", "refunded_amount")}
UNREAD = pytest.mark.parametrize("unread", [AMOUNT_UNREAD, REFUND_UNREAD, BOTH_UNREAD])


@pytest.fixture(params=["declares its amount", "does not"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench() if request.param == "declares its amount" else Bench(PROVING)


@UNREAD
@pytest.mark.parametrize("status", [COMPLETED, REFUNDED])
def test_it_is_held_at_once_and_raises_nothing(bench: Bench, status: Status, unread: dict[str, Any]) -> None:
    payment_id = bench.open()
    after = bench.says(payment_id, status, 10, **unread)
    assert (after.status, after.holds) == (PENDING, (Hold.AMOUNT_MISMATCH,))
    assert bench.told(payment_id) == ["held"]


@UNREAD
def test_a_later_answer_that_fits_lifts_it(bench: Bench, unread: dict[str, Any]) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, **unread)
    after = bench.says(payment_id, COMPLETED, 20)
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, None, "T1")
    assert bench.told(payment_id) == ["held", "completed"]


@UNREAD
def test_recorded_after_the_answer_that_was_asked_later_it_holds_nothing(bench: Bench, unread: dict[str, Any]) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 20)
    assert bench.says(payment_id, COMPLETED, 10, **unread).hold is None
    assert bench.says(payment_id, COMPLETED, 30, **unread).hold is Hold.AMOUNT_MISMATCH, "asked later"
    assert bench.says(payment_id, COMPLETED, 30).hold is Hold.AMOUNT_MISMATCH, "asked at that moment"
    assert bench.says(payment_id, COMPLETED, 40).hold is None
    assert bench.told(payment_id) == ["completed", "held", "released"]


def test_an_answer_about_another_transaction_does_not_lift_it() -> None:
    bench = Bench()
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, **AMOUNT_UNREAD)
    after = bench.says(payment_id, COMPLETED, 20, transaction_id="T2")
    assert (after.status, after.hold) == (COMPLETED, Hold.AMOUNT_MISMATCH)


def test_a_transaction_that_only_one_of_the_two_names_is_that_of_the_session() -> None:
    bench = Bench(PROVING)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, **AMOUNT_UNREAD)
    assert bench.says(payment_id, COMPLETED, 20, transaction_id=None).hold is None


def test_each_transaction_that_is_asked_about_is_read_by_itself() -> None:
    bench = Bench(CANDIDATES)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, by="T1", **AMOUNT_UNREAD)
    assert bench.says(payment_id, PENDING, 20, by="T2").hold is Hold.AMOUNT_MISMATCH
    assert bench.says(payment_id, COMPLETED, 30, by="T1").hold is None


@pytest.mark.parametrize("status", [PENDING, FAILED])
def test_nothing_but_money_that_came_lifts_it(bench: Bench, status: Status) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, **AMOUNT_UNREAD)
    assert bench.says(payment_id, status, 20).hold is Hold.AMOUNT_MISMATCH


@pytest.mark.parametrize(
    ("fields", "hold"),
    [
        ({"currency": "USD"}, Hold.CURRENCY_MISMATCH),
        ({"reference": "order-other"}, Hold.IDENTITY_MISMATCH),
    ],
)
def test_another_misfit_beside_it_is_lifted_by_a_person_only(bench: Bench, fields: dict[str, Any], hold: Hold) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, **AMOUNT_UNREAD, **fields)
    assert bench.says(payment_id, COMPLETED, 20).holds == (hold,)


def test_an_amount_that_is_read_and_does_not_fit_is_lifted_by_a_person_only(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=Decimal("1.00"), **REFUND_UNREAD)
    assert bench.says(payment_id, COMPLETED, 20).hold is Hold.AMOUNT_MISMATCH


@pytest.mark.parametrize("status", [PENDING, FAILED, None])
def test_where_nothing_says_paid_it_is_not_missed(bench: Bench, status: Status | None) -> None:
    payment_id = bench.open()
    assert Hold.AMOUNT_MISMATCH not in bench.says(payment_id, status, 10, **AMOUNT_UNREAD).holds


def test_a_person_may_take_it_and_refunds_count_from_then_on() -> None:
    bench = Bench()
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, **AMOUNT_UNREAD)
    assert bench.resolve(payment_id, COMPLETED).hold is None
    after = bench.says(payment_id, COMPLETED, 200, **AMOUNT_UNREAD, refunded_amount=AMOUNT)
    assert (after.status, after.hold) == (REFUNDED, None)


@pytest.mark.parametrize("name", ["session_id", "reference", "transaction_id", "currency"])
def test_what_is_empty_is_absent(bench: Bench, name: str) -> None:
    """An empty value belongs to no other payment, and counts as missing only where the gateway declares it."""
    payments = [bench.open() for _ in range(2)]
    for payment_id, absent in zip(payments, ("", None), strict=True):
        bench.says(
            payment_id,
            COMPLETED,
            10,
            transaction_id=f"T-{payment_id[-1]}",
            **{name: absent} if name != "transaction_id" else {},
        )
    first, second = (bench.drive.payment(payment_id) for payment_id in payments)
    assert (first.status, first.holds) == (second.status, second.holds)


def test_an_empty_transaction_is_none() -> None:
    bench = Bench(PROVING)
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, transaction_id="")
    assert (after.status, after.transaction_id) == (COMPLETED, after.session_id)
    assert bench.says(payment_id, COMPLETED, 20, transaction_id="T1").hold is None


@pytest.mark.parametrize("echoed", ["ORDER-1", " order-1", "order-1 ", "Order-1"])
def test_a_reference_in_another_case_or_between_blanks_is_not_ours(bench: Bench, echoed: str) -> None:
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, reference=echoed)
    assert (after.status, after.holds) == (PENDING, (Hold.IDENTITY_MISMATCH,))


def test_fees_and_times_spoil_nothing(bench: Bench) -> None:
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, fee=None, paid_at=None)
    assert (after.status, after.hold) == (COMPLETED, None)
    after = bench.says(payment_id, COMPLETED, 20, fee=Decimal("999.00"), method="another")
    assert (after.status, after.hold) == (COMPLETED, None)
