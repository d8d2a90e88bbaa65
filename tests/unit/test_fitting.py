"""Matching: the hold for each id that is not ours, the field that named it, and the value that was said."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from consumers.money.matching import Measure, Mismatch, foreign_ids, mismatches
from schemas.answers import Answer, Fact
from schemas.payments import TakenKeys
from schemas.words import AnswerField, Hold, Id, MoneyField, Status
from tests.fakes.drive import Drive

INSTANT = timedelta(microseconds=1)
OTHERS = TakenKeys(references=frozenset({"order-9"}), sessions=frozenset({"S-9"}))


def strange(asked: timedelta = timedelta(), taken_keys: TakenKeys = OTHERS, **ids: str | None) -> list[Mismatch]:
    """The mismatches of an answer to a question that was asked so long after the opening."""
    payment = Drive().new(reference="order-1", opened=True, session_id="S-1", aliases=("S-0",))
    at = payment.opened_at + asked
    answer = Answer(status=Status.PENDING, word="PENDING", **{"reference": "order-1", "session_id": "S-1", **ids})
    fact = Fact(answer=answer, first_asked_at=at, first_answered_at=at, last_asked_at=at, last_answered_at=at)
    return list(foreign_ids(fact, payment, taken_keys))


@pytest.mark.parametrize(
    ("ids", "field", "expected", "of_others"),
    [
        ({"reference": "order-2"}, Id.REFERENCE, "order-1", False),
        ({"reference": "ORDER-1"}, Id.REFERENCE, "order-1", False),
        ({"reference": "order-9"}, Id.REFERENCE, "order-1", True),
        ({"session_id": "S-2"}, Id.SESSION, "S-1", False),
        ({"session_id": "S-9"}, Id.SESSION, "S-1", True),
    ],
    ids=str,
)
def test_each_id_that_is_not_ours_is_told_with_its_field_and_whether_it_is_anothers(
    ids: dict[str, str], field: Id, expected: str, *, of_others: bool
) -> None:
    (one,) = strange(**ids)
    assert (one.hold, one.field, one.given) == (Hold.IDENTITY_MISMATCH, field, ids[field])
    assert (one.expected, one.of_others) == (expected, of_others)


@pytest.mark.parametrize("ids", [{}, {"session_id": "S-0"}, {"session_id": None, "reference": ""}], ids=str)
def test_our_ids_and_absent_ones_are_not_strange(ids: dict[str, str | None]) -> None:
    assert strange(**ids) == []


@pytest.mark.parametrize(
    ("asked", "reference", "is_strange"),
    [(timedelta(), "order-1", True), (-INSTANT, "order-1", False), (-INSTANT, None, True)],
)
def test_a_session_from_before_the_moment_of_the_opening_counts_beside_our_reference(
    asked: timedelta, reference: str | None, *, is_strange: bool
) -> None:
    """The question was on its way while the checkout was opened again."""
    assert bool(strange(asked, reference=reference, session_id="S-2")) is is_strange


@pytest.mark.parametrize("field", [Id.SESSION, Id.REFERENCE])
def test_an_id_of_anothers_is_nothing_that_a_person_can_take_with_the_money(field: Id) -> None:
    for of_others in (True, False):
        one = Mismatch(hold=Hold.IDENTITY_MISMATCH, field=field, given="S-9", of_others=of_others)
        assert one.acceptable is not of_others


@pytest.mark.parametrize(
    ("said", "field", "given", "expected"),
    [
        ({"amount": Decimal("15.00")}, MoneyField.AMOUNT, Decimal("15.00"), Decimal("100.00")),
        ({"amount": None}, MoneyField.AMOUNT, None, Decimal("100.00")),
        ({"currency": "USD"}, MoneyField.CURRENCY, "USD", "BDT"),
        ({"currency": ""}, MoneyField.CURRENCY, None, "BDT"),
        ({"session_id": None}, Id.SESSION, None, "S-1"),
        ({"transaction_id": None}, Id.TRANSACTION, None, None),
        ({"refunded_amount": Decimal("100.01")}, MoneyField.REFUNDED, Decimal("100.01"), Decimal("100.00")),
        ({"amount": None, "unreadable": ("amount",)}, MoneyField.AMOUNT, None, Decimal("100.00")),
    ],
    ids=str,
)
def test_a_paid_answer_that_does_not_fit_names_the_field_with_what_it_has_there_and_what_was_expected(
    said: dict[str, Any], field: AnswerField, given: Any, expected: Any
) -> None:
    payment = Drive().new(reference="order-1", opened=True, session_id="S-1")
    fitting = {"reference": "order-1", "session_id": "S-1", "transaction_id": "T-1", "amount": payment.amount}
    answer = Answer(status=Status.COMPLETED, word="PAID", **{**fitting, "currency": payment.currency, **said})
    at = payment.opened_at
    fact = Fact(answer=answer, first_asked_at=at, first_answered_at=at, last_asked_at=at, last_answered_at=at)
    always = frozenset({*Id, MoneyField.AMOUNT, MoneyField.CURRENCY})
    (one,) = mismatches(fact, payment, TakenKeys(), always, Measure(whole=payment.amount))
    assert (one.field, one.given, one.expected) == (field, given, expected)
    assert one.unreadable is ("unreadable" in said)
