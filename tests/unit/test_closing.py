"""How an unpaid payment ends, and how often it is asked about until then, over virtual weeks."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.expiry import AskedReply, expire_or_give_up
from consumers.checks.planned_questions import next_due
from consumers.checks.schedule import closes_at, schedule_of
from consumers.commands.open_payment import OpeningFailed, open_payment
from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.pipeline import AssignedQuestion
from consumers.ports.openings import Opened, OpeningOutcome
from schemas.answers import Answer, ForeignTransaction, Inconclusive, QuestionOutcome, Trouble
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import Hold, QuestionKind, Said, Source, Status
from tests.fakes.drive import Drive, Gateway, answered, says, troubled
from tests.fakes.providers import CANDIDATES, EXECUTING, INVOICES, PLAIN, PROVING, SILENT

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
END = timedelta(minutes=32)
"""The lifetime of half an hour and two minutes of grace."""
CONFIRMED = END + timedelta(minutes=10)
"""When the second of two confirming answers closes an unpaid payment."""

lone = pytest.mark.parametrize("account", [PROVING, EXECUTING], ids=lambda account: account.id)


def minutes(drive: Drive, payment_id: str) -> list[int]:
    """When it was asked about, in whole minutes after its opening."""
    return [round(seconds / 60) for seconds in drive.seconds(payment_id)]


# -- the pending schedule ----------------------------------------------------------------------------------------------


async def test_a_quiet_payment_is_asked_at_growing_distances_and_once_more_at_its_end() -> None:
    """2, 5, 10, 30 minutes, 2, 6 and 24 hours, each since the last question; one more at expires_at + grace."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(DAY)
    asked = minutes(drive, payment_id)
    assert asked[:4] == [2, 7, 17, 32]
    assert 32 in asked, "expires_at + grace"
    assert drive.payment(payment_id).schedule == "pending"


async def test_the_pending_schedule_repeats_its_last_entry() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(7 * DAY)
    gaps = [later - earlier for earlier, later in pairwise(minutes(drive, payment_id))]
    assert gaps[-4:] == [24 * 60] * 4


@pytest.mark.parametrize(("lifetime", "end"), [(5, 7), (20, 22), (24 * 60, 24 * 60 + 2)])
async def test_there_is_a_question_at_the_end_whatever_the_schedule(lifetime: int, end: int) -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN, lifetime=lifetime * MINUTE)
    await drive.wait(2 * DAY)
    assert end in minutes(drive, payment_id)


async def test_no_question_is_asked_after_giving_up() -> None:
    """give_up counts from the opening: unresolved, with an event, and no more questions by the clock."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(7 * DAY - MINUTE)
    assert drive.payment(payment_id).hold is None
    await drive.wait(2 * MINUTE)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.next_check_at) == (Status.PENDING, Hold.UNRESOLVED, None)
    assert drive.told(payment_id) == ["payment.held"]
    asked = len(drive.asked)
    await drive.wait(60 * DAY)
    assert len(drive.asked) == asked
    assert drive.told(payment_id) == ["payment.held"]


@pytest.mark.parametrize("trouble", [one for one in Trouble if one is not Trouble.NOT_FOUND])
@pytest.mark.parametrize("account", [PLAIN, PROVING, EXECUTING], ids=lambda account: account.id)
async def test_a_gateway_that_never_answers_ends_as_unresolved_and_never_as_failed(
    account: Account, trouble: Trouble
) -> None:
    drive = Drive(troubled(trouble))
    payment_id = await drive.open(account)
    await drive.wait(30 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNRESOLVED,))


async def test_a_gateway_that_was_away_for_the_last_looks_is_asked_once_more_as_we_give_up() -> None:
    """A look of the last day met an outage, and the next look would come after we gave up."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(5 * DAY + 12 * HOUR)
    drive.gateway = troubled(Trouble.KEY_REFUSED)
    await drive.wait(33 * HOUR)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(1 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.COMPLETED, None)
    assert drive.told(payment_id) == ["payment.completed"]


async def test_a_claimed_payment_is_asked_every_five_minutes_until_it_is_given_up() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(8 * DAY)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED
    assert minutes(drive, payment_id)[-1] >= 7 * 24 * 60 - 6


async def test_a_claim_about_an_unresolved_payment_still_asks_and_money_lifts_the_hold() -> None:
    """Questions go on where the gateway can be asked."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(20 * DAY)
    drive.gateway = says(Status.COMPLETED)
    await drive.hit(payment_id)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.COMPLETED, None)
    assert drive.told(payment_id) == ["payment.held", "payment.completed"]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
async def test_an_answer_that_comes_as_we_give_up_is_never_held_as_unresolved(status: Status) -> None:
    """A paid or closed payment is never unresolved."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(7 * DAY - 3 * MINUTE)
    drive.gateway = says(status)
    questions = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    drive.clock.advance(4 * MINUTE)
    await drive.answer(questions)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (status, None)
    await drive.wait(30 * DAY)
    assert drive.told(payment_id) == [f"payment.{status}"]


async def test_a_payment_released_as_pending_is_asked_about_as_long_again() -> None:
    """`give_up` counts from there, and no schedule ends in silence."""
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(20 * DAY)
    asked = len(drive.asked)
    wish = ResolutionRequest(status=Status.PENDING, actor="rahima", reason="the bank is on strike")
    assert (await resolve_payment(drive.ledger, drive.rules, payment_id, wish)).hold is None
    await drive.wait(6 * DAY)
    assert len(drive.asked) > asked + 3
    assert drive.payment(payment_id).hold is None
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED
    assert drive.told(payment_id) == ["payment.held", "payment.released", "payment.held"]


async def test_a_payment_that_was_not_given_up_and_is_released_as_pending_is_given_up_at_its_own_time() -> None:
    """Only after asking had ended does it begin anew."""
    drive = Drive(says(Status.COMPLETED, amount=Decimal("1.00")))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id)
    await drive.wait(3 * DAY)
    drive.gateway = says(Status.PENDING)
    wish = ResolutionRequest(status=Status.PENDING, actor="rahima", reason="that was a test of ours")
    assert (await resolve_payment(drive.ledger, drive.rules, payment_id, wish)).hold is None
    await drive.wait(4 * DAY + MINUTE)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


# -- closing by the gateway's word and by the clock --------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.CANCELLED, Status.FAILED])
async def test_the_gateways_own_word_closes(status: Status) -> None:
    drive = Drive(says(status))
    payment_id = await drive.open(PLAIN)
    await drive.wait(3 * MINUTE)
    assert drive.payment(payment_id).status is status
    assert drive.told(payment_id) == [f"payment.{status}"]


@lone
async def test_pending_after_the_end_closes_where_it_proves_that_nobody_paid(account: Account) -> None:
    drive = Drive()
    payment_id = await drive.open(account)
    await drive.wait(CONFIRMED - timedelta(seconds=1))
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(3)
    assert drive.payment(payment_id).status is Status.EXPIRED
    assert drive.told(payment_id) == ["payment.expired"]
    assert minutes(drive, payment_id)[-2:] == [32, 42]


@lone
async def test_one_answer_after_the_end_closes_nothing(account: Account) -> None:
    """A replica may be behind: the money that it does not show yet is reported a moment later, and in time."""
    drive = Drive()
    payment_id = await drive.open(account)
    await drive.wait(END + timedelta(seconds=5))
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(10 * MINUTE)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, False)
    assert drive.told(payment_id) == ["payment.completed"]


async def test_two_answers_that_are_not_far_enough_apart_close_nothing() -> None:
    drive = Drive()
    payment_id = await drive.open(PROVING)
    await drive.wait(END + timedelta(seconds=5))
    for _ in range(4):
        await drive.wait(2 * MINUTE)
        await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED


async def test_a_gateway_that_knows_it_after_all_is_asked_twice_again() -> None:
    """Not found, then pending, then not found: the count begins again."""
    drive = Drive(troubled(Trouble.NOT_FOUND))
    payment_id = await drive.open(PLAIN)
    await drive.wait(END + MINUTE)
    drive.gateway = says(Status.PENDING)
    await drive.hit(payment_id, source=Source.OPERATOR)
    drive.gateway = troubled(Trouble.NOT_FOUND)
    await drive.wait(8 * MINUTE)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await drive.wait(9 * MINUTE)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED


@lone
async def test_a_bad_minute_of_the_gateway_at_the_end_keeps_it_open_for_minutes_and_not_for_hours(
    account: Account,
) -> None:
    drive = Drive()
    payment_id = await drive.open(account)
    await drive.wait(END - MINUTE)
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.wait(3 * MINUTE)
    drive.gateway = says(Status.PENDING)
    await drive.wait(15 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED


async def test_an_account_may_say_how_long_after_the_end_pending_closes() -> None:
    drive = Drive()
    patient = replace(PLAIN, pending_expires_after=3600.0)
    drive.rules = replace(drive.rules, accounts=dict(drive.rules.accounts) | {PLAIN.id: patient})
    payment_id = await drive.open(PLAIN)
    await drive.wait(END + 65 * MINUTE)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(6 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED
    claimed = await drive.open(PLAIN)
    await drive.wait(END + MINUTE)
    await drive.hit(claimed, Said.SUCCESS)
    await drive.wait(6 * DAY)
    assert drive.payment(claimed).status is Status.PENDING, "a claim said paid after the end"


async def test_a_claim_of_success_for_a_candidate_after_the_end_keeps_it_open_too() -> None:
    drive = Drive()
    patient = replace(INVOICES, pending_expires_after=3600.0)
    drive.rules = replace(drive.rules, accounts=dict(drive.rules.accounts) | {INVOICES.id: patient})
    opened = Opened(checkout_url="https://gateway.example/pay/1")
    before, after = [await drive.open(INVOICES, outcome=opened, reference=f"order-{number}") for number in range(2)]
    for payment_id in (before, after):
        await drive.hit(payment_id, Said.SUCCESS, session_id=f"INV-{payment_id}")
    await drive.wait(END + MINUTE)
    await drive.hit(after, Said.SUCCESS, session_id=f"INV-{after}")
    await drive.wait(3 * HOUR)
    assert drive.payment(before).status is Status.EXPIRED
    assert drive.payment(after).status is Status.PENDING, "a claim said paid after the end"


def _silent(_: AssignedQuestion) -> QuestionOutcome:
    return Inconclusive(trouble=Trouble.SERVER_ERROR, detail="silent")


def _unknown(_: AssignedQuestion) -> QuestionOutcome:
    return ForeignTransaction(why="not_found")


@pytest.mark.parametrize(
    ("account", "second", "known", "said", "closes"),
    [
        (INVOICES, _silent, False, None, False),
        (INVOICES, _unknown, False, None, False),  # its "not found" proves nothing
        (INVOICES, _silent, True, None, False),
        (INVOICES, says(Status.PENDING), True, Said.SUCCESS, True),
        (CANDIDATES, _silent, False, None, False),
        (CANDIDATES, _unknown, False, None, True),
        (CANDIDATES, _unknown, False, Said.SUCCESS, False),  # the buyer has probably paid with it
    ],
    ids=["unheard", "unknown", "silent", "pending", "unheard_t", "unknown_t", "vouched_t"],
)
async def test_pending_of_one_candidate_closes_only_where_each_other_is_unpaid_too(
    account: Account, second: Gateway, known: bool, said: Said | None, closes: bool
) -> None:
    """A buyer may begin two checkouts of one payment, and pay the other one."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome | None:
        first = assigned.question.candidate == "FIRST" or drive.clock.now < learnt
        return answered(assigned, Status.PENDING) if first else second(assigned)

    drive = Drive(gateway)
    learnt = drive.clock.now + (10 * MINUTE if known else timedelta(0))
    patient = replace(account, pending_expires_after=3600.0)
    drive.rules = replace(drive.rules, accounts=dict(drive.rules.accounts) | {account.id: patient})
    payment_id = await drive.open(account, outcome=Opened(checkout_url="https://gateway.example/pay/1"))
    name = "session_id" if account is INVOICES else "transaction_id"
    await drive.hit(payment_id, **{name: "FIRST"})
    await drive.hit(payment_id, said, **{name: "SECOND"})
    await drive.wait(3 * DAY)
    assert drive.payment(payment_id).status is (Status.EXPIRED if closes else Status.PENDING)


async def test_several_pending_candidates_are_asked_about_at_the_end_and_close_it_as_soon_as_one() -> None:
    drive = Drive()
    patient = replace(INVOICES, pending_expires_after=3600.0)
    drive.rules = replace(drive.rules, accounts=dict(drive.rules.accounts) | {INVOICES.id: patient})
    payment_id = await drive.open(INVOICES, outcome=Opened(checkout_url="https://gateway.example/pay/1"))
    for number in range(4):
        await drive.hit(payment_id, session_id=f"INV-{number}")
    await drive.wait(END + 69 * MINUTE)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(4 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED


@pytest.mark.parametrize(
    ("odd", "hold"),
    [(says(None), Hold.UNMAPPED_STATUS), (says(Status.COMPLETED, amount=Decimal(99)), Hold.AMOUNT_MISMATCH)],
    ids=["unmapped", "misfit"],
)
async def test_an_answer_after_the_end_that_does_not_say_pending_closes_nothing(odd: Gateway, hold: Hold) -> None:
    """The first answer says unpaid, the second does not, and the clock closes no held payment."""
    drive = Drive()
    payment_id = await drive.open(PROVING)
    await drive.wait(END + MINUTE)
    drive.gateway = odd
    await drive.wait(HOUR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, hold)
    assert drive.told(payment_id) == ["payment.held"]


async def test_pending_after_the_end_closes_nothing_elsewhere() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.wait(6 * DAY)
    assert drive.payment(payment_id).status is Status.PENDING


@lone
async def test_only_an_answer_to_a_question_asked_after_the_end_closes(account: Account) -> None:
    """An answer from before the end proves nothing, and silence proves nothing."""
    drive = Drive()
    payment_id = await drive.open(account)
    await drive.wait(END - MINUTE)
    early = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    drive.clock.advance(2 * MINUTE)
    await drive.answer(early)
    assert drive.payment(payment_id).status is Status.PENDING
    drive.gateway = troubled(Trouble.SERVER_ERROR)
    await drive.wait(DAY)
    assert drive.payment(payment_id).status is Status.PENDING
    drive.gateway = says(Status.PENDING)
    await drive.wait(DAY)
    assert drive.payment(payment_id).status is Status.EXPIRED


@pytest.mark.parametrize("account", [PLAIN, PROVING, EXECUTING], ids=lambda account: account.id)
async def test_an_id_of_ours_that_the_gateway_does_not_know_closes_on_the_clock(account: Account) -> None:
    drive = Drive(troubled(Trouble.NOT_FOUND))
    payment_id = await drive.open(account)
    await drive.wait(CONFIRMED - MINUTE)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED


async def test_not_found_for_one_payment_after_the_other_closes_none_until_another_answer_came() -> None:
    """After five in a row over two payments at least, the gateway counts as forgetful."""
    drive = Drive(troubled(Trouble.NOT_FOUND))
    payments = [await drive.open(PLAIN) for _ in range(5)]
    await drive.wait(3 * DAY)
    assert {drive.payment(one).status for one in payments} == {Status.PENDING}
    drive.gateway = says(Status.PENDING)
    await drive.hit(payments[0], source=Source.OPERATOR)
    drive.gateway = troubled(Trouble.NOT_FOUND)
    await drive.hit(payments[1], source=Source.OPERATOR)
    await drive.wait(10 * MINUTE)
    await drive.hit(payments[1], source=Source.OPERATOR)
    assert drive.payment(payments[1]).status is Status.EXPIRED


async def test_a_success_claim_that_stands_unanswered_keeps_it_open() -> None:
    """Not found is no answer to it; in the end a person decides."""
    drive = Drive(troubled(Trouble.NOT_FOUND))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(6 * DAY)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).holds == (Hold.UNRESOLVED,)


@lone
async def test_a_success_claim_that_was_answered_does_not(account: Account) -> None:
    drive = Drive()
    payment_id = await drive.open(account)
    await drive.hit(payment_id, Said.SUCCESS if account is PROVING else Said.FAILURE)
    await drive.wait(50 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED


@lone
async def test_the_clock_closes_no_held_payment(account: Account) -> None:
    drive = Drive(says(None))
    payment_id = await drive.open(account)
    await drive.wait(10 * MINUTE)
    drive.gateway = says(Status.PENDING)
    await drive.wait(8 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNMAPPED_STATUS, Hold.UNRESOLVED))


async def test_after_closing_it_is_asked_about_twice_more_and_late_money_counts() -> None:
    """The schedule `closed` has two checks, an hour and a day after the end, and is not repeated."""
    drive = Drive()
    payment_id = await drive.open(PROVING)
    await drive.wait(60 * DAY)
    closed = 42
    assert [at for at in minutes(drive, payment_id) if at > closed] == [closed + 60, closed + 60 + 24 * 60]
    assert drive.payment(payment_id).next_check_at is None

    drive = Drive()
    payment_id = await drive.open(PROVING)
    await drive.wait(50 * MINUTE)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(2 * HOUR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, True)
    assert drive.told(payment_id) == ["payment.expired", "payment.completed"]


async def test_a_closed_payment_that_is_held_for_an_unknown_word_is_asked_about_until_it_is_given_up() -> None:
    """A waiting hold: questions go on, so that the next answer lifts it without a person."""
    drive = Drive()
    payment_id = await drive.open(PROVING)
    await drive.wait(50 * MINUTE)
    drive.gateway = says(None)
    await drive.hit(payment_id)
    await drive.wait(4 * DAY)
    held = drive.payment(payment_id)
    assert (held.status, held.hold) == (Status.EXPIRED, Hold.UNMAPPED_STATUS)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(1 * DAY + HOUR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.late) == (Status.COMPLETED, None, True)


async def test_and_it_comes_to_rest_when_the_word_never_changes() -> None:
    drive = Drive()
    payment_id = await drive.open(PROVING)
    await drive.wait(50 * MINUTE)
    drive.gateway = says(None)
    await drive.hit(payment_id)
    await drive.wait(60 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.EXPIRED, Hold.UNMAPPED_STATUS)
    assert payment.next_check_at is None
    assert max(drive.asked_times(payment_id)) < payment.opened_at + 10 * DAY


@pytest.mark.parametrize("account", [PLAIN, PROVING])
async def test_a_paid_payment_that_is_held_for_an_unknown_word_is_told_as_paid_without_a_person(
    account: Account,
) -> None:
    """The reply that said "completed" was recorded late, after an unknown word that was asked for later."""
    drive = Drive()
    payment_id = await drive.open(account)
    (held_up,) = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    late = drive.reply(held_up, answered(held_up, Status.COMPLETED))
    drive.clock.advance(40)
    drive.gateway = says(None)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await drive.record([late])
    held = drive.payment(payment_id)
    assert (held.status, held.hold) == (Status.COMPLETED, Hold.UNMAPPED_STATUS)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(HOUR)
    assert drive.payment(payment_id).hold is None
    assert drive.told(payment_id)[-1] == "payment.completed"


# -- refunds -----------------------------------------------------------------------------------------------------------


async def test_refunds_are_looked_for_three_times_where_they_can_be_seen() -> None:
    """A day, seven days, thirty days, each since the last question; then no more."""
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(200 * DAY)
    assert [round(at / 86400) for at in drive.seconds(payment_id)] == [0, 1, 8, 38]
    assert drive.payment(payment_id).next_check_at is None


@pytest.mark.parametrize("account", [PROVING, EXECUTING], ids=lambda account: account.id)
async def test_nobody_asks_after_completion_where_refunds_cannot_be_seen(account: Account) -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(account)
    await drive.hit(payment_id)
    await drive.wait(60 * DAY)
    assert len(drive.asked) == 1
    assert drive.payment(payment_id).next_check_at is None


async def test_a_refund_is_seen_by_the_schedule() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = says(Status.REFUNDED)
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).status is Status.REFUNDED
    assert drive.told(payment_id) == ["payment.completed", "payment.refunded"]
    assert drive.payment(payment_id).next_check_at is None


# -- gateways that cannot be asked -------------------------------------------------------------------------------------


async def test_where_nobody_can_be_asked_and_nobody_said_paid_the_clock_closes() -> None:
    drive = Drive()
    payment_id = await drive.open(SILENT)
    await drive.hit(payment_id, Said.CANCEL)
    await drive.wait(END - MINUTE)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2 * MINUTE)
    assert drive.payment(payment_id).status is Status.EXPIRED
    assert drive.told(payment_id) == ["payment.expired"]
    assert drive.asked == []


async def test_where_nobody_can_be_asked_a_success_waits_for_a_person_for_ever() -> None:
    drive = Drive()
    payment_id = await drive.open(SILENT)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(60 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, Hold.UNVERIFIABLE)
    assert drive.told(payment_id) == ["payment.held"]


async def test_a_success_after_the_clock_closed_it_is_held_too() -> None:
    drive = Drive()
    payment_id = await drive.open(SILENT)
    await drive.wait(HOUR)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.EXPIRED, Hold.UNVERIFIABLE)


# -- asked by transactions that callbacks bring (Moneybag) -------------------------------------------------------------


def about(**outcomes: Status | str) -> Gateway:
    """A gateway asked by transaction: a status, or why the transaction is foreign."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        told = outcomes.get(assigned.question.transaction_id or "", "not_found")
        if isinstance(told, Status):
            return answered(assigned, told)
        if told == "silent":
            return Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
        return ForeignTransaction(why="other_payment" if told == "other_payment" else "not_found")

    return gateway


async def test_without_any_transaction_the_clock_closes() -> None:
    drive = Drive()
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.CANCEL)
    await drive.wait(HOUR)
    assert drive.payment(payment_id).status is Status.EXPIRED
    assert drive.asked == []


async def test_a_success_without_a_transaction_keeps_it_open() -> None:
    """A claim said paid, and there is no id to ask by."""
    drive = Drive()
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(8 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNRESOLVED,))


async def test_another_payments_transaction_is_struck_out_and_touches_nothing() -> None:
    """Otherwise any buyer could hold a stranger's payment."""
    drive = Drive(about(T1="other_payment"))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    assert [one.state for one in drive.payment(payment_id).candidates] == ["struck"]
    await drive.wait(5)
    assert await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1") == [], "never asked again"
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1", signed=True)
    await drive.wait(HOUR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, drive.ledger.facts(payment_id)) == (Status.EXPIRED, None, ())
    assert len(drive.asked) == 1


async def test_a_signed_transaction_that_the_gateway_does_not_know_yet_is_asked_about_again() -> None:
    """Ids from signed webhooks are always kept."""
    drive = Drive(about())
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, signed=True, transaction_id="T1")
    drive.gateway = about(T1=Status.COMPLETED)
    await drive.wait(10 * MINUTE)
    assert drive.payment(payment_id).status is Status.COMPLETED


@pytest.mark.parametrize("outcome", ["silent", Status.PENDING])
async def test_a_transaction_that_was_not_settled_is_asked_on_and_then_a_persons(outcome: Status | str) -> None:
    """Never answered about, or known as this payment's and pending."""
    drive = Drive(about(T1=outcome))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(8 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNRESOLVED,))


async def test_when_an_id_had_to_be_dropped_the_clock_closes_nothing() -> None:
    """Twenty unasked unsigned ids are kept; the next is dropped and the payment ends as unresolved."""
    drive = Drive(about())
    payment_id = await drive.open(CANDIDATES)
    for number in range(25):
        await drive.take(drive.claim(payment_id, transaction_id=f"T{number}"))
    payment = drive.payment(payment_id)
    assert (len(payment.candidates), payment.candidate_dropped) == (20, True)
    await drive.hit(payment_id, signed=True, transaction_id="T-signed")
    assert len(drive.payment(payment_id).candidates) == 21, "signed ones are always kept"
    await drive.wait(9 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNRESOLVED,))


async def test_when_an_id_was_dropped_and_all_others_are_struck_the_clock_still_closes_nothing() -> None:
    """A candidate was never asked."""
    drive = Drive(about())
    payment_id = await drive.open(CANDIDATES)
    drive.gateway = lambda _: ForeignTransaction(why="other_payment")
    await drive.publish(*(drive.claim(payment_id, transaction_id=f"T{number}") for number in range(25)))
    await drive.wait(6 * DAY)
    payment = drive.payment(payment_id)
    assert {one.state for one in payment.candidates} == {"struck"}
    assert (payment.status, payment.hold) == (Status.PENDING, None)
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


async def test_a_struck_id_frees_its_place() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="other_payment"))
    payment_id = await drive.open(CANDIDATES)
    for number in range(60):
        await drive.hit(payment_id, transaction_id=f"T{number}")
        await drive.wait(10 * MINUTE)
    payment = drive.payment(payment_id)
    assert not payment.candidate_dropped
    assert len(payment.candidates) == 20, "and those struck out are not remembered without end"


# -- rows that were never opened ---------------------------------------------------------------------------------------


async def never_opened(drive: Drive, account: Account) -> str:
    lost = Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
    with pytest.raises(OpeningFailed) as caught:
        await drive.open(account, outcome=lost)
    assert caught.value.payment_id is not None
    return caught.value.payment_id


@pytest.mark.parametrize("gateway", [says(Status.PENDING), troubled(Trouble.NOT_FOUND)], ids=["pending", "not found"])
@pytest.mark.parametrize("account", [PLAIN, PROVING, SILENT, EXECUTING, CANDIDATES], ids=lambda account: account.id)
async def test_a_row_never_opened_closes_at_its_end_without_an_event(account: Account, gateway: Gateway) -> None:
    """Section 5: no buyer has the URL of a checkout whose opening was lost."""
    drive = Drive(gateway)
    payment_id = await never_opened(drive, account)
    asked = account in (PLAIN, PROVING)
    await drive.wait(30 * MINUTE + (10 * MINUTE if asked else timedelta()) + timedelta(seconds=1))
    payment = drive.payment(payment_id)
    assert (payment.status, payment.version, payment.hold) == (Status.EXPIRED, 0, None)
    await drive.wait(10 * DAY)
    assert drive.ledger.events == ()


@pytest.mark.parametrize("trouble", Trouble)
async def test_a_row_never_opened_closes_at_its_end_only_on_what_an_unknown_id_may_bring(trouble: Trouble) -> None:
    """Not found, or an unreadable answer, which some gateways give instead. An outage says nothing."""
    drive = Drive(troubled(trouble))
    payment_id = await never_opened(drive, PLAIN)
    await drive.wait(HOUR)
    closes = trouble in (Trouble.NOT_FOUND, Trouble.UNREADABLE, Trouble.UNDOCUMENTED)
    assert drive.payment(payment_id).status is (Status.EXPIRED if closes else Status.PENDING)


async def test_a_row_never_opened_closes_without_an_event_when_the_gateway_stays_away() -> None:
    drive = Drive(troubled(Trouble.NO_REPLY))
    payment_id = await never_opened(drive, PLAIN)
    await drive.wait(10 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.version, payment.hold) == (Status.EXPIRED, 0, None)


@pytest.mark.parametrize("account", [PLAIN, PROVING], ids=lambda account: account.id)
async def test_a_row_never_opened_is_told_of_when_the_gateway_says_paid(account: Account) -> None:
    drive = Drive(says(Status.COMPLETED, session_id="S-of-the-gateway"))
    payment_id = await never_opened(drive, account)
    await drive.wait(HOUR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.session_id) == (Status.COMPLETED, "S-of-the-gateway")
    assert drive.told(payment_id) == ["payment.completed"]


async def test_a_row_never_opened_is_closed_and_not_held_as_we_give_up() -> None:
    drive = Drive(troubled(Trouble.NO_REPLY), checks=Checks(give_up=3 * 3600.0))
    payment_id = await never_opened(drive, PLAIN)
    await drive.wait(3 * HOUR - MINUTE)
    assert drive.payment(payment_id).status is Status.PENDING
    await drive.wait(2 * MINUTE)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.EXPIRED, None)


async def test_a_row_whose_process_died_while_opening_is_looked_after() -> None:
    """Between the commit of the row and the reply no other process would look at it again."""
    drive = Drive(troubled(Trouble.NOT_FOUND))

    class Died(Exception):
        pass

    async def dies(_: object) -> OpeningOutcome:
        raise Died

    payment = drive.new(PLAIN)
    with pytest.raises(Died):
        await open_payment(drive.ledger, drive.rules, payment, {}, dies)
    await drive.wait(HOUR)
    assert drive.payment(payment.id).status is Status.EXPIRED


async def test_every_payment_comes_to_rest() -> None:
    """No schedule ends in silence: a payment that is neither paid nor closed is held, with an event."""
    for account in (PLAIN, PROVING, SILENT, EXECUTING, CANDIDATES):
        for gateway in (says(Status.PENDING), says(None), troubled(), troubled(Trouble.NOT_FOUND)):
            for said in (None, Said.SUCCESS):
                drive = Drive(gateway, checks=Checks(give_up=3 * 3600.0))
                payment_id = await drive.open(account)
                await drive.hit(payment_id, said, transaction_id="T1")
                await drive.wait(60 * DAY)
                payment = drive.payment(payment_id)
                assert payment.next_check_at is None
                assert payment.status.closed or payment.hold is not None
                assert all(one.question.kind is QuestionKind.STATUS for one in drive.asked) or account is EXECUTING


# -- to the moment -----------------------------------------------------------------------------------------------------

INSTANT = timedelta(microseconds=1)
UNPAID = Answer(status=Status.PENDING, word="PENDING")
UNKNOWN = Inconclusive(trouble=Trouble.NOT_FOUND, detail="not found")
CHECKS = Checks()
ASKED: dict[str, Any] = {"urgent_at": timedelta(), "asked_at": MINUTE}
"""A signed claim was asked about a minute later, and got no answer yet."""


def standing(account: Account, **fields: Any) -> tuple[Payment, datetime]:
    """An opened payment with a lifetime of half an hour, and the moment from which on the clock may close it."""
    payment = Drive().new(account, opened=True, session_id="S-1", **fields)
    return payment, payment.opened_at + END


def heard(
    payment: Payment, account: Account, asked_at: datetime, reply: Answer | Inconclusive = UNPAID, **forgetful: bool
) -> Payment:
    asked = AskedReply(reply, asked_at, **forgetful)
    return expire_or_give_up(payment, account.capabilities, CHECKS, asked_at + INSTANT, asked)


def test_an_answer_counts_from_the_moment_of_the_end_on() -> None:
    payment, end = standing(PROVING)
    assert heard(payment, PROVING, end - INSTANT).unpaid_at is None
    assert heard(payment, PROVING, end).unpaid_at == end
    assert heard(payment, PROVING, end, UNKNOWN).unpaid_at == end
    assert heard(payment, PROVING, end, UNKNOWN, forgetful=True).unpaid_at is None


def test_the_second_answer_closes_from_the_tenth_minute_after_the_first_on() -> None:
    payment, end = standing(PROVING)
    payment, second = replace(payment, unpaid_at=end), end + 10 * MINUTE
    assert heard(payment, PROVING, second - INSTANT).expired_by_clock_at is None
    assert heard(payment, PROVING, second).expired_by_clock_at == second + INSTANT


def test_an_answer_from_before_the_end_is_not_the_first_of_the_two() -> None:
    """The end may move: an Execute whose reply was lost postpones it."""
    payment, end = standing(PROVING)
    payment = heard(replace(payment, unpaid_at=end - INSTANT), PROVING, end + 10 * MINUTE)
    assert (payment.unpaid_at, payment.expired_by_clock_at) == (end + 10 * MINUTE, None)


def test_where_nobody_can_be_asked_the_clock_closes_at_the_moment_of_the_end() -> None:
    payment, end = standing(SILENT)
    capabilities = SILENT.capabilities
    assert expire_or_give_up(payment, capabilities, CHECKS, end - INSTANT).expired_by_clock_at is None
    assert expire_or_give_up(payment, capabilities, CHECKS, end).expired_by_clock_at == end


def test_it_is_given_up_at_the_moment_of_give_up() -> None:
    payment, _ = standing(PLAIN)
    capabilities, at = PLAIN.capabilities, payment.opened_at + 7 * DAY
    assert expire_or_give_up(payment, capabilities, CHECKS, at - INSTANT).unresolved_at is None
    assert expire_or_give_up(payment, capabilities, CHECKS, at).unresolved_at == at


@pytest.mark.parametrize(
    ("asked", "success", "says_unpaid"),
    [
        (HOUR - INSTANT, None, False),
        (HOUR, None, True),
        (HOUR, -INSTANT, True),
        (HOUR, timedelta(), False),
        (HOUR, MINUTE, False),
    ],
)
def test_pending_says_that_nobody_paid_from_the_accounts_own_time_on_unless_someone_said_paid_after_the_end(
    asked: timedelta, success: timedelta | None, says_unpaid: bool
) -> None:
    """All counted from the end; the account waits for an hour."""
    patient = replace(PLAIN, pending_expires_after=3600.0)
    payment, end = standing(patient, success_at=None)
    payment = replace(payment, success_at=None if success is None else end + success)
    after = heard(payment, patient, end + asked)
    assert (after.unpaid_at is not None) == says_unpaid


@pytest.mark.parametrize(("lifetime", "end"), [(30 * MINUTE, DAY), (DAY, DAY + 2 * MINUTE)])
def test_an_execute_that_went_unanswered_puts_the_end_off_to_a_day_after_the_opening(
    lifetime: timedelta, end: timedelta
) -> None:
    payment = Drive().new(EXECUTING, lifetime=lifetime, opened=True, execute_unanswered=True)
    assert closes_at(payment, CHECKS) == payment.opened_at + end


@pytest.mark.parametrize(
    ("asked", "answered", "unpaid", "comes"),
    [
        (-INSTANT, None, None, timedelta()),
        (timedelta(), timedelta(), None, None),
        (timedelta(), None, None, 5 * MINUTE),
        (HOUR - INSTANT, None, None, HOUR + 5 * MINUTE - INSTANT),
        (HOUR, None, None, None),
        (timedelta(), timedelta(), timedelta(), 10 * MINUTE),
        (10 * MINUTE - INSTANT, timedelta(), timedelta(), 10 * MINUTE),
        (10 * MINUTE, 10 * MINUTE, timedelta(), None),
        (11 * MINUTE, timedelta(), timedelta(), 16 * MINUTE),
    ],
)
def test_when_the_end_is_asked_about(
    asked: timedelta, answered: timedelta | None, unpaid: timedelta | None, comes: timedelta | None
) -> None:
    """Once, and again to confirm; five minutes later where no answer came, for an hour. All counted from the end."""
    payment, end = standing(PROVING, schedule="pending", step=6)
    asked_at, of_the_schedule = end + asked, end + asked + DAY
    payment = replace(
        payment,
        asked_at=asked_at,
        fact_asked_at=None if answered is None else end + answered,
        unpaid_at=None if unpaid is None else end + unpaid,
    )
    due = next_due(payment, PROVING.capabilities, CHECKS)
    assert due is not None
    assert (due.at, due.trigger) == (of_the_schedule if comes is None else end + comes, "schedule")


@pytest.mark.parametrize(("asked", "comes"), [(MINUTE, HOUR), (HOUR, None)])
def test_where_pending_says_so_some_time_later_it_is_asked_then_too(asked: timedelta, comes: timedelta | None) -> None:
    patient = replace(PLAIN, pending_expires_after=3600.0)
    payment, end = standing(patient, schedule="pending", step=6)
    payment = replace(payment, asked_at=end + asked, fact_asked_at=end + asked)
    due = next_due(payment, patient.capabilities, CHECKS)
    assert due is not None
    assert due.at == end + (asked + DAY if comes is None else comes)


@pytest.mark.parametrize(
    ("fields", "until", "then"),
    [
        ({}, "pending", "pending"),
        ({"success_at": MINUTE}, "claimed", "pending"),
        ({"holds": (Hold.UNRESOLVED,)}, "pending", None),
        ({"holds": (Hold.UNRESOLVED,), "success_at": MINUTE}, "pending", None),
        ({"status": Status.EXPIRED}, "closed", "closed"),
        ({"status": Status.EXPIRED, "holds": (Hold.UNMAPPED_STATUS,)}, "pending", "closed"),
        ({"status": Status.COMPLETED, "holds": (Hold.UNMAPPED_STATUS,)}, "pending", "refunds"),
        ({"status": Status.REFUNDED, "holds": (Hold.UNMAPPED_STATUS,)}, "pending", None),
        ({"status": Status.EXPIRED, "success_at": MINUTE}, "claimed", "closed"),
        ({"status": Status.COMPLETED, "success_at": MINUTE}, "refunds", "refunds"),
        ({"status": Status.COMPLETED, "holds": (Hold.UNEXPECTED,)}, None, None),
        ({"status": Status.REFUNDED}, None, None),
        ({"returned_by": "own"}, "claimed", "claimed"),
        ({"returned_by": "own", "returned_through": True}, "pending", "pending"),
        ({"status": Status.EXPIRED, "urgent_at": timedelta(), "asked_at": MINUTE}, "claimed", "closed"),
        ({"status": Status.EXPIRED, "hinted_at": timedelta(), "asked_at": MINUTE}, "claimed", "closed"),
        ({"status": Status.EXPIRED, "referred_at": timedelta(), "asked_at": MINUTE}, "claimed", "closed"),
        ({"status": Status.EXPIRED, "urgent_at": timedelta(), "asked_at": timedelta()}, "claimed", "closed"),
        ({"status": Status.EXPIRED, "urgent_at": timedelta()}, "closed", "closed"),
        (ASKED | {"status": Status.EXPIRED, "fact_asked_at": timedelta()}, "claimed", "closed"),
        (ASKED | {"status": Status.EXPIRED, "fact_asked_at": INSTANT}, "closed", "closed"),
        (ASKED, "claimed", "pending"),
        ({"hinted_at": timedelta(), "asked_at": MINUTE}, "pending", "pending"),
        ({"hinted_at": timedelta(), "asked_at": MINUTE, "holds": (Hold.UNRESOLVED,)}, "claimed", None),
        ({"status": Status.EXPIRED, "success_at": MINUTE, "fact_asked_at": MINUTE}, "claimed", "closed"),
        ({"status": Status.EXPIRED, "success_at": MINUTE, "fact_asked_at": MINUTE + INSTANT}, "closed", "closed"),
        ({"success_at": MINUTE, "fact_asked_at": HOUR}, "claimed", "pending"),
    ],
)
def test_which_schedule_applies_until_give_up_and_from_that_moment_on(
    fields: dict[str, Any], until: str | None, then: str | None
) -> None:
    """Times are counted from the opening."""
    payment, _ = standing(PLAIN)
    since = {key: payment.opened_at + value for key, value in fields.items() if isinstance(value, timedelta)}
    payment, over = replace(payment, **(fields | since)), payment.opened_at + 7 * DAY
    assert schedule_of(payment, PLAIN.capabilities, CHECKS, over - INSTANT) == until
    assert schedule_of(payment, PLAIN.capabilities, CHECKS, over) == then


def test_the_last_look_of_pending_comes_at_the_moment_of_give_up_at_the_latest() -> None:
    payment, _ = standing(PLAIN, schedule="pending", step=6)
    over = payment.opened_at + 7 * DAY
    due = next_due(replace(payment, asked_at=over - DAY), PLAIN.capabilities, CHECKS)
    assert due is not None
    assert due.at == over
    assert next_due(replace(payment, asked_at=over - DAY + INSTANT), PLAIN.capabilities, CHECKS) is None
