"""One reply that speaks of several paid transactions: each is judged as an answer of its own, in any order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from consumers.explain.evidence import evidence
from consumers.explain.explain import explain_payment
from consumers.explain.snapshot import PaymentSnapshot
from consumers.ports.reply import Reply
from consumers.write_work import _is_news
from schemas.answers import Answer
from schemas.payments import Payment
from schemas.words import EntryKind, Hold, Risk, Status
from tests.fakes.drive import AMOUNT
from tests.unit.test_lifecycle import COMPLETED, PART, PENDING, Bench

ONE: dict[str, Any] = {"transaction_id": "T1", "risk": Risk.HIGH}
TWO: dict[str, Any] = {"transaction_id": "T2", "risk": Risk.LOW}
THREE: dict[str, Any] = {"transaction_id": "T3"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def several(bench: Bench, payment_id: str, asked: float, *paid: dict[str, Any]) -> Reply:
    """A reply about these paid transactions, in this order."""
    answers: list[Answer] = []
    for fields in paid:
        reply = bench.reply(payment_id, COMPLETED, asked, **fields)
        assert isinstance(reply.outcome, Answer)
        answers.append(reply.outcome)
    return bench.reply(payment_id, COMPLETED, asked, **paid[0], others=tuple(answers[1:]))


def standing(payment: Payment) -> tuple[Any, ...]:
    return payment.status, payment.holds, payment.transaction_id, payment.refunded_amount, payment.risk


def dossier(bench: Bench, payment_id: str) -> PaymentSnapshot:
    drive = bench.drive
    return PaymentSnapshot(
        case=bench.case(payment_id),
        entries=drive.ledger.entries(payment_id),
        now=drive.clock.now,
        checks=drive.rules.checks,
        account=bench.account,
    )


def test_a_second_paid_transaction_of_the_same_reply_is_completed_and_held(bench: Bench) -> None:
    payment_id = bench.open()
    after = bench.record(several(bench, payment_id, 10, ONE, TWO))
    assert standing(after) == (COMPLETED, (Hold.DUPLICATE_FOR_ORDER,), "T1", 0, Risk.HIGH)
    assert bench.told(payment_id) == ["held"]
    assert {fact.answer.transaction_id for fact in bench.case(payment_id).facts} == {"T1", "T2"}
    assert all(fact.answer.others == () for fact in bench.case(payment_id).facts)


def test_the_order_of_the_transactions_in_a_reply_makes_no_difference() -> None:
    ends = set()
    for order in permutations((ONE, TWO, THREE)):
        bench = Bench()
        ends.add(standing(bench.record(several(bench, bench.open(), 10, *order))))
    assert len(ends) == 1


def test_the_same_reply_again_in_another_order_changes_nothing(bench: Bench) -> None:
    payment_id = bench.open()
    before = bench.record(several(bench, payment_id, 10, ONE, TWO))
    after = bench.record(several(bench, payment_id, 20, TWO, ONE), several(bench, payment_id, 20, ONE, TWO))
    assert (standing(after), after.version) == (standing(before), before.version)
    assert len(bench.case(payment_id).facts) == 2


def test_a_transaction_that_appears_later_holds_what_was_told_as_completed(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, PENDING, 5)
    bench.record(several(bench, payment_id, 10, TWO))
    after = bench.record(several(bench, payment_id, 20, ONE, TWO))
    assert standing(after) == (COMPLETED, (Hold.DUPLICATE_FOR_ORDER,), "T2", 0, Risk.LOW)
    assert bench.told(payment_id) == ["completed", "held"]


def test_the_same_replies_recorded_in_any_order_end_alike() -> None:
    ends = set()
    for order in permutations(range(3)):
        bench = Bench()
        payment_id = bench.open()
        replies = [
            several(bench, payment_id, 10, ONE),
            several(bench, payment_id, 20, TWO, ONE),
            several(bench, payment_id, 30, THREE, ONE, TWO),
        ]
        for number in order:
            bench.record(replies[number])
        ends.add(standing(bench.drive.payment(payment_id)))
    assert len(ends) == 1


@pytest.mark.parametrize("theirs", [ONE, TWO], ids=["first", "other"])
def test_a_transaction_of_another_payment_in_the_list_is_held_as_reused(bench: Bench, theirs: dict[str, Any]) -> None:
    owner, payment_id = bench.open(), bench.open()
    bench.record(several(bench, owner, 5, theirs))
    after = bench.record(several(bench, payment_id, 10, ONE, TWO))
    mine = "T2" if theirs is ONE else "T1"
    assert (after.status, after.holds, after.transaction_id) == (COMPLETED, (Hold.TRANSACTION_REUSED,), mine)
    assert bench.drive.payment(owner).hold is None


def test_an_other_that_does_not_fit_is_held_for_that(bench: Bench) -> None:
    payment_id = bench.open()
    after = bench.record(several(bench, payment_id, 10, ONE, TWO | {"amount": PART}))
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, Hold.AMOUNT_MISMATCH, "T1")


def test_each_transaction_belongs_to_the_payment_from_then_on(bench: Bench) -> None:
    payment_id, late = bench.open(), bench.open()
    bench.record(several(bench, payment_id, 10, ONE, TWO))
    assert bench.says(late, COMPLETED, 20, transaction_id="T2").holds == (Hold.TRANSACTION_REUSED,)


def test_a_person_who_accepts_both_is_not_asked_again(bench: Bench) -> None:
    payment_id = bench.open()
    bench.record(several(bench, payment_id, 10, ONE, TWO))
    assert bench.resolve(payment_id, COMPLETED).hold is None
    assert bench.record(several(bench, payment_id, 20, TWO, ONE)).hold is None
    assert bench.record(several(bench, payment_id, 30, TWO, ONE, THREE)).hold is Hold.DUPLICATE_FOR_ORDER


def test_the_money_of_each_stands_in_the_evidence_and_in_one_line_of_the_story(bench: Bench) -> None:
    payment_id = bench.open()
    bench.record(several(bench, payment_id, 10, ONE, TWO))
    found = evidence(dossier(bench, payment_id))
    assert found is not None
    named = [{one.what: one.answered for one in answer.compared} for answer in found.answers]
    assert {(one["transaction"], one["amount"]) for one in named} == {("T1", f"{AMOUNT:.2f}"), ("T2", f"{AMOUNT:.2f}")}
    answers = [entry for entry in bench.drive.ledger.entries(payment_id) if entry.kind is EntryKind.ANSWER]
    assert [one["transaction_id"] for one in answers[0].data["others"]] == ["T2"]
    told = [line.words for line in explain_payment(dossier(bench, payment_id)).story]
    assert any("transaction T1, risk high; in the same reply also completed" in words for words in told)


def test_a_reply_is_news_until_each_of_its_answers_is_in_a_fact(bench: Bench) -> None:
    payment_id = bench.open()
    both = several(bench, payment_id, 10, ONE, TWO)
    bench.record(several(bench, payment_id, 10, ONE))
    assert _is_news(both, bench.case(payment_id))
    bench.record(both)
    assert not _is_news(both, bench.case(payment_id))
    assert bench.drive.payment(payment_id).status is Status.COMPLETED
