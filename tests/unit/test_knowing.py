"""A gateway that makes up ids brings few Facts, and what the payment comes to is what all of them would make of it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from consumers.account import Account
from consumers.knowing import MOST_FACTS, recorded_as
from consumers.lifecycle import fold
from schemas.answers import Answer, Fact
from schemas.payments import Case, Owners, Resolution
from schemas.words import Hold, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive, answered
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING
from tests.unit.test_lifecycle import Bench, Spoken, spoken

COMPLETED, PENDING = Status.COMPLETED, Status.PENDING


async def asked_again_and_again(status: Status, name: str) -> tuple[Drive, str]:
    """The gateway makes up an id for each of its answers."""
    drive = Drive()
    drive.gateway = lambda inquiry: answered(inquiry, status, **{name: f"made-up-{len(drive.asked)}"})
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


async def test_money_after_many_answers_counts() -> None:
    drive, payment_id = await asked_again_and_again(PENDING, "transaction_id")
    drive.gateway = lambda inquiry: answered(inquiry, COMPLETED)
    await drive.hit(payment_id, source=Source.OPERATOR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (COMPLETED, None)
    assert len(drive.ledger.facts(payment_id)) <= MOST_FACTS + 1


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
            continue  # said again after a person settled it; where it was counted away, they are told of it once more
        few = _with(few, recorded_as(few, fact, always, most=most))
        all_of_them = _with(all_of_them, recorded_as(all_of_them, fact, always, most=100))
        assert fold(few, Owners(), always) == fold(all_of_them, Owners(), always)
        if settles is not None and settles[0] == place:
            few, all_of_them = (_settled(case, settles[1]) for case in (few, all_of_them))


def _fact(one: Spoken, made_up: dict[str, str | None]) -> Fact:
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


def _settled(case: Case, status: Status) -> Case:
    """As `resolving` does, of a transaction that all the answers before had in common or none."""
    settled = frozenset(fact.key for fact in case.facts) | frozenset(Hold)
    resolution = Resolution(
        at=NOON + timedelta(seconds=6), status=status, actor="rahima", reason="looked", settled=settled
    )
    return Case(payment=case.payment, facts=case.facts, resolutions=(*case.resolutions, resolution))
