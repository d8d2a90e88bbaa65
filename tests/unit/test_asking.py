"""The asking rule: what a claim costs, what answers it, and what a flood of claims cannot do."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.apply_claim import TOO_MANY
from consumers.checks.next_check import next_check, reschedule, start_question
from consumers.checks.planned_questions import Due, Trigger, next_due, unsigned_asks_used_up
from consumers.pipeline import AssignedQuestion
from consumers.ports.writes import Keys
from consumers.timing import TIMING
from schemas.answers import ForeignTransaction, Question, QuestionOutcome, Trouble
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.checks import Checks
from schemas.payments import Candidate, Payment
from schemas.words import EntryKind, EventType, Hold, QuestionKind, Said, Source, Status
from tests.fakes.drive import REPLY_SECONDS, TRANSIT_SECONDS, Drive, Gateway, answered, dead, executed, says, troubled
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING, SILENT, WORDLESS

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def verdicts(drive: Drive, payment_id: str) -> list[str]:
    return [one.data["verdict"] for one in drive.ledger.entries(payment_id) if one.kind is EntryKind.CLAIM]


# -- one question in flight --------------------------------------------------------------------------------------------


async def test_one_question_is_in_flight_at_a_time() -> None:
    drive = Drive()
    payment_id = await drive.open()
    first = await drive.take(drive.claim(payment_id, signed=True))
    drive.clock.advance(5)
    assert await drive.take(drive.claim(payment_id, signed=True)) == []
    assert await drive.take(drive.claim(payment_id, source=Source.OPERATOR)) == []
    assert await drive.take(drive.claim(payment_id, source=Source.SWEEP)) == []
    await drive.answer(first)
    assert len(await drive.publish(drive.claim(payment_id, source=Source.SWEEP))) == 1, "they came after it was asked"


async def test_two_claims_about_one_payment_in_one_batch_ask_once() -> None:
    drive = Drive()
    payment_id = await drive.open()
    assert len(await drive.publish(drive.claim(payment_id), drive.claim(payment_id, signed=True))) == 1


async def test_a_claim_by_the_path_of_another_account_asks_nothing() -> None:
    """Correlation ends at the account of the URL, also where the path could not be looked up before."""
    drive = Drive()
    payment_id = await drive.open()
    assert await drive.take(drive.claim(payment_id, signed=True, account=PROVING.id)) == []
    assert verdicts(drive, payment_id) == []
    strange, mine = drive.claim(payment_id, account=PROVING.id), drive.claim(payment_id)
    assert len(await drive.publish(strange, mine)) == 1
    assert len(verdicts(drive, payment_id)) == 1, "only its own is about it"


async def test_an_execute_and_its_lease_are_committed_before_the_gateway_is_called() -> None:
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    assert assigned.question.kind is QuestionKind.EXECUTE
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_asked_at) == ("kept", drive.clock.now)
    assert payment.lease_until == drive.clock.now + TIMING.execute_lease
    assert payment.next_check_at == payment.lease_until
    assert verdicts(drive, payment_id) == ["asks"]


async def test_a_status_question_and_what_made_it_come_are_recorded_with_its_reply() -> None:
    """Until then the claim is unacknowledged, and nothing of the question outlives its worker."""
    drive = Drive()
    payment_id = await drive.open()
    before = drive.payment(payment_id)
    in_flight = await drive.take(drive.claim(payment_id))
    assert (drive.payment(payment_id), verdicts(drive, payment_id)) == (before, [])
    await drive.answer(in_flight)
    assert verdicts(drive, payment_id) == ["asks"]
    assert drive.payment(payment_id).asked_at == in_flight[0].asked_at


async def test_when_whoever_asked_dies_the_question_is_asked_again() -> None:
    """Its claims are delivered again at once."""
    drive = Drive(dead)
    payment_id = await drive.open()
    await drive.hit(payment_id)
    drive.gateway = says(Status.COMPLETED)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2)
    assert drive.payment(payment_id).status is Status.COMPLETED
    first, again = drive.seconds(payment_id)
    assert again - first < 2


async def test_when_whoever_looked_for_the_schedule_dies_the_look_is_no_step_of_it() -> None:
    drive = Drive(dead)
    payment_id = await drive.open(lifetime=7 * 24 * HOUR)
    step = drive.payment(payment_id).step
    [first, *_] = CHECKS.pending
    await drive.wait(first + 0.5)
    assert (len(drive.asked), drive.payment(payment_id).step) == (1, step)
    drive.gateway = says(Status.PENDING)
    await drive.wait(2)
    assert (len(drive.asked), drive.payment(payment_id).step) == (2, step + 1)


async def test_whoever_stopped_is_waited_for_half_a_minute_and_then_others_ask() -> None:
    drive = Drive()
    payment_id = await drive.open()
    await drive.take(drive.claim(payment_id))
    drive.clock.advance(29)
    assert await drive.take(drive.claim(payment_id)) == []
    drive.clock.advance(1)
    assert len(await drive.take(drive.claim(payment_id))) == 1


async def test_a_reply_that_comes_after_another_question_began_counts_and_leaves_its_lease_alone() -> None:
    """It is a Fact like any other. Another question is in flight now."""
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    slow = await drive.take(drive.claim(payment_id))
    drive.clock.advance(31)
    (quick,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.gateway = says(Status.COMPLETED)
    await drive.answer(slow)
    payment = drive.payment(payment_id)
    assert payment.status is Status.COMPLETED
    assert payment.asked_at == quick.asked_at
    assert payment.lease_until == quick.asked_at + TIMING.execute_lease


# -- what answers a claim ----------------------------------------------------------------------------------------------


async def test_a_claim_received_before_an_answered_question_is_free() -> None:
    drive = Drive()
    payment_id = await drive.open()
    waiting = [drive.claim(payment_id, signed=True), drive.claim(payment_id)]
    drive.clock.advance(1)
    await drive.hit(payment_id)
    drive.clock.advance(10)
    assert await drive.publish(*waiting) == []
    assert verdicts(drive, payment_id) == ["asks", "answered already", "answered already"]


async def test_a_claim_received_at_the_moment_of_the_question_is_not_answered_by_it() -> None:
    """Only a question asked after the claim was received answers it."""
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id)
    await drive.hit(payment_id, received_at=drive.payment(payment_id).asked_at)
    assert verdicts(drive, payment_id) == ["asks", "asks"]


@pytest.mark.parametrize("ahead", [TRANSIT_SECONDS, 2.0])
async def test_a_claim_of_a_process_whose_clock_is_ahead_is_answered_by_the_question_that_it_brings(
    ahead: float,
) -> None:
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id, signed=True, received_at=drive.clock.now + timedelta(seconds=ahead))
    await drive.wait(10)
    assert len(drive.asked) == 1


@pytest.mark.parametrize("trouble", Trouble)
async def test_an_inconclusive_reply_answers_nothing_and_is_no_failure(trouble: Trouble) -> None:
    drive = Drive(troubled(trouble))
    payment_id = await drive.open()
    await drive.hit(payment_id, signed=True)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.checked_at) == (Status.PENDING, None, None)
    assert drive.ledger.facts(payment_id) == ()
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(3)
    assert drive.payment(payment_id).status is Status.COMPLETED


@pytest.mark.parametrize("source", [Source.RETURN, Source.IPN, Source.WEBHOOK, Source.OPERATOR])
async def test_a_claim_about_a_closed_payment_is_asked_again_when_the_gateway_was_away(source: Source) -> None:
    """Late money: the schedule has run through, so the claim alone brings the next question."""
    drive = Drive(says(Status.EXPIRED))
    payment_id = await drive.open()
    await drive.wait(timedelta(days=3))
    drive.gateway = troubled(Trouble.NO_REPLY)
    await drive.hit(payment_id, source=source, signed=source is Source.WEBHOOK)
    await drive.wait(60)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(timedelta(minutes=5))
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, True)


async def test_an_unanswered_claim_is_not_asked_about_for_ever() -> None:
    drive = Drive(says(Status.EXPIRED))
    payment_id = await drive.open()
    await drive.wait(timedelta(days=3))
    drive.gateway = troubled(Trouble.KEY_REFUSED)
    await drive.hit(payment_id)
    await drive.wait(timedelta(days=60))
    assert drive.payment(payment_id).next_check_at is None
    assert drive.told(payment_id) == ["payment.expired"], "a closed payment is never held as unresolved"


# -- who asks when -----------------------------------------------------------------------------------------------------


async def test_a_signed_claim_asks_at_once() -> None:
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id)
    drive.clock.advance(0.5)
    assert len(await drive.hit(payment_id, signed=True, event_id="E1")) == 1


async def test_a_signed_event_asks_once() -> None:
    """Once per gateway event id, whatever the claim's id."""
    drive = Drive()
    payment_id = await drive.open()
    assert len(await drive.hit(payment_id, signed=True, event_id="E1")) == 1
    drive.clock.advance(60)
    assert await drive.hit(payment_id, signed=True, event_id="E1") == []
    assert len(await drive.hit(payment_id, signed=True, event_id="E2")) == 1
    assert verdicts(drive, payment_id) == ["asks", "repeated", "asks"]


async def test_an_unsigned_claim_does_not_use_up_an_event_id() -> None:
    """A stranger may guess or replay it; the gateway's own message still counts."""
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id, event_id="E1")
    drive.clock.advance(0.5)
    assert len(await drive.hit(payment_id, signed=True, event_id="E1")) == 1


async def test_the_same_claim_delivered_again_asks_nothing() -> None:
    drive = Drive()
    payment_id = await drive.open()
    claim = drive.claim(payment_id, Said.SUCCESS, signed=True)
    await drive.publish(claim)
    drive.clock.advance(1)
    assert await drive.publish(claim) == []


async def test_the_same_claim_twice_in_one_batch_is_one() -> None:
    drive = Drive()
    payment_id = await drive.open()
    claim = drive.claim(payment_id)
    await drive.publish(claim, claim)
    assert verdicts(drive, payment_id) == ["asks"]


async def test_an_operator_asks_at_once_and_every_time() -> None:
    drive = Drive()
    payment_id = await drive.open()
    for _ in range(15):
        assert len(await drive.hit(payment_id, source=Source.OPERATOR)) == 1
        drive.clock.advance(0.1)


async def test_an_unsigned_claim_waits_until_two_seconds_after_the_last_question() -> None:
    """Two seconds are `claimed[0]`."""
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id)
    drive.clock.advance(0.5)
    assert await drive.hit(payment_id) == []
    await drive.wait(10)
    assert drive.seconds(payment_id) == [0, 2]


async def test_an_unsigned_claim_long_after_the_last_question_asks_at_once() -> None:
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id)
    await drive.wait(30)
    assert len(await drive.hit(payment_id)) == 1


async def test_a_thousand_hits_in_a_second_cost_two_questions() -> None:
    drive = Drive()
    payment_id = await drive.open()
    for _ in range(100):
        await drive.publish(*(drive.claim(payment_id, Said.CANCEL) for _ in range(10)))
        drive.clock.advance(0.0065)
    await drive.wait(60)
    assert drive.seconds(payment_id) == [0, 2]


@pytest.mark.parametrize("account", [PLAIN, PROVING, EXECUTING], ids=lambda account: account.id)
async def test_a_flood_costs_ten_questions_an_hour_beside_the_schedule(account: Account) -> None:
    drive = Drive()
    payment_id = await drive.open(account, lifetime=timedelta(hours=5))
    opened = drive.clock.now
    while drive.clock.now < opened + timedelta(hours=3):
        await drive.hit(payment_id, Said.FAILURE)
        await drive.wait(5)
    asked = [one for one in drive.ledger.entries(payment_id) if one.kind is EntryKind.QUESTION]
    hints = [one.at for one in asked if one.data["trigger"] == "hint"]
    hours = [opened + timedelta(hours=hour) for hour in range(3)]
    assert [sum(hour <= at < hour + timedelta(hours=1) for at in hints) for hour in hours] == [10, 10, 10]
    for at in hints:
        assert sum(at <= other < at + timedelta(hours=1) for other in hints) <= 10
    assert len(asked) - len(hints) <= 8, "the schedule of a quiet payment"


async def test_a_flood_does_not_delay_a_signed_claim() -> None:
    drive = Drive()
    payment_id = await drive.open()
    for _ in range(30):
        await drive.hit(payment_id)
        await drive.wait(3)
    drive.gateway = says(Status.COMPLETED)
    await drive.hit(payment_id, signed=True, event_id="E1")
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_claim_about_no_payment_we_know_is_recorded_and_asks_nothing() -> None:
    drive = Drive()
    payment_id = await drive.open()
    stray = drive.claim(payment_id, payment_id=None, reference="order-of-nobody")
    assert await drive.publish(stray) == []
    assert await drive.publish(drive.claim(payment_id, account="proving")) == [], "another account's"
    assert drive.ledger.entries(payment_id)[1:] == ()


# -- what success starts -----------------------------------------------------------------------------------------------


async def test_a_claim_of_success_starts_the_claimed_schedule() -> None:
    """2 s, 5 s, 15 s, 1 m, then 5 m again and again, each since the last question."""
    drive = Drive()
    payment_id = await drive.open(lifetime=timedelta(days=2))
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(timedelta(minutes=12))
    gaps = [later - earlier for earlier, later in pairwise(drive.seconds(payment_id))]
    assert gaps == [2, 5, 15, 60, 300, 300]


async def test_a_real_buyer_waits_two_seconds() -> None:
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(2.5)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_no_claim_restarts_the_claimed_schedule() -> None:
    drive = Drive()
    payment_id = await drive.open(lifetime=timedelta(days=2))
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(timedelta(minutes=20))
    step = drive.payment(payment_id).step
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).step >= step
    before = len(drive.asked)
    await drive.wait(timedelta(minutes=4))
    assert len(drive.asked) == before


async def test_an_earlier_claim_of_success_that_is_taken_later_takes_nothing_from_the_later_one() -> None:
    """The later claim was never processed, so the clock does not close the payment."""
    drive = Drive()
    payment_id = await drive.open()
    delayed = drive.claim(payment_id, Said.SUCCESS)
    await drive.wait(5)
    await drive.hit(payment_id)
    drive.gateway = troubled(Trouble.NOT_FOUND)
    await drive.wait(5)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.publish(delayed)
    await drive.wait(2 * HOUR)
    assert drive.told(payment_id) == []


@pytest.mark.parametrize("sender", ["gateway", "buyer", "stranger"])
async def test_an_earlier_claim_that_is_taken_later_takes_no_question_from_the_later_one(sender: str) -> None:
    drive = Drive()
    payment_id = await drive.open()

    def claim() -> Claim:
        drive.clock.advance(1)
        return (
            by_reference(drive, payment_id)
            if sender == "stranger"
            else drive.claim(payment_id, signed=sender == "gateway")
        )

    delayed = claim()
    in_flight = await drive.take(claim())
    await drive.take(claim())
    await drive.take(delayed)
    await drive.answer(in_flight)
    await drive.wait(5)
    assert len(drive.asked) == 2, "the question in flight came before the last claim"


@pytest.mark.parametrize("said", [Said.FAILURE, Said.CANCEL, None])
async def test_any_other_word_leaves_the_schedule_as_it_is(said: Said | None) -> None:
    drive = Drive()
    payment_id = await drive.open()
    await drive.hit(payment_id, said)
    await drive.wait(100)
    assert drive.seconds(payment_id) == [0]
    assert drive.payment(payment_id).schedule == "pending"


async def test_what_a_claim_said_never_becomes_the_status() -> None:
    drive = Drive()
    payment_id = await drive.open()
    for said in Said:
        await drive.hit(payment_id, said, signed=True)
        drive.clock.advance(10)
    assert drive.payment(payment_id).status is Status.PENDING
    assert drive.told(payment_id) == []


async def test_where_nobody_can_be_asked_a_success_is_held_for_a_person() -> None:
    """The payment is held as `unverifiable`."""
    drive = Drive()
    payment_id = await drive.open(SILENT)
    assert await drive.hit(payment_id, Said.CANCEL) == []
    assert drive.payment(payment_id).hold is None
    assert await drive.hit(payment_id, Said.SUCCESS) == []
    assert drive.payment(payment_id).hold is Hold.UNVERIFIABLE
    assert drive.told(payment_id) == ["payment.held"]


# -- the gateway's own wishes ------------------------------------------------------------------------------------------


async def test_retry_after_is_waited_for() -> None:
    drive = Drive(troubled(Trouble.RATE_LIMITED, retry_after=45))
    payment_id = await drive.open()
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = says(Status.COMPLETED)
    drive.clock.advance(5)
    assert await drive.hit(payment_id, signed=True, event_id="E1") == [], "not even for a signed claim"
    await drive.wait(60)
    assert drive.seconds(payment_id) == [0, 45.3]
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_retry_after_of_days_is_cut_to_minutes() -> None:
    drive = Drive(troubled(Trouble.RATE_LIMITED, retry_after=10**9))
    payment_id = await drive.open()
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = says(Status.PENDING)
    await drive.wait(timedelta(minutes=61))
    assert drive.seconds(payment_id)[:2] == [0, 300.3]


# -- asked by transaction (Moneybag) -----------------------------------------------------------------------------------


def by_transaction(**statuses: Status) -> Gateway:
    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        return answered(assigned, statuses[assigned.question.transaction_id or ""])

    return gateway


async def test_without_a_transaction_there_is_nothing_to_ask() -> None:
    drive = Drive()
    payment_id = await drive.open(CANDIDATES)
    assert await drive.hit(payment_id, Said.SUCCESS) == []
    assert await drive.hit(payment_id, source=Source.OPERATOR) == []


@pytest.mark.parametrize("signed", [True, False])
async def test_an_answered_claim_about_a_transaction_costs_one_question(signed: bool) -> None:
    drive = Drive(by_transaction(T1=Status.PENDING, T2=Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    for transaction_id in ("T1", "T2", "T2", "T1"):
        asked = await drive.hit(payment_id, signed=signed, transaction_id=transaction_id)
        assert [one.question.transaction_id for one in asked] == [transaction_id]
        await drive.wait(62)


async def test_each_transaction_is_its_own_question_and_any_that_fits_completes() -> None:
    drive = Drive(by_transaction(T1=Status.FAILED, T2=Status.COMPLETED))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.FAILURE, transaction_id="T1")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T2")
    await drive.wait(3)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.transaction_id) == (Status.COMPLETED, None, "T2")


async def test_an_id_that_came_during_a_question_about_another_is_not_answered_by_it() -> None:
    """A Fact of the same question."""
    drive = Drive(by_transaction(T1=Status.PENDING, T2=Status.COMPLETED))
    payment_id = await drive.open(CANDIDATES)
    first = drive.claim(payment_id, transaction_id="T1")
    second = drive.claim(payment_id, transaction_id="T2")
    drive.clock.advance(1)
    await drive.publish(first)
    await drive.publish(second)
    await drive.wait(3)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_signed_claim_about_a_known_transaction_asks_about_that_one() -> None:
    """The payment was paid by T1 and now a second time by T2, which was only pending when asked before."""
    drive = Drive(by_transaction(T1=Status.COMPLETED, T2=Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, signed=True, event_id="E1", transaction_id="T1")
    await drive.hit(payment_id, signed=True, event_id="E2", transaction_id="T2")
    await drive.wait(60)
    drive.gateway = by_transaction(T1=Status.COMPLETED, T2=Status.COMPLETED)
    await drive.hit(payment_id, Said.SUCCESS, signed=True, event_id="E3", transaction_id="T2")
    assert drive.asked[-1].question.transaction_id == "T2"
    assert drive.payment(payment_id).hold is Hold.DUPLICATE_FOR_ORDER


async def test_a_claim_about_one_transaction_is_not_answered_by_a_question_about_another() -> None:
    """It was received before T1 was asked about, and it is about T2."""
    drive = Drive(by_transaction(T1=Status.PENDING, T2=Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, signed=True, event_id="E1", transaction_id="T2")
    drive.clock.advance(10)
    late = drive.claim(payment_id, signed=True, event_id="E3", transaction_id="T2")
    drive.clock.advance(1)
    await drive.hit(payment_id, signed=True, event_id="E2", transaction_id="T1")
    drive.gateway = by_transaction(T1=Status.PENDING, T2=Status.COMPLETED)
    await drive.publish(late)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_claim_is_answered_by_the_question_about_its_own_transaction_and_no_other() -> None:
    drive = Drive(by_transaction(T1=Status.PENDING, T2=Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    claims = [drive.claim(payment_id, transaction_id=one) for one in ("T1", "T2", "T1")]
    drive.clock.advance(1)
    for claim in claims:
        await drive.publish(claim)
    assert verdicts(drive, payment_id) == ["asks", "asks", "answered already"]


async def test_a_second_transaction_is_asked_about_again_when_the_gateway_failed_after_the_first_had_paid() -> None:
    """The buyer paid twice: the money of T2 is not missed because the question about it met an outage."""
    drive = Drive(paid_by_the_transaction_asked)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    drive.gateway = troubled()
    await drive.wait(10)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T2")
    drive.gateway = paid_by_the_transaction_asked
    await drive.wait(60)
    assert drive.payment(payment_id).hold is Hold.DUPLICATE_FOR_ORDER
    assert drive.told(payment_id) == [EventType.COMPLETED, EventType.HELD]


def paid_by_the_transaction_asked(assigned: AssignedQuestion) -> QuestionOutcome:
    return answered(assigned, Status.COMPLETED, transaction_id=assigned.question.transaction_id)


# -- who asks: the payment's own path, our reference alone, a return without a word ------------------------------------


def by_reference(drive: Drive, payment_id: str, said: Said | None = None) -> Claim:
    """A claim that knows only our reference."""
    reference = drive.payment(payment_id).reference
    return drive.claim(payment_id, said, payment_id=None, reference=reference)


async def test_ten_hits_by_a_guessed_reference_leave_the_buyer_theirs() -> None:
    drive = Drive()
    payment_id = await drive.open(WORDLESS)
    for _ in range(30):
        await drive.publish(by_reference(drive, payment_id))
        await drive.wait(2.5)
    asked = len(drive.asked)
    assert await drive.hit(payment_id), "the buyer's own hit asks at once"
    payment = drive.payment(payment_id)
    assert (len(payment.referred_asks), len(payment.hint_asks)) == (10, 1)
    assert asked <= 12


async def test_a_session_that_the_gateway_issued_is_as_good_as_the_payments_path() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    session = drive.payment(payment_id).session_id
    await drive.publish(drive.claim(payment_id, payment_id=None, session_id=session))
    await drive.publish(drive.claim(payment_id, payment_id=None, session_id="S-made-up", reference="order-1"))
    await drive.wait(3)
    payment = drive.payment(payment_id)
    assert (len(payment.hint_asks), len(payment.referred_asks)) == (1, 1)


@pytest.mark.parametrize(
    ("knows", "own"),
    [
        ({}, False),
        ({"payment_id": "pay_00000000000000000000000001"}, True),
        ({"source": Source.WEBHOOK}, True),
        ({"session_id": "S-001"}, True),
        ({"session_id": "S-replaced"}, True),
        ({"session_id": "S-made-up"}, False),
        ({"transaction_id": "T1"}, True),
        ({"transaction_id": "T-made-up"}, False),
    ],
    ids=str,
)
async def test_whoever_knows_more_than_our_reference_has_the_allowance_of_the_buyer(
    knows: dict[str, Any], *, own: bool
) -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    async with drive.ledger.batch([payment_id]) as batch:
        payment = replace(drive.payment(payment_id), aliases=("S-replaced",), transaction_id="T1")
        await batch.reserve([Keys.of(payment, transactions=["T1"])])
        await batch.store([Change(payment=payment)])
        await batch.commit()
    await drive.publish(drive.claim(payment_id, **({"payment_id": None, "reference": "order-1"} | knows)))
    payment = drive.payment(payment_id)
    assert (len(payment.hint_asks), len(payment.referred_asks)) == ((1, 0) if own else (0, 1))


async def test_a_transaction_that_the_gateway_knows_is_as_good_as_the_payments_path() -> None:
    drive = Drive(by_transaction(T1=Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    for _ in range(2):
        await drive.publish(drive.claim(payment_id, payment_id=None, reference="order-1", transaction_id="T1"))
        await drive.wait(60)
    payment = drive.payment(payment_id)
    assert (len(payment.hint_asks), len(payment.referred_asks)) == (1, 1)


async def test_a_claim_that_waited_for_its_payment_uses_no_hourly_allowance() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    for _ in range(10):
        await drive.hit(payment_id)
        await drive.wait(3)
    assert await drive.hit(payment_id) == []
    assert await drive.hit(payment_id, kept=True)
    assert verdicts(drive, payment_id)[-2:] == [TOO_MANY, "asks"]


@pytest.mark.parametrize(
    "other", [{"source": Source.IPN}, {"said": Said.CANCEL}, {"payment_id": None, "reference": "order-1"}], ids=str
)
async def test_nothing_but_a_wordless_return_on_the_payments_path_counts_as_the_buyer_who_came_back(
    other: dict[str, Any],
) -> None:
    drive = Drive()
    payment_id = await drive.open(WORDLESS)
    await drive.publish(drive.claim(payment_id, **other))
    await drive.wait(60)
    assert len(drive.asked) == 1


async def test_a_buyer_who_comes_back_without_a_word_is_asked_about_closely_once() -> None:
    """`claimed` runs through once, then `pending` goes on."""
    drive = Drive()
    payment_id = await drive.open(WORDLESS)
    await drive.wait(10)
    await drive.hit(payment_id)
    await drive.wait(HOUR)
    asked = [round(at - 10) for at in drive.seconds(payment_id)]
    assert asked[:6] == [0, 2, 7, 22, 82, 382]
    assert asked[6] - asked[5] in range(118, 123), "and from there every two minutes and more"
    before = len(drive.asked)
    await drive.hit(payment_id)
    await drive.wait(60)
    assert len(drive.asked) == before + 1, "a second return asks, and runs through nothing"


async def test_a_return_to_the_own_path_is_asked_about_closely_once_more_after_one_by_reference() -> None:
    """Otherwise a stranger who guessed the reference an hour before would have used it up.

    No other claim restarts it.
    """
    drive = Drive()
    payment_id = await drive.open(WORDLESS, lifetime=3 * HOUR)

    async def closely(*claims: Claim) -> bool:
        before = len(drive.asked)
        await drive.publish(*claims)
        await drive.wait(30)
        return len(drive.asked) - before >= 4

    assert await closely(by_reference(drive, payment_id, Said.SUCCESS))
    await drive.wait(20 * MINUTE)
    assert not await closely(by_reference(drive, payment_id, Said.SUCCESS))
    assert await closely(drive.claim(payment_id))
    payment = drive.payment(payment_id)
    assert (payment.returned_by, payment.returned_through) == ("own", False)
    await drive.wait(20 * MINUTE)
    assert not await closely(drive.claim(payment_id))
    assert not await closely(by_reference(drive, payment_id, Said.SUCCESS))


async def test_a_buyer_who_comes_back_after_a_stranger_said_success_is_asked_about_closely_too() -> None:
    drive = Drive()
    payment_id = await drive.open(WORDLESS, lifetime=3 * HOUR)
    await drive.publish(by_reference(drive, payment_id, Said.SUCCESS))
    await drive.wait(30 * MINUTE)
    before = len(drive.asked)
    await drive.hit(payment_id)
    await drive.wait(30)
    assert len(drive.asked) - before == 4


async def test_a_return_without_a_word_holds_nothing_and_keeps_nothing_open() -> None:
    drive = Drive()
    payment_id = await drive.open(WORDLESS)
    await drive.hit(payment_id)
    drive.gateway = troubled(Trouble.NOT_FOUND)
    await drive.wait(HOUR)
    assert drive.told(payment_id) == [EventType.EXPIRED]


async def test_elsewhere_a_return_without_a_word_asks_once() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id)
    await drive.wait(60)
    assert len(drive.asked) == 1


async def test_a_success_by_reference_alone_is_asked_about_closely_once_and_keeps_nothing_open() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.publish(by_reference(drive, payment_id, Said.SUCCESS))
    await drive.wait(60)
    assert len(drive.asked) >= 4
    drive.gateway = troubled(Trouble.NOT_FOUND)
    await drive.wait(HOUR)
    assert drive.told(payment_id) == [EventType.EXPIRED]


async def test_a_success_by_reference_alone_wishes_for_no_execute_and_uses_up_none_of_its_tries() -> None:
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    for _ in range(30):
        await drive.publish(by_reference(drive, payment_id, Said.SUCCESS))
        await drive.wait(3)
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_tries) == (None, 0)


async def test_the_first_success_on_the_payments_path_begins_the_close_questions_anew_and_no_other_does() -> None:
    """Otherwise a stranger who guessed the reference an hour before would have used them up."""
    drive = Drive()
    payment_id = await drive.open(PLAIN, lifetime=3 * HOUR)
    await drive.publish(by_reference(drive, payment_id, Said.SUCCESS))
    await drive.wait(30 * MINUTE)
    for first in (True, False):
        before = len(drive.asked)
        await drive.hit(payment_id, Said.SUCCESS)
        await drive.wait(30)
        assert (len(drive.asked) - before >= 4) == first
        await drive.wait(10 * MINUTE)


async def test_a_claim_about_an_unresolved_payment_that_met_a_bad_gateway_is_asked_about_until_it_is_answered() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(timedelta(days=20))
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.hit(payment_id, signed=True, source=Source.WEBHOOK)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(60)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_gateway_that_asks_for_a_day_of_silence_is_asked_again_within_minutes() -> None:
    drive = Drive(troubled(Trouble.SERVER_ERROR, retry_after=86_400))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id)
    drive.gateway = says(Status.COMPLETED)
    await drive.hit(payment_id, Said.SUCCESS, signed=True)
    await drive.wait(310)
    assert drive.payment(payment_id).status is Status.COMPLETED


# -- to the moment -----------------------------------------------------------------------------------------------------

INSTANT = timedelta(microseconds=1)
CHECKS = Checks()


def row(**fields: Any) -> tuple[Payment, datetime]:
    """An opened payment, and the moment of its opening."""
    payment = Drive().new(PLAIN, opened=True, session_id="S-1", **fields)
    return payment, payment.opened_at


@pytest.mark.parametrize(
    ("asks", "comes"),
    [
        ([], timedelta(seconds=2)),
        ([timedelta(seconds=-number) for number in range(9, 0, -1)], timedelta(seconds=2)),
        ([timedelta(seconds=-number) for number in range(10, 0, -1)], HOUR - timedelta(seconds=10)),
        ([timedelta(seconds=-number) for number in range(12, 0, -1)], HOUR - timedelta(seconds=10)),
        ([-HOUR + timedelta(seconds=2)] * 10, timedelta(seconds=2)),
        ([-HOUR + timedelta(seconds=2) + INSTANT] * 10, timedelta(seconds=2) + INSTANT),
    ],
)
@pytest.mark.parametrize("trigger", ["hint", "reference"])
def test_an_unsigned_claim_asks_two_seconds_after_the_last_question_and_ten_times_in_any_hour(
    asks: list[timedelta], comes: timedelta, trigger: str
) -> None:
    """Counted from the last question; each kind has its own ten."""
    payment, at = row(schedule="pending")
    before = tuple(at + ask for ask in asks)
    heard_at = at + timedelta(seconds=1)
    payment = replace(payment, asked_at=at)
    if trigger == "hint":
        payment = replace(payment, hinted_at=heard_at, hint_asks=before)
    else:
        payment = replace(payment, referred_at=heard_at, referred_asks=before)
    due = next_due(payment, PLAIN.capabilities, CHECKS)
    assert due is not None
    if comes < 2 * MINUTE:
        assert (due.at, due.trigger) == (at + comes, trigger)
    else:
        assert (due.at, due.trigger) == (at + 2 * MINUTE, "schedule")
        later = next_due(replace(payment, schedule=None, expires_at=at + 2 * HOUR), PLAIN.capabilities, CHECKS)
        assert later is not None
        assert (later.at, later.trigger) == (at + comes, trigger)


@pytest.mark.parametrize(("number", "used_up"), [(9, False), (10, True)])
def test_ten_questions_within_the_hour_use_up_what_a_kind_of_claim_may_ask(number: int, used_up: bool) -> None:
    quiet, at = row()
    asks = tuple(at + timedelta(seconds=one) for one in range(number))
    over = at + HOUR
    for own, payment in ((True, replace(quiet, hint_asks=asks)), (False, replace(quiet, referred_asks=asks))):
        assert unsigned_asks_used_up(payment, over - INSTANT, own=own) == used_up
        assert not unsigned_asks_used_up(payment, over, own=own), "the first of them was an hour ago"
        assert not unsigned_asks_used_up(payment, over - INSTANT, own=not own)


@pytest.mark.parametrize(
    ("wait", "longest"),
    [(MINUTE - INSTANT, timedelta()), (MINUTE, timedelta(seconds=6)), (60 * HOUR, 10 * MINUTE)],
)
def test_a_look_a_minute_away_or_more_comes_later_by_chance(wait: timedelta, longest: timedelta) -> None:
    """So that payments opened together are not asked about together: by a tenth here, and by ten minutes at most."""
    payment, at = row()
    payment = replace(payment, lease_until=at + wait)  # only this brings the next look
    named = [replace(payment, id=f"pay_{number * number}") for number in range(50)]
    looks = [reschedule(one, PLAIN.capabilities, CHECKS, at, 0.1).next_check_at for one in named]
    late = [look - (at + wait) for look in looks if look is not None]
    assert len(late) == 50
    assert timedelta() <= min(late) <= longest / 4
    assert longest / 2 <= max(late) <= longest
    assert reschedule(payment, PLAIN.capabilities, CHECKS, at).next_check_at == at + wait


async def test_looks_come_later_by_the_chance_that_the_rules_give_them() -> None:
    prompt, later = Drive(), Drive()
    later.rules = replace(later.rules, jitter=0.5)
    looks = []
    for drive in (prompt, later):
        payment_id = await drive.open()
        await drive.hit(payment_id)
        looks.append(drive.payment(payment_id).next_check_at)
    assert looks[0] is not None
    assert looks[1] is not None
    assert looks[0] < looks[1]


def test_what_the_gateway_wants_left_in_peace_is_asked_about_at_that_moment_and_not_before() -> None:
    payment, at = row(schedule="pending")
    urgent = replace(payment, urgent_at=at + MINUTE, not_before=at + MINUTE)
    for not_before, comes in ((30 * INSTANT, MINUTE), (MINUTE, MINUTE), (MINUTE + INSTANT, MINUTE + INSTANT)):
        due = next_due(replace(urgent, not_before=at + not_before), PLAIN.capabilities, CHECKS)
        assert due is not None
        assert (due.at, due.trigger) == (at + comes, "urgent")


@pytest.mark.parametrize(
    ("trigger", "counts"),
    [
        ("urgent", (0, 0, 0, False)),
        ("hint", (0, 1, 0, False)),
        ("reference", (0, 0, 1, False)),
        ("wish", (0, 0, 0, True)),
        ("schedule", (1, 0, 0, False)),
    ],
)
def test_what_a_question_uses_up(trigger: Trigger, counts: tuple[int, int, int, bool]) -> None:
    """A step of the schedule, one of the ten hints of its kind, or the wait of a wish."""
    payment, at = row(schedule="pending")
    payment = replace(payment, execute_waits_until=at + HOUR, not_before=at)
    after = start_question(payment, Question(), Due(at=at, trigger=trigger), CHECKS, at)
    assert (after.asked_at, after.lease_until, after.not_before) == (at, None, None)
    used = (after.step, len(after.hint_asks), len(after.referred_asks), after.execute_waits_until is None)
    assert used == counts


def test_a_question_that_is_asked_again_uses_up_no_step() -> None:
    """Its worker died, or the look before brought nothing."""
    payment, at = row(schedule="closed", step=1)
    due = Due(at=at, trigger="schedule")
    assert start_question(payment, Question(), due, CHECKS, at).step == 2
    assert start_question(replace(payment, lease_until=at), Question(), due, CHECKS, at).step == 1
    missed = replace(payment, missed_at=at - HOUR, missed_step=1, asked_at=at - HOUR)
    assert start_question(missed, Question(), due, CHECKS, at).step == 1


def test_a_look_that_was_missed_at_the_very_moment_when_asking_ends_is_not_made_up_for() -> None:
    payment, at = row(schedule="pending", missed_step=0)
    over = at + timedelta(seconds=CHECKS.give_up)
    missed = replace(payment, missed_at=over - HOUR, asked_at=over)
    assert next_due(missed, PLAIN.capabilities, CHECKS) is None


def test_a_question_whose_worker_died_is_due_when_its_lease_ends() -> None:
    """About the same id as before, whether the gateway knows that id or not."""
    payment, at = row(lease_until=None)
    new = Candidate(transaction_id="T1", signed=True, asked_at=at)
    known = replace(new, state="confirmed")
    for account, lost, about in (
        (PLAIN, payment, None),
        (CANDIDATES, replace(payment, candidates=(new,)), "T1"),
        (CANDIDATES, replace(payment, candidates=(known,)), "T1"),
    ):
        due = next_due(replace(lost, lease_until=at + INSTANT, asked_at=at), account.capabilities, CHECKS)
        assert due == Due(at=at + INSTANT, trigger="schedule", transaction_id=about)


def test_a_wish_that_waits_for_its_order_is_looked_at_as_a_wish() -> None:
    payment, at = row(execute_state="wanted", schedule="pending")
    payment = replace(payment, execute_waits_until=at + INSTANT)
    assert next_due(payment, EXECUTING.capabilities, CHECKS) == Due(at=at + INSTANT, trigger="wish")


@pytest.mark.parametrize(
    ("own", "signed", "trigger"),
    [(True, True, "schedule"), (True, False, "schedule"), (False, True, "schedule"), (False, False, "reference")],
)
def test_an_id_by_reference_alone_is_asked_about_within_what_its_kind_may_ask(
    own: bool, signed: bool, trigger: Trigger
) -> None:
    payment, at = row()
    one = Candidate(transaction_id="T1", own=own, signed=signed, heard_at=at, asked_at=at, step=1)
    due = next_due(replace(payment, candidates=(one,), asked_at=at), CANDIDATES.capabilities, CHECKS)
    assert due == Due(at=at + timedelta(seconds=5), trigger=trigger, transaction_id="T1", alone=True)


def test_of_ids_that_are_due_at_this_very_moment_the_urgent_one_goes_first() -> None:
    payment, at = row()
    ids = (
        Candidate(transaction_id="T1", signed=False, heard_at=at, hinted_at=at),
        Candidate(transaction_id="T2", signed=True, heard_at=at, urgent_at=at),
    )
    due = next_due(replace(payment, candidates=ids), CANDIDATES.capabilities, CHECKS, at)
    assert due == Due(at=at, trigger="urgent", transaction_id="T2")


@pytest.mark.parametrize(
    ("fields", "looks"),
    [
        ({"status": Status.EXPIRED, "execute_state": "kept", "execute_asked_at": timedelta()}, MINUTE),
        ({"status": Status.EXPIRED, "execute_state": "wanted", "execute_asked_at": timedelta()}, None),
        ({"status": Status.EXPIRED, "execute_state": "kept"}, None),
        ({"execute_state": "kept", "execute_asked_at": timedelta()}, 32 * MINUTE),
        ({}, 32 * MINUTE),
        ({"holds": (Hold.UNVERIFIABLE,)}, 7 * 24 * HOUR),
        ({"success_at": timedelta()}, 7 * 24 * HOUR),
        ({"candidate_dropped": True}, 7 * 24 * HOUR),
        ({"holds": (Hold.UNRESOLVED,)}, None),
        ({"lease_until": MINUTE}, MINUTE),
    ],
)
def test_when_the_sweep_looks_where_there_is_nothing_to_ask(fields: dict[str, Any], looks: timedelta | None) -> None:
    """To free an order, to close it where nothing prevents that, and to give up. Counted from the opening."""
    payment, at = row()
    since = {key: at + value for key, value in fields.items() if isinstance(value, timedelta)}
    look = next_check(replace(payment, **(fields | since)), SILENT.capabilities, CHECKS)
    assert look == (None if looks is None else at + looks)


async def test_a_question_follows_the_trace_of_the_first_claim_and_an_event_that_of_the_reply() -> None:
    drive = Drive()
    payment_id = await drive.open()
    claims = [drive.claim(payment_id, traceparent=name) for name in ("first", "second")]
    [assigned] = await drive.take(*claims)
    assert assigned.traceparent == "first"
    reply = drive.reply(assigned, answered(assigned, Status.COMPLETED))
    await drive.record([replace(reply, traceparent="reply")])
    assert drive.ledger.events_of(payment_id)[-1].traceparent == "reply"


# -- what the timeline says of it --------------------------------------------------------------------------------------


async def test_the_timeline_shows_all_that_a_claim_said_what_was_asked_and_what_was_answered() -> None:
    drive = Drive(says(None, word="FROZEN", refunded_amount=Decimal(5), unreadable=("amount",)))
    payment_id = await drive.open(CANDIDATES)
    ids = {"session_id": "S-001", "reference": "order-1", "transaction_id": "T1"}
    claim = drive.claim(payment_id, Said.SUCCESS, source=Source.WEBHOOK, event_type="paid", note="late", **ids)
    [assigned] = await drive.publish(claim)
    heard, asked, answer = drive.ledger.entries(payment_id)[1:4]
    assert (heard.kind, heard.at, asked.at) == (EntryKind.CLAIM, claim.received_at, assigned.asked_at)
    assert heard.data == ids | {
        "claim_id": claim.id,
        "source": "webhook",
        "authenticity": "unsigned",
        "said": "success",
        "event_type": "paid",
        "note": "late",
        "verdict": "asks",
    }
    assert asked.data == {"question": "status", "transaction_asked": "T1", "trigger": "hint"}
    assert answer.data == ids | {
        "question": "status",
        "transaction_asked": "T1",
        "status": "unmapped",
        "word": "FROZEN",
        "amount": "100.00",
        "currency": "BDT",
        "refunded_amount": "5.00",
        "unreadable": ["amount"],
        "seconds": REPLY_SECONDS,
    }


async def test_the_timeline_shows_what_became_of_an_execute() -> None:
    drive = Drive(lambda assigned: executed(assigned, "other", None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    answer = drive.ledger.entries(payment_id)[-1]
    assert answer.data == {
        "question": "execute",
        "execute": "other",
        "inconclusive": "no_reply",
        "detail": "silent",
        "seconds": REPLY_SECONDS,
    }


async def test_the_timeline_says_which_answer_came_too_soon_to_count() -> None:
    drive = Drive(lambda assigned: executed(assigned, "none", None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = says(Status.FAILED)
    await drive.hit(payment_id, source=Source.OPERATOR)
    answer = drive.ledger.entries(payment_id)[-1]
    assert (answer.data["status"], answer.data["too_soon"]) == ("failed", "Execute may still be under way")
    assert drive.payment(payment_id).lease_until is None, "it was answered all the same"


async def test_the_timeline_shows_no_amount_where_the_gateway_names_none() -> None:
    drive = Drive(says(Status.PENDING, amount=None))
    payment_id = await drive.open(PROVING)
    await drive.hit(payment_id)
    assert "amount" not in drive.ledger.entries(payment_id)[-1].data


async def test_the_timeline_says_why_a_claim_asks_nothing() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="other_payment"))
    struck = await drive.open(CANDIDATES)
    await drive.hit(struck, transaction_id="T1")
    await drive.wait(60)
    await drive.hit(struck, transaction_id="T1")
    assert verdicts(drive, struck)[-1] == "refused: the gateway said that this transaction is not this payment's"

    silent = await drive.open(SILENT)
    await drive.hit(silent)
    assert verdicts(drive, silent) == ["this gateway cannot be asked"]

    drive.gateway = says(Status.PENDING)
    flooded = await drive.open(PLAIN)
    for _ in range(11):
        await drive.hit(flooded)
        await drive.wait(3)
    assert verdicts(drive, flooded) == ["asks"] * 10 + [TOO_MANY]
    await drive.wait(3 * MINUTE)
    assert verdicts(drive, flooded)[-1] == "due", "by its schedule"


async def test_the_timeline_says_that_a_transaction_is_not_known_yet() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="not_found"))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    answer = drive.ledger.entries(payment_id)[-1]
    said = "the gateway does not know this transaction yet"
    assert (answer.data["inconclusive"], answer.data["detail"]) == ("not_found", said)
