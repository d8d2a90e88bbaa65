"""Refunds and late money over months: what is asked when, what is seen, and what only a claim brings.

`closed` and `refunds` run through once. Later changes become known when a claim names them, and never by asking for
ever.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.schedule import delay_of
from consumers.pipeline import AssignedQuestion
from schemas.answers import ForeignTransaction, QuestionOutcome, Trouble
from schemas.checks import Checks
from schemas.payments import ScheduleName
from schemas.words import EventType, Hold, Said, Source, Status
from tests.fakes.drive import AMOUNT, Drive, Gateway, answered, dead, says, troubled
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING, SILENT

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PART = Decimal("40.00")
COMPLETED, PARTIALLY, REFUNDED = EventType.COMPLETED, EventType.PARTIALLY_REFUNDED, EventType.REFUNDED
SHOWING = [PLAIN, CANDIDATES]
NOT_SHOWING = [PROVING, EXECUTING]


def named(account: Account) -> str:
    return account.id


async def paid(account: Account) -> tuple[Drive, str]:
    """A payment that is paid, and recorded as paid."""
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(account)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1" if account is CANDIDATES else None)
    assert drive.payment(payment_id).status is Status.COMPLETED
    return drive, payment_id


async def closed(account: Account) -> tuple[Drive, str]:
    """A payment that its gateway calls expired."""
    drive = Drive(says(Status.EXPIRED))
    payment_id = await drive.open(account)
    await drive.wait(HOUR)
    assert drive.payment(payment_id).status is Status.EXPIRED
    return drive, payment_id


def about_t1(status: Status) -> Gateway:
    """A gateway asked by transaction that knows T1, and no other."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        return (
            answered(assigned, status)
            if assigned.question.transaction_id == "T1"
            else ForeignTransaction(why="not_found")
        )

    return gateway


def days(drive: Drive, payment_id: str) -> list[int]:
    return [round(seconds / 86400) for seconds in drive.seconds(payment_id)]


# -- refunds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", SHOWING, ids=named)
async def test_money_that_comes_back_in_parts_over_a_month_is_seen_at_each_look(account: Account) -> None:
    drive, payment_id = await paid(account)
    await drive.wait(5 * DAY)
    drive.gateway = says(Status.COMPLETED, refunded_amount=PART)
    await drive.wait(10 * DAY)
    assert drive.payment(payment_id).refunded_amount == PART
    drive.gateway = says(Status.REFUNDED, refunded_amount=AMOUNT)
    await drive.wait(200 * DAY)
    assert days(drive, payment_id) == [0, 1, 8, 38]
    assert drive.told(payment_id) == [COMPLETED, PARTIALLY, REFUNDED]
    assert drive.payment(payment_id).next_check_at is None


@pytest.mark.parametrize("account", SHOWING, ids=named)
async def test_a_refund_after_the_last_look_is_known_by_a_claim_alone(account: Account) -> None:
    drive, payment_id = await paid(account)
    await drive.wait(60 * DAY)
    drive.gateway = says(Status.REFUNDED)
    await drive.wait(300 * DAY)
    assert drive.payment(payment_id).status is Status.COMPLETED, "no look comes after the schedule"
    await drive.hit(payment_id, source=Source.WEBHOOK, signed=True)
    assert drive.payment(payment_id).status is Status.REFUNDED
    assert days(drive, payment_id) == [0, 1, 8, 38, 360]


@pytest.mark.parametrize("account", NOT_SHOWING, ids=named)
async def test_where_refunds_cannot_be_seen_nobody_looks_for_them(account: Account) -> None:
    drive, payment_id = await paid(account)
    asked = len(drive.asked)
    await drive.wait(200 * DAY)
    assert len(drive.asked) == asked
    assert drive.payment(payment_id).next_check_at is None


async def test_a_look_for_refunds_during_an_outage_is_made_up_for_when_it_is_over() -> None:
    """It comes again after growing waits: as long as the outage at most, where that was long."""
    drive, payment_id = await paid(PLAIN)
    drive.gateway = troubled()
    await drive.wait(DAY + 6 * HOUR)
    assert len(drive.asked) < 12
    drive.gateway = says(Status.REFUNDED)
    await drive.wait(6 * HOUR)
    assert drive.payment(payment_id).status is Status.REFUNDED


async def test_a_claim_during_an_outage_is_asked_about_until_it_is_answered_and_then_the_looks_go_on() -> None:
    drive, payment_id = await paid(PLAIN)
    await drive.wait(2 * DAY)
    drive.gateway = troubled()
    await drive.hit(payment_id, source=Source.WEBHOOK, signed=True)
    await drive.wait(3 * HOUR)
    drive.gateway = says(Status.COMPLETED, refunded_amount=PART)
    await drive.wait(HOUR)
    assert drive.payment(payment_id).refunded_amount == PART
    drive.gateway = says(Status.REFUNDED)
    await drive.wait(60 * DAY)
    assert drive.payment(payment_id).status is Status.REFUNDED


async def test_a_buyer_who_opens_the_page_of_success_again_does_not_begin_the_looks_anew() -> None:
    """The remaining looks come as far from that question as from any other."""
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id)
    await drive.wait(10 * DAY)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(200 * DAY)
    assert days(drive, payment_id) == [0, 1, 8, 10, 40]


async def test_the_looks_for_refunds_are_about_the_transaction_that_the_money_came_by() -> None:
    """The gateway knows two as the payment's, and the other was asked about longer ago."""
    drive = Drive(says(Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, signed=True, event_id="E1", transaction_id="T2")
    drive.clock.advance(10)
    drive.gateway = about_t1(Status.COMPLETED)
    await drive.hit(payment_id, signed=True, event_id="E2", transaction_id="T1")
    await drive.wait(DAY + HOUR)
    assert [one.question.transaction_id for one in drive.asked] == ["T2", "T1", "T1"]


async def test_a_refund_that_shrinks_or_grows_beyond_the_amount_is_a_persons() -> None:
    drive, payment_id = await paid(PLAIN)
    drive.gateway = says(Status.COMPLETED, refunded_amount=PART)
    await drive.wait(2 * DAY)
    drive.gateway = says(Status.COMPLETED, refunded_amount=Decimal("10.00"))
    await drive.wait(10 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.refunded_amount, payment.hold) == (PART, Hold.CONTRADICTION)
    drive.gateway = says(Status.REFUNDED, refunded_amount=AMOUNT + PART)
    await drive.wait(60 * DAY)
    assert Hold.AMOUNT_MISMATCH in drive.payment(payment_id).holds
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_the_looks_for_refunds_are_about_the_money_and_not_about_an_id_that_nobody_knows() -> None:
    """A signed webhook named a transaction that the gateway never knew; its own questions take none of the looks."""
    drive, payment_id = await paid(CANDIDATES)
    before = len(drive.asked)
    drive.gateway = about_t1(Status.COMPLETED)
    await drive.hit(payment_id, source=Source.WEBHOOK, signed=True, transaction_id="T-unknown")
    await drive.wait(27 * DAY)
    drive.gateway = about_t1(Status.REFUNDED)
    await drive.wait(60 * DAY)
    asked = [one.question.transaction_id for one in drive.asked[before:]]
    assert [one for one in asked if one == "T1"] == ["T1", "T1", "T1"]
    assert drive.payment(payment_id).status is Status.REFUNDED


# -- late money --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [PLAIN, PROVING], ids=named)
@pytest.mark.parametrize("after", [HOUR / 2, 20 * HOUR])
async def test_money_after_the_end_is_seen_by_the_next_of_two_looks(account: Account, after: timedelta) -> None:
    drive, payment_id = await closed(account)
    await drive.wait(after)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(2 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, True)
    assert drive.told(payment_id) == [EventType.EXPIRED, COMPLETED]


@pytest.mark.parametrize("account", [PLAIN, PROVING], ids=named)
@pytest.mark.parametrize("signed", [True, False])
async def test_money_after_the_last_look_is_known_by_a_claim_alone(account: Account, signed: bool) -> None:
    drive, payment_id = await closed(account)
    await drive.wait(3 * DAY)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(100 * DAY)
    assert drive.payment(payment_id).status is Status.EXPIRED
    await drive.hit(payment_id, Said.SUCCESS, signed=signed)
    assert drive.told(payment_id) == [EventType.EXPIRED, COMPLETED]
    assert drive.payment(payment_id).late


async def test_late_money_is_looked_at_for_refunds_like_any_other() -> None:
    drive, payment_id = await closed(PLAIN)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(2 * HOUR)
    drive.gateway = says(Status.REFUNDED)
    await drive.wait(2 * DAY)
    assert drive.told(payment_id) == [EventType.EXPIRED, COMPLETED, REFUNDED]


async def test_a_transaction_that_is_named_months_after_the_end_is_late_money_too() -> None:
    """Moneybag: nothing to ask by until then, so the clock closed it."""
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(CANDIDATES)
    await drive.wait(90 * DAY)
    assert (drive.payment(payment_id).status, drive.asked) == (Status.EXPIRED, [])
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    assert (drive.payment(payment_id).status, drive.payment(payment_id).late) == (Status.COMPLETED, True)


async def test_a_success_months_after_the_end_is_a_persons_where_nobody_can_be_asked() -> None:
    drive = Drive()
    payment_id = await drive.open(SILENT)
    await drive.wait(90 * DAY)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.EXPIRED, Hold.UNVERIFIABLE)


async def test_after_the_end_nothing_is_executed() -> None:
    """OnePayBD: a payment that the buyer approves too late is never taken."""
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    await drive.wait(HOUR)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(60 * DAY)
    assert {one.question.kind.value for one in drive.asked} == {"status"}
    assert drive.payment(payment_id).status is Status.EXPIRED


@pytest.mark.parametrize("how", ["died", "503"])
async def test_a_look_for_refunds_that_brought_nothing_is_asked_again_and_costs_none_of_the_others(how: str) -> None:
    drive, payment_id = await paid(PLAIN)
    drive.gateway = dead if how == "died" else troubled(Trouble.SERVER_ERROR)
    await drive.wait(DAY + timedelta(seconds=20))
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(9 * DAY)
    drive.gateway = says(Status.REFUNDED)
    await drive.wait(40 * DAY)
    assert drive.payment(payment_id).status is Status.REFUNDED


@pytest.mark.parametrize("how", ["died", "503"])
async def test_a_look_for_late_money_that_brought_nothing_is_asked_again(how: str) -> None:
    drive, payment_id = await closed(PROVING)
    drive.gateway = dead if how == "died" else troubled(Trouble.SERVER_ERROR)
    await drive.wait(HOUR + timedelta(seconds=30))
    drive.gateway = says(Status.EXPIRED)
    await drive.wait(2 * HOUR)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(3 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, True)


async def test_a_look_for_late_money_is_made_up_for_until_the_gateway_says_anything_not_found_included() -> None:
    """An hour after the close and a day after that; between them, the one look that makes up for the first."""
    drive, payment_id = await closed(PROVING)
    before = len(drive.asked)
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.wait(timedelta(minutes=3))
    drive.gateway = troubled(Trouble.NOT_FOUND)
    await drive.wait(10 * DAY)
    first, again, last = drive.asked_times(payment_id)[before:]
    assert [round((again - first).total_seconds()), round((last - again).total_seconds())] == [300, 86_400]


async def test_after_a_long_outage_late_money_is_looked_for_within_a_day() -> None:
    """Missed looks are repeated after ever longer waits, but none longer than a day."""
    drive, payment_id = await closed(PROVING)
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.wait(44 * HOUR)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(DAY)
    assert (drive.payment(payment_id).status, drive.payment(payment_id).late) == (Status.COMPLETED, True)


async def test_a_look_whose_schedule_comes_as_soon_is_made_up_for_by_the_next_step() -> None:
    """The look at two minutes met an outage; the look five minutes later is the second of the schedule."""
    drive = Drive(troubled(Trouble.SERVER_ERROR))
    payment_id = await drive.open(PLAIN)
    await drive.wait(3 * MINUTE)
    drive.gateway = says(Status.PENDING)
    await drive.wait(20 * MINUTE)
    assert [round(seconds / 60) for seconds in drive.seconds(payment_id)] == [2, 7, 17]


@pytest.mark.parametrize("back", [troubled(Trouble.NOT_FOUND), says(Status.PENDING)], ids=["not found", "pending"])
async def test_a_look_that_was_answered_at_last_may_be_missed_again_and_is_made_up_for_again(back: Gateway) -> None:
    """Seventeen minutes after the opening the gateway is away, then it knows of no money, then it is away again."""
    drive = Drive()
    payment_id = await drive.open(PLAIN, lifetime=3 * HOUR)
    await drive.wait(16 * MINUTE)
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.wait(2 * MINUTE)
    drive.gateway = back
    await drive.wait(6 * MINUTE)
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.hit(payment_id)
    drive.gateway = says(Status.PENDING)
    await drive.wait(31 * MINUTE)
    assert [round(seconds / 60) for seconds in drive.seconds(payment_id)] == [2, 7, 17, 22, 24, 29]


async def test_a_close_question_that_brought_nothing_is_no_look_to_make_up_for() -> None:
    """The next step of `claimed` comes soon enough, and the schedule after it begins without a missed look."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.wait(30)
    payment = drive.payment(payment_id)
    assert (payment.schedule, payment.missed_at, payment.missed_step) == ("claimed", None, None)


async def test_a_look_at_an_open_payment_that_brought_nothing_is_made_up_for_before_the_next() -> None:
    """The last look before we give up may meet an outage of the gateway."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(5 * DAY)
    drive.gateway = troubled(Trouble.RATE_LIMITED)
    await drive.wait(DAY)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(DAY - timedelta(minutes=1))
    assert drive.payment(payment_id).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("schedule", "step", "missed", "asked", "again"),
    [
        ("closed", 1, timedelta(), timedelta(), 5 * MINUTE),
        ("closed", 1, timedelta(), 5 * MINUTE, 10 * MINUTE),
        ("closed", 1, timedelta(), 20 * MINUTE, 40 * MINUTE),
        ("closed", 1, timedelta(), 5 * DAY, 6 * DAY),
        ("closed", 1, timedelta(), 6 * DAY + HOUR, 7 * DAY),
        ("refunds", 1, timedelta(), 3 * DAY, 6 * DAY),
        ("pending", 5, timedelta(), 2 * HOUR, 4 * HOUR),
        ("pending", 6, timedelta(), 6 * DAY, 7 * DAY - HOUR),
    ],
)
def test_a_look_that_brought_nothing_is_made_up_for_after_ever_longer_waits(
    schedule: ScheduleName, step: int, missed: timedelta, asked: timedelta, again: timedelta
) -> None:
    """The wait is as long as the look has been missed, five minutes at least and a step of the schedule at most.

    The last look comes as we give up. For `pending` that is counted from the opening, an hour before the miss.
    """
    payment = Drive().new(PLAIN, opened=True, session_id="S-1", schedule=schedule, step=step)
    first = payment.opened_at + HOUR + missed
    payment = replace(payment, missed_at=first, missed_step=step, asked_at=first + asked)
    payment = replace(payment, status=Status.PENDING if schedule == "pending" else Status.EXPIRED)
    delay = delay_of(payment, Checks())
    assert delay is not None
    assert asked + delay == again


@pytest.mark.parametrize(("schedule", "step"), [("closed", 2), ("refunds", 3)])
def test_what_is_still_missed_when_we_give_up_is_not_looked_at_again(schedule: ScheduleName, step: int) -> None:
    payment = Drive().new(PLAIN, schedule=schedule, step=step, missed_step=step)
    payment = replace(payment, missed_at=payment.opened_at, asked_at=payment.opened_at + 7 * DAY - MINUTE)
    assert delay_of(payment, Checks()) == MINUTE
    payment = replace(payment, asked_at=payment.opened_at + 7 * DAY)
    assert delay_of(payment, Checks()) is None
