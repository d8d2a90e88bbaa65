"""A gateway that makes up ids brings few Facts, and the payment ends as all its answers together would make it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.account import Account
from consumers.money.facts import MOST_FACTS, recorded_as
from consumers.money.fold import fold
from schemas.answers import Answer, Fact, StatementRow
from schemas.payments import Case, Resolution, TakenKeys
from schemas.words import Hold, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive, answered
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING
from tests.unit.test_lifecycle import Bench, Spoken, spoken

COMPLETED, PENDING = Status.COMPLETED, Status.PENDING


async def asked_again_and_again(status: Status, name: str) -> tuple[Drive, str]:
    """The gateway makes up an id for each of its answers."""
    drive = Drive()
    drive.gateway = lambda assigned: answered(assigned, status, **{name: f"made-up-{len(drive.asked)}"})
    payment_id = await drive.open(PLAIN)
    for _ in range(300):
        await drive.hit(payment_id, source=Source.OPERATOR)
        await drive.wait(60)
    return drive, payment_id


async def test_a_session_made_up_for_each_answer_brings_few_facts() -> None:
    drive, payment_id = await asked_again_and_again(PENDING, "session_id")
    assert len(drive.asked) >= 300
    assert len(drive.ledger.facts(payment_id)) <= MOST_FACTS
    assert drive.payment(payment_id).hold is Hold.IDENTITY_MISMATCH


async def test_a_transaction_made_up_for_each_answer_brings_few_facts() -> None:
    drive, payment_id = await asked_again_and_again(COMPLETED, "transaction_id")
    assert len(drive.ledger.facts(payment_id)) <= MOST_FACTS
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.transaction_id) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER, "made-up-1")


def test_an_answer_that_says_paid_over_the_number_brings_no_fact() -> None:
    bench = Bench()
    payment_id = bench.open()
    made_up = [
        bench.reply(payment_id, COMPLETED, number, transaction_id=f"T{number}") for number in range(1, MOST_FACTS + 4)
    ]
    after = bench.record(*made_up)
    assert (after.hold, after.transaction_id) == (Hold.DUPLICATE_FOR_ORDER, "T1")
    assert len(bench.case(payment_id).facts) == MOST_FACTS


async def test_money_after_many_answers_counts() -> None:
    drive, payment_id = await asked_again_and_again(PENDING, "transaction_id")
    drive.gateway = lambda assigned: answered(assigned, COMPLETED)
    await drive.hit(payment_id, source=Source.OPERATOR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (COMPLETED, None)
    assert len(drive.ledger.facts(payment_id)) <= MOST_FACTS + 1


# -- which Fact an answer is counted at --------------------------------------------------------------------------------


def pending(session_id: str | None, asked: int, until: int | None = None, **fields: Any) -> Fact:
    """An answer that does not fit where it names a session that is not ours."""
    fact = _fact(_spoken(PENDING, asked), {"session_id": session_id, **fields})
    last = NOON + timedelta(seconds=until or asked)
    return replace(fact, last_asked_at=last, last_answered_at=last)


def paid(asked: int, **fields: Any) -> Fact:
    return _fact(_spoken(COMPLETED, asked), {"session_id": "S-001", "transaction_id": "T1", **fields})


def _spoken(status: Status, asked: int) -> Spoken:
    return Spoken(status=status, asked=asked, answered=asked, by=None, fields=(("reference", "order-1"),))


def counted(
    *facts: Fact, new: Fact, most: int, settled: frozenset[str] = frozenset(), taken: str | None = None, **fields: Any
) -> Fact:
    """What is recorded of `new`. `taken` is the transaction that a person accepted as this payment's money."""
    payment = Bench().drive.new(**{"opened": True, "session_id": "S-001"} | fields)
    word = COMPLETED if taken else PENDING
    decided = Resolution(
        at=NOON, status=word, actor="rahima", reason="looked", settled=settled, recorded_transaction=taken
    )
    case = Case(payment=payment, facts=facts, resolutions=(decided,) if settled else ())
    return recorded_as(case, new, PLAIN.provider.capabilities.always, most)


def test_an_answer_over_the_number_is_the_first_of_its_kind_said_again() -> None:
    first, second, new = pending("S-a", 1), pending("S-b", 2), pending("S-c", 3)
    assert counted(first, second, new=new, most=3) == new
    for facts in ((first, second), (second, first)):
        assert counted(*facts, new=new, most=2) == pending("S-a", 1, until=3)


def test_what_is_said_again_keeps_its_own_last_time_where_that_is_later() -> None:
    first = pending("S-a", 1, until=9)
    assert counted(first, new=pending("S-c", 3), most=1) == first


def test_an_answer_from_before_all_of_its_kind_is_kept_as_it_was() -> None:
    new = pending("S-c", 1)
    assert counted(pending("S-a", 2), new=new, most=1) == new


def test_an_answer_is_counted_at_none_that_a_person_settled_or_a_statement_told() -> None:
    first, new = pending("S-a", 1), pending("S-c", 3)
    assert counted(first, new=new, most=1, settled=frozenset({first.key})) == new
    told = replace(first, row=StatementRow(name="march.csv", row=2))
    assert counted(told, new=new, most=1) == new


def test_an_answer_of_another_kind_is_kept_as_it_was() -> None:
    failed = _fact(_spoken(Status.FAILED, 3), {"session_id": "S-c"})
    assert counted(pending("S-a", 1), new=failed, most=1) == failed


@pytest.mark.parametrize(
    ("first", "new"),
    [
        ({"amount": Decimal("99.00")}, {"amount": Decimal("98.00")}),
        ({"transaction_id": None}, {}),
        (
            {"amount": None, "unreadable": ("amount",)},
            {"amount": None, "unreadable": ("amount", "refunded_amount")},
        ),
    ],
    ids=["another amount", "its transaction", "that the refunded amount cannot be read either"],
)
def test_an_answer_that_says_something_new_of_the_same_money_is_kept_as_it_was(
    first: dict[str, Any], new: dict[str, Any]
) -> None:
    known, more = paid(1, **first), paid(2, **new)
    assert counted(known, new=more, most=1) == more


def test_what_cannot_be_read_is_said_again_of_the_same_money_alone() -> None:
    """A later answer about that money lifts it, so the payment of the money counts."""
    unreadable: dict[str, Any] = {"amount": None, "unreadable": ("amount",), "transaction_id": None}
    first, new = (paid(number, session_id=None, reference=f"strange-{number}", **unreadable) for number in (1, 2))
    assert counted(first, new=new, most=1).key == first.key
    other = paid(3, **unreadable, session_id="S-a", reference="strange-3")
    assert counted(first, new=other, most=1) == other


def test_what_a_pending_answer_says_of_the_amount_makes_it_no_other() -> None:
    first = pending("S-a", 1, amount=Decimal("99.00"))
    assert counted(first, new=pending("S-b", 2), most=1).key == first.key


def test_the_first_answer_that_names_the_session_of_a_lost_opening_is_kept_as_it_was() -> None:
    new = pending("S-b", 2)
    assert counted(pending(None, 1), new=new, most=1, opened=False, session_id=None) == new


def test_answers_are_counted_too_after_a_person_took_the_money() -> None:
    money, first = paid(1, amount=Decimal("99.00")), pending("S-a", 2)
    again = counted(money, first, new=pending("S-b", 3), most=2, settled=frozenset({money.key}), taken="T1")
    assert again.key == first.key


@pytest.mark.parametrize("session_id", ["S-001", None])
def test_new_money_is_kept_until_two_transactions_are_known(session_id: str | None) -> None:
    first, second, third = (paid(number, transaction_id=f"T{number}", session_id=session_id) for number in (1, 2, 3))
    assert counted(first, new=second, most=1) == second
    again = counted(first, second, new=third, most=1)
    assert (again.key, again.last_asked_at) == (first.key, third.last_asked_at)


# -- the fold ----------------------------------------------------------------------------------------------------------


MADE_UP = st.fixed_dictionaries(
    {},
    optional={
        "session_id": st.sampled_from(["S-001", "S-a", "S-b", None]),
        "transaction_id": st.sampled_from(["T1", "T2", "T3", "T4", None]),
        "reference": st.sampled_from(["order-1", "ORDER-1", "other", None]),
        "word": st.sampled_from(["A", "B"]),
    },
)


@given(
    account=st.sampled_from([PLAIN, PROVING, EXECUTING, CANDIDATES]),
    opened=st.booleans(),
    said=st.lists(st.tuples(spoken(None, "T1"), MADE_UP), min_size=1, max_size=12),
    most=st.integers(0, 3),
    settles=st.one_of(st.none(), st.tuples(st.integers(0, 11), st.sampled_from([PENDING, COMPLETED]))),
    data=st.data(),
)
def test_whatever_is_counted_away_the_fold_is_the_same(
    account: Account,
    opened: bool,
    said: list[tuple[Spoken, dict[str, str | None]]],
    most: int,
    settles: tuple[int, Status] | None,
    data: st.DataObject,
) -> None:
    bench = Bench(account)
    payment = bench.drive.new(opened=opened, session_id="S-001" if opened else None)
    always = bench.account.provider.capabilities.always
    few = all_of_them = Case(payment=payment)
    for place, (one, made_up) in enumerate(said):
        fact = _fact(one, made_up)
        if all_of_them.resolutions and fact.key in all_of_them.resolutions[-1].settled:
            continue  # repeated after a resolution; where it was merged, it is reported again
        few = _with(few, recorded_as(few, fact, always, most=most))
        all_of_them = _with(all_of_them, recorded_as(all_of_them, fact, always, most=100))
        assert fold(few, TakenKeys(), always) == fold(all_of_them, TakenKeys(), always)
        if settles is not None and settles[0] == place:
            few, all_of_them = (_resolved(case, settles[1]) for case in (few, all_of_them))


def _fact(one: Spoken, made_up: dict[str, Any]) -> Fact:
    asked, answered_at = NOON + timedelta(seconds=one.asked), NOON + timedelta(seconds=one.answered)
    fields = {"word": "ODD", "amount": Bench().drive.new().amount, "currency": "BDT"} | dict(one.fields) | made_up
    return Fact(
        answer=Answer(**{"status": one.status, **fields}),
        transaction_asked=one.by,
        first_asked_at=asked,
        first_answered_at=answered_at,
        last_asked_at=asked,
        last_answered_at=answered_at,
    )


def _with(case: Case, fact: Fact) -> Case:
    facts = {one.key: one for one in case.facts} | {fact.key: fact}
    return Case(payment=case.payment, facts=tuple(facts.values()), resolutions=case.resolutions)


def _resolved(case: Case, status: Status) -> Case:
    """The case with a resolution that covers every recorded Fact and every hold, and records no transaction."""
    settled = frozenset(fact.key for fact in case.facts) | frozenset(Hold)
    resolution = Resolution(
        at=NOON + timedelta(seconds=6), status=status, actor="rahima", reason="looked", settled=settled
    )
    return Case(payment=case.payment, facts=case.facts, resolutions=(*case.resolutions, resolution))
