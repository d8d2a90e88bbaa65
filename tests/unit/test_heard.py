"""When the demo may regard a payment as done: every claim that asked has an answer."""

from __future__ import annotations

from typing import Any

from tests.harness import all_heard, answers


def at(second: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"at": f"2026-11-20T10:45:{second:02d}Z", "kind": kind, **data}


ASKED = at(1, "claim", verdict="asks")


def test_a_claim_is_heard_once_a_question_asked_after_it_was_answered() -> None:
    timeline = [ASKED, at(2, "question"), at(3, "answer")]
    assert [all_heard(timeline[:length]) for length in range(4)] == [True, False, False, True]
    assert answers(timeline) == 1


def test_an_answer_to_a_question_asked_before_the_claim_does_not_count() -> None:
    assert not all_heard([at(0, "question"), ASKED, at(3, "answer")])


def test_a_question_under_way_when_the_claim_was_recorded_counts_if_it_was_asked_later() -> None:
    assert all_heard([at(2, "question"), ASKED, at(3, "answer")])


def test_a_claim_that_asks_nothing_needs_no_answer() -> None:
    assert all_heard([at(1, "claim", verdict="answered already")])


def test_a_claim_about_one_transaction_is_not_heard_by_an_answer_about_another() -> None:
    claim = at(1, "claim", verdict="asks", transaction_id="T2")
    first = [at(2, "question", transaction_asked="T1"), at(3, "answer", transaction_asked="T1")]
    second = [at(4, "question", transaction_asked="T2"), at(5, "answer", transaction_asked="T2")]
    assert not all_heard([claim, *first])
    assert all_heard([claim, *first, *second])


def test_a_claim_that_names_no_transaction_is_heard_by_an_answer_about_any() -> None:
    assert all_heard([ASKED, at(2, "question", transaction_asked="T1"), at(3, "answer", transaction_asked="T1")])


def test_a_claim_about_a_transaction_that_was_refused_is_done_with_whenever_it_came() -> None:
    claim = at(4, "claim", verdict="asks", transaction_id="T1")
    question = at(2, "question", transaction_asked="T1")
    assert all_heard([question, claim, at(5, "answer", transaction_asked="T1", refused="not_found")])
