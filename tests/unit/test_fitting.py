"""What fits: the hold that each id which is not ours is, the field that named it, and what was said (3.2, 3.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from consumers.money.matching import Mismatch, foreign_ids
from schemas.answers import Answer, Fact
from schemas.payments import TakenKeys
from schemas.words import Hold, Status
from tests.fakes.drive import Drive

INSTANT = timedelta(microseconds=1)
OTHERS = TakenKeys(references=frozenset({"order-9"}), sessions=frozenset({"S-9"}))


def strange(
    asked: timedelta = timedelta(), taken_keys: TakenKeys = OTHERS, **ids: str | None
) -> list[tuple[Hold, str, Any]]:
    """The mismatches of an answer to a question that was asked so long after the opening."""
    payment = Drive().new(reference="order-1", opened=True, session_id="S-1", aliases=("S-0",))
    at = payment.opened_at + asked
    answer = Answer(status=Status.PENDING, word="PENDING", **{"reference": "order-1", "session_id": "S-1", **ids})
    fact = Fact(answer=answer, first_asked_at=at, first_answered_at=at, last_asked_at=at, last_answered_at=at)
    return [(one.hold, one.what, one.said) for one in foreign_ids(fact, payment, taken_keys)]


@pytest.mark.parametrize(
    ("ids", "what", "said"),
    [
        ({"reference": "order-2"}, "reference", "order-2"),
        ({"reference": "ORDER-1"}, "reference", "ORDER-1"),
        ({"reference": "order-9"}, "of_others", "order-9"),
        ({"session_id": "S-2"}, "session_id", "S-2"),
        ({"session_id": "S-9"}, "of_others", "S-9"),
    ],
    ids=str,
)
def test_each_id_that_is_not_ours_is_told_with_its_field_or_that_it_is_anothers(
    ids: dict[str, str], what: str, said: str
) -> None:
    assert strange(**ids) == [(Hold.IDENTITY_MISMATCH, what, said)]


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


def test_an_id_of_anothers_is_nothing_that_a_person_can_take_with_the_money() -> None:
    for what, takes in (("of_others", False), ("session_id", True), ("reference", True)):
        assert Mismatch(Hold.IDENTITY_MISMATCH, what, "S-9").acceptable is takes
