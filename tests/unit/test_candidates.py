"""Transaction ids that only callbacks bring: no true id is lost, and no stranger makes us ask for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.checks.candidates import KNOWN_WITHIN, next_ask, unknown_to_gateway, unpaid
from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.record_replies import record_dead_replies
from schemas.answers import Answer, ForeignTransaction, Inconclusive, QuestionOutcome, Trouble
from schemas.changes import Change
from schemas.checks import Checks
from schemas.payments import Candidate
from schemas.words import Hold, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import TRANSIT_SECONDS, Drive, Gateway, answered, says, troubled
from tests.fakes.providers import CANDIDATES

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
END = timedelta(minutes=32)
CONFIRM = timedelta(minutes=10)


def knows(when: Callable[[], datetime], known_at: datetime, *ids: str) -> Gateway:
    """A gateway that knows these transactions as paid from a moment on, and before says that it does not."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        if assigned.question.transaction_id in ids and when() >= known_at:
            return answered(assigned, Status.COMPLETED)
        return ForeignTransaction(why="not_found")

    return gateway


def later(drive: Drive, seconds: float, *ids: str) -> Gateway:
    return knows(lambda: drive.clock.now, drive.clock.now + timedelta(seconds=seconds), *ids)


def unknown(_: AssignedQuestion) -> QuestionOutcome:
    return ForeignTransaction(why="not_found")


def others(_: AssignedQuestion) -> QuestionOutcome:
    """A gateway that answers every question with another payment's transaction."""
    return ForeignTransaction(why="other_payment")


# -- known a little later ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [1.0, 20.0, 300.0, 600.0])
@pytest.mark.parametrize("signed", [False, True])
async def test_a_transaction_that_the_gateway_knows_a_little_later_completes(lag: float, *, signed: bool) -> None:
    drive = Drive()
    payment_id = await drive.open(CANDIDATES)
    drive.gateway = later(drive, lag, "T1")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1", signed=signed)
    await drive.wait(lag + 300)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.COMPLETED, None)
    assert drive.told(payment_id) == ["payment.completed"]


async def test_whatever_the_order_of_return_webhook_and_person_it_completes() -> None:
    for order in permutations(("return", "webhook", "verify")):
        drive = Drive()
        payment_id = await drive.open(CANDIDATES)
        drive.gateway = later(drive, 2.0, "T1")
        for one in order:
            match one:
                case "return":
                    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
                case "webhook":
                    await drive.hit(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1")
                case _:
                    await drive.hit(payment_id, source=Source.OPERATOR)
        await drive.wait(10)
        assert drive.payment(payment_id).status is Status.COMPLETED, order


async def test_a_signed_webhook_after_not_found_asks_at_once() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    asked = await drive.hit(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1")
    assert [one.question.transaction_id for one in asked] == ["T1"]


async def test_a_person_who_names_none_has_each_id_asked_about() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    for number in range(3):
        await drive.hit(payment_id, transaction_id=f"T{number}")
        await drive.wait(3)
    before = len(drive.asked)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await drive.wait(1)
    assert {one.question.transaction_id for one in drive.asked[before:]} == {"T0", "T1", "T2"}


# -- when it is asked about --------------------------------------------------------------------------------------------


async def test_an_id_that_the_gateway_does_not_know_is_asked_about_closely_then_twice_at_the_end_then_rarely() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.wait(60)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(30 * DAY)
    closely = [60, 62, 67, 82, 142, 442, 742, 1042, 1342, 1642]
    end, confirm = 1920, 2520
    assert drive.seconds(payment_id) == [*closely, end, confirm, confirm + 3600, confirm + 3600 + 86_400]


async def test_an_id_that_is_heard_anew_after_the_end_has_all_of_its_questions_before_it_again() -> None:
    drive = Drive(unknown, checks=Checks(confirm_end=1800))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(10 * DAY)
    before, heard = len(drive.asked), 10 * 86_400
    await drive.hit(payment_id, signed=True, transaction_id="T1")
    await drive.wait(30 * DAY)
    again = [round(at - heard) for at in drive.seconds(payment_id)[before:]]
    assert again == [0, 2, 7, 22, 82, 382, 682, 900, 1800, 1800 + 3600, 1800 + 3600 + 86_400]


async def test_a_question_at_the_very_moment_of_the_second_after_the_end_is_that_second() -> None:
    drive = Drive(unknown, checks=Checks(claimed=(3600,)))
    payment_id = await drive.open(CANDIDATES)
    opened = drive.clock.now
    await drive.hit(payment_id, transaction_id="T1")
    await asked_exactly(drive, payment_id, opened + END, source=Source.OPERATOR)
    await asked_exactly(drive, payment_id, opened + END + CONFIRM, source=Source.OPERATOR)
    assert drive.told(payment_id) == ["payment.expired"]
    await only_rare_questions_follow(drive, payment_id)


async def test_a_question_at_the_very_moment_when_its_quarter_of_an_hour_is_over_is_the_last_of_that() -> None:
    drive = Drive(unknown, checks=Checks(claimed=(3600,)))
    payment_id = await drive.open(CANDIDATES)
    await asked_exactly(drive, payment_id, drive.clock.now + END, transaction_id="T1")
    [one] = drive.payment(payment_id).candidates
    assert one.heard_at is not None
    await asked_exactly(drive, payment_id, one.heard_at + KNOWN_WITHIN, source=Source.OPERATOR)
    assert drive.told(payment_id) == ["payment.expired"]
    await only_rare_questions_follow(drive, payment_id)


async def only_rare_questions_follow(drive: Drive, payment_id: str) -> None:
    asked = len(drive.asked)
    await drive.wait(30 * DAY)
    last, *rare = drive.seconds(payment_id)[asked - 1 :]
    assert [round(at - last) for at in rare] == [3600, 3600 + 86_400]


async def test_one_that_a_buyer_said_was_paid_is_put_before_a_person_at_the_very_end() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    opened = drive.clock.now
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    await asked_exactly(drive, payment_id, opened + END, source=Source.OPERATOR)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


async def asked_exactly(drive: Drive, payment_id: str, at: datetime, **fields: Any) -> None:
    """A claim that is asked about at this very moment."""
    drive.clock.set(at - timedelta(seconds=TRANSIT_SECONDS))
    [assigned] = await drive.hit(payment_id, **fields)
    assert assigned.asked_at == at


# -- how it ends -------------------------------------------------------------------------------------------------------


async def test_an_id_that_nobody_ever_knows_does_not_keep_it_open_for_ever() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(END + CONFIRM + MINUTE)
    assert drive.told(payment_id) == ["payment.expired"]
    await drive.wait(60 * DAY)
    assert drive.payment(payment_id).next_check_at is None


@pytest.mark.parametrize("signed", [False, True])
async def test_one_that_a_buyer_said_was_paid_ends_it_with_a_person_at_its_end(*, signed: bool) -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, None if signed else Said.SUCCESS, transaction_id="T1", signed=signed)
    await drive.wait(END - MINUTE)
    assert drive.told(payment_id) == []
    await drive.wait(2 * MINUTE)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNRESOLVED,))
    drive.gateway = later(drive, 0, "T1")
    await drive.wait(2 * HOUR)
    assert drive.payment(payment_id).status is Status.COMPLETED, "asked about on the `closed` delays, and lifted"
    assert drive.told(payment_id) == ["payment.held", "payment.completed"]


async def test_an_id_that_is_heard_at_the_end_has_its_quarter_of_an_hour() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.wait(END - MINUTE)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    await drive.wait(13 * MINUTE)
    assert drive.payment(payment_id).hold is None
    drive.gateway = later(drive, 0, "T1")
    await drive.wait(3 * MINUTE)
    assert drive.told(payment_id) == ["payment.completed"]


@pytest.mark.parametrize(
    ("said_at", "first", "closes"),
    [
        ([], None, False),
        ([-1], None, False),
        ([0], 0, False),
        ([-1, 9], 9, False),
        ([0, 9.9], 0, False),
        ([0, 10], 0, True),
        ([3, 5, 13], 3, True),
    ],
)
def test_two_answers_both_after_the_end_and_ten_minutes_apart_say_that_nobody_paid_by_it(
    said_at: list[float], first: float | None, *, closes: bool
) -> None:
    one = unknown_at(Candidate(transaction_id="T1", signed=False), NOON, *said_at)
    assert one.unpaid_at == (None if first is None else NOON + first * MINUTE)
    assert unpaid(one, Checks(), NOON) == closes


def test_an_answer_from_before_the_end_that_now_is_does_not_say_so() -> None:
    """A checkout that is opened again has a later end."""
    one = unknown_at(Candidate(transaction_id="T1", signed=False), NOON, 0, 10)
    moved = NOON + 20 * MINUTE
    assert not unpaid(one, Checks(), moved)
    assert not unpaid(unknown_at(one, moved, 25), Checks(), moved)
    assert unpaid(unknown_at(one, moved, 25, 35), Checks(), moved)


def unknown_at(one: Candidate, end: datetime, *minutes: float) -> Candidate:
    """The id after "not found" to questions asked so many minutes after noon."""
    for after in minutes:
        one = unknown_to_gateway(one, NOON + after * MINUTE, end)
    return one


async def test_what_a_person_released_as_pending_is_not_put_before_them_again_at_once() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    await drive.wait(HOUR)
    wish = ResolutionRequest(status=Status.PENDING, actor="rahima", reason="the gateway is behind")
    assert (await resolve_payment(drive.ledger, drive.rules, payment_id, wish)).hold is None
    await drive.wait(6 * DAY)
    assert drive.payment(payment_id).hold is None
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


async def test_a_gateway_that_never_answers_about_it_is_asked_until_we_give_up() -> None:
    drive = Drive(lambda _: Inconclusive(trouble=Trouble.SERVER_ERROR, detail="503"))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(6 * DAY)
    assert drive.payment(payment_id).hold is None
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).holds == (Hold.UNRESOLVED,)


# -- what strangers can do with it -------------------------------------------------------------------------------------


async def by_reference(drive: Drive, payment_id: str, said: Said | None = None, transaction_id: str = "X") -> None:
    """Publish a claim that names the payment by our reference alone, with a transaction id."""
    payment = drive.payment(payment_id)
    claim = drive.claim(payment_id, said, payment_id=None, reference=payment.reference, transaction_id=transaction_id)
    await drive.publish(claim)


async def test_an_id_by_reference_alone_keeps_nothing_open_and_puts_nothing_before_a_person() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    for number in range(40):
        await by_reference(drive, payment_id, Said.SUCCESS, f"X{number}")
    assert len(drive.payment(payment_id).candidates) == 5
    await drive.wait(END + MINUTE)
    assert drive.told(payment_id) == ["payment.expired"]
    await drive.wait(30 * DAY)
    assert drive.payment(payment_id).hold is None
    assert len(drive.asked) < 80


async def test_made_up_ids_delay_the_truth_by_a_moment_and_take_no_place_from_it() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    for number in range(40):
        await by_reference(drive, payment_id, Said.SUCCESS, f"X{number}")
    await drive.wait(5 * MINUTE)
    drive.gateway = later(drive, 0, "T1")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    await drive.wait(3)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_ten_hits_by_a_guessed_reference_use_up_no_hint_of_the_buyers() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    for number in range(30):
        await by_reference(drive, payment_id, None, f"X{number % 3}")
        await drive.wait(3)
    drive.gateway = later(drive, 0, "T1")
    asked = await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(3)
    assert asked or drive.payment(payment_id).status is Status.COMPLETED
    assert len(drive.payment(payment_id).hint_asks) <= 1
    assert len(drive.payment(payment_id).referred_asks) <= 10


async def test_the_id_that_was_unknown_for_the_longest_time_gives_way() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    for number in range(25):
        await drive.hit(payment_id, transaction_id=f"T{number}")
        await drive.wait(3 * MINUTE)
    payment = drive.payment(payment_id)
    assert len(payment.candidates) == 20
    assert not payment.candidate_dropped
    assert payment.candidates[-1].transaction_id == "T24"


async def test_the_one_unknown_the_longest_gives_way_even_if_it_was_heard_later() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    opened = drive.clock.now
    await noted(drive, payment_id, *(unknown_since(number, opened, own=True) for number in range(20)))
    await drive.hit(payment_id, transaction_id="new")
    assert names(drive, payment_id) == {*(f"T{number}" for number in range(19)), "new"}


async def test_where_there_is_no_room_one_by_reference_alone_takes_no_place_from_the_own_path() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    opened = drive.clock.now
    await noted(drive, payment_id, *(unknown_since(number, opened, own=True) for number in range(20)))
    await by_reference(drive, payment_id, Said.SUCCESS)
    assert names(drive, payment_id) == {f"T{number}" for number in range(20)}


def test_an_id_is_unknown_since_the_first_question_that_did_not_find_it() -> None:
    one, end = Candidate(transaction_id="T1", signed=False), NOON + HOUR
    for asked_at in (NOON, NOON + MINUTE):
        one = unknown_to_gateway(one, asked_at, end)
        assert (one.unknown_since, one.unknown_at) == (NOON, asked_at)


def unknown_since(number: int, opened: datetime, *, own: bool) -> Candidate:
    """The higher the number, the later it was received and the earlier it was "not found"."""
    asked_at = opened - number * MINUTE
    return Candidate(
        transaction_id=f"T{number}",
        signed=False,
        own=own,
        heard_at=opened - HOUR + number * MINUTE,
        asked_at=asked_at,
        unknown_since=asked_at,
        unknown_at=asked_at,
    )


def names(drive: Drive, payment_id: str) -> set[str]:
    return {one.transaction_id for one in drive.payment(payment_id).candidates}


async def test_an_id_never_asked_comes_before_one_that_was_and_the_newest_first() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    in_flight = await drive.take(drive.claim(payment_id, transaction_id="T0"))
    for number in range(1, 4):
        await drive.take(drive.claim(payment_id, transaction_id=f"T{number}"))
    await drive.answer(in_flight)
    await drive.wait(7)
    asked = [one.question.transaction_id for one in drive.asked]
    assert asked[:4] == ["T0", "T3", "T2", "T1"]


@pytest.mark.parametrize(("first", "second"), [("known", "own"), ("own", "referred")])
async def test_of_what_is_due_a_known_id_comes_first_then_the_own_path_then_one_by_reference_alone(
    first: str, second: str
) -> None:
    """The second is newer each time, and was not asked about before."""
    drive = Drive(says(Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    if first == "known":
        await drive.hit(payment_id, transaction_id="known")
        drive.clock.advance(1)
    drive.gateway = others
    in_flight = await drive.take(drive.claim(payment_id, transaction_id="another's", signed=True))
    for name in (first, second):
        drive.clock.advance(1)
        if name == "referred":
            await by_reference(drive, payment_id, transaction_id=name)
        else:
            await drive.take(drive.claim(payment_id, transaction_id=name))
    await drive.answer(in_flight)
    drive.clock.advance(10)
    [assigned] = await drive.hit(payment_id, source=Source.SWEEP)
    assert assigned.question.transaction_id == first


async def test_trouble_about_made_up_ids_shuts_no_account() -> None:
    drive = Drive(lambda _: Inconclusive(trouble=Trouble.UNREADABLE, detail="HTTP 400 is no answer"))
    payment_id = await drive.open(CANDIDATES)
    for number in range(30):
        await drive.hit(payment_id, transaction_id=f"T{number}")
        await drive.wait(3)
    known = drive.ledger.limits_of(CANDIDATES.id)
    assert known is None or known.troubles == 0


# -- references --------------------------------------------------------------------------------------------------------


def echoes(reference: str) -> Gateway:
    def gateway(assigned: AssignedQuestion) -> Answer:
        return answered(assigned, Status.COMPLETED, reference=reference)

    return gateway


async def test_a_reference_in_another_case_is_held_as_identity_mismatch() -> None:
    drive = Drive()
    payment_id = await drive.open(CANDIDATES, reference="Order-7")
    drive.gateway = echoes("ORDER-7")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, Hold.IDENTITY_MISMATCH)


async def test_but_not_where_another_payment_has_exactly_that_reference() -> None:
    """Otherwise the buyer of ORDER-7 could hold Order-7."""
    drive = Drive()
    payment_id = await drive.open(CANDIDATES, reference="Order-7")
    await drive.open(CANDIDATES, reference="ORDER-7")
    drive.gateway = echoes("ORDER-7")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, None)
    assert [one.state for one in payment.candidates] == ["struck"]
    assert drive.ledger.entries(payment_id)[-1].data["refused"] == "other_payment"


async def test_nor_where_that_reply_comes_from_the_dead_letters() -> None:
    drive = Drive(troubled())
    payment_id = await drive.open(CANDIDATES, reference="Order-7")
    await drive.open(CANDIDATES, reference="ORDER-7")
    (assigned,) = await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    drive.clock.advance(1)
    await record_dead_replies(drive.ledger, drive.rules, [drive.reply(assigned, echoes("ORDER-7")(assigned))])
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, None)
    assert drive.ledger.entries(payment_id)[-1].data["refused"] == "other_payment"


async def test_an_id_of_another_payment_is_struck_out_though_a_signed_word_named_it_anew() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    drive.gateway = others
    await drive.hit(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1")
    await drive.wait(DAY)
    assert [one.question.transaction_id for one in drive.asked] == ["T1", "T1"]


@pytest.mark.parametrize("order", [*permutations(("stranger", "buyer", "webhook"))], ids=" ".join)
async def test_an_id_counts_for_the_most_that_anyone_who_named_it_brought(order: tuple[str, ...]) -> None:
    """Also where it is recorded after others, with the reply to the question that it led to."""
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    claims = {
        "stranger": drive.claim(payment_id, payment_id=None, reference="order-1", transaction_id="T1"),
        "buyer": drive.claim(payment_id, Said.SUCCESS, transaction_id="T1"),
        "webhook": drive.claim(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1"),
    }
    in_flight = [await drive.take(claims[name]) for name in order]
    await drive.answer([assigned for questions in in_flight for assigned in questions])
    (one,) = drive.payment(payment_id).candidates
    assert (one.own, one.signed, one.success_at is not None) == (True, True, True)


# -- known, and not paid yet -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Status.PENDING, None])
async def test_a_transaction_that_is_known_and_not_paid_yet_is_asked_about_closely(first: Status | None) -> None:
    """The buyer returned a moment before the gateway had the money: two minutes are too long.

    None is a word that is not in the gateway's table, as for money under review.
    """
    drive = Drive(lambda assigned: answered(assigned, first))
    payment_id = await drive.open(CANDIDATES)
    await drive.wait(60)
    await drive.hit(payment_id, transaction_id="T1")
    drive.gateway = later(drive, 4, "T1")
    await drive.wait(30)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_one_on_the_own_path_is_asked_about_closely_though_a_success_by_reference_alone_was_before() -> None:
    """Otherwise a stranger who guessed the reference an hour before would have used the close questions up."""
    drive = Drive()
    payment_id = await drive.open(CANDIDATES, lifetime=3 * HOUR)
    reference = drive.payment(payment_id).reference
    for name in ("T1", None):
        guessed = {"payment_id": None, "reference": reference, "transaction_id": name}
        await drive.publish(drive.claim(payment_id, Said.SUCCESS, **guessed))
    await drive.wait(HOUR)
    before = len(drive.asked)
    await drive.hit(payment_id, transaction_id="T2")
    await drive.wait(30)
    assert len(drive.asked) - before >= 4


async def test_of_two_known_ids_the_one_whose_signed_word_got_no_answer_is_asked_about_next() -> None:
    drive = Drive()
    payment_id = await drive.open(CANDIDATES)
    for name in ("T1", "T2"):
        await drive.hit(payment_id, transaction_id=name)
        await drive.wait(10)
    drive.gateway = troubled()
    await drive.hit(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1")
    drive.gateway = says(Status.PENDING)
    before = len(drive.asked)
    await drive.wait(MINUTE)
    assert drive.asked[before].question.transaction_id == "T1"


# -- a word that counts for more comes later ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", [None, Said.FAILURE, Said.CANCEL, Said.SUCCESS])
@pytest.mark.parametrize("after", [1 * HOUR, 3 * DAY, 20 * DAY])
async def test_a_signed_word_about_an_id_heard_long_before_has_its_delays_before_it(
    first: Said | None, after: timedelta
) -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, first, transaction_id="T1")
    await drive.wait(after)
    drive.gateway = later(drive, 2, "T1")
    await drive.hit(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1")
    await drive.wait(10)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_the_buyers_own_success_about_an_id_that_a_stranger_named_has_its_delays_too() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await by_reference(drive, payment_id, Said.SUCCESS, "T1")
    await drive.wait(3 * HOUR)
    drive.gateway = later(drive, 30, "T1")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    await drive.wait(90)
    assert drive.payment(payment_id).status is Status.COMPLETED


@pytest.mark.parametrize(("first", "again"), [(None, None), (None, Said.CANCEL), (Said.SUCCESS, Said.SUCCESS)])
async def test_any_other_hit_about_a_known_id_asks_once_and_leaves_its_delays_as_they_are(
    first: Said | None, again: Said | None
) -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, first, transaction_id="T1")
    await drive.wait(100)
    await drive.hit(payment_id, again, transaction_id="T1")
    await drive.wait(310)
    assert [round(at) for at in drive.seconds(payment_id)] == [0, 2, 7, 22, 82, 100, 400]


async def test_a_signed_event_that_is_repeated_renews_no_delays() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, Said.SUCCESS, signed=True, event_id="E1", transaction_id="T1")
    await drive.wait(100)
    await drive.hit(payment_id, Said.SUCCESS, signed=True, event_id="E1", transaction_id="T1")
    await drive.wait(200)
    assert [round(at) for at in drive.seconds(payment_id)] == [0, 2, 7, 22, 82]


@pytest.mark.parametrize("first", [{"said": Said.SUCCESS}, {"signed": True, "source": Source.WEBHOOK}], ids=str)
async def test_a_strangers_word_about_an_id_that_counts_for_more_takes_nothing_from_it(first: dict[str, Any]) -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1", **first)
    await by_reference(drive, payment_id, transaction_id="T1")
    await drive.wait(END + MINUTE)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


async def test_a_signed_word_about_an_id_that_is_struck_out_asks_nothing() -> None:
    drive = Drive(others)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    assert await drive.hit(payment_id, Said.SUCCESS, signed=True, transaction_id="T1") == []
    await drive.wait(DAY)
    assert len(drive.asked) == 1


async def test_of_the_claims_that_waited_for_their_payment_five_ids_are_kept_and_every_signed_one() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    for number in range(7):
        await drive.hit(payment_id, kept=True, transaction_id=f"T{number}")
    await drive.hit(payment_id, kept=True, signed=True, transaction_id="signed")
    assert names(drive, payment_id) == {"T0", "T1", "T2", "T3", "T4", "signed"}
    await drive.hit(payment_id, transaction_id="later")
    assert "later" in names(drive, payment_id)


async def test_a_word_on_the_own_path_that_met_a_bad_gateway_is_asked_about_until_it_is_answered() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(8 * DAY)
    drive.gateway = lambda _: Inconclusive(trouble=Trouble.SERVER_ERROR, detail="502")
    await drive.hit(payment_id, transaction_id="T1")
    drive.gateway = later(drive, 0, "T1")
    await drive.wait(HOUR)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_strangers_who_know_the_reference_do_not_starve_the_buyers_own() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    drive.gateway = later(drive, 12, "T1")
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    for number in range(300):
        await by_reference(drive, payment_id, Said.SUCCESS, f"X{number}")
        await drive.wait(1)
        if drive.payment(payment_id).status is Status.COMPLETED:
            break
    assert number < 40, "as soon as its own delays bring it"


async def test_questions_about_ids_by_reference_alone_are_ten_an_hour_whatever_brings_them() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES, lifetime=10 * HOUR)
    for number in range(5):
        await by_reference(drive, payment_id, None, f"X{number}")
    await drive.wait(HOUR - MINUTE)
    assert len(drive.asked) <= 10


async def test_released_as_pending_its_ids_are_asked_about_again() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, signed=True, transaction_id="T1")
    await drive.wait(3 * DAY)
    wish = ResolutionRequest(status=Status.PENDING, actor="rahima", reason="the gateway is behind")
    await resolve_payment(drive.ledger, drive.rules, payment_id, wish)
    drive.gateway = later(drive, 3600, "T1")
    await drive.wait(3 * HOUR)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_an_id_whose_last_question_was_turned_away_is_not_held_yet() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, signed=True, transaction_id="T1")
    await drive.wait(END - MINUTE)
    claim = drive.claim(payment_id, source=Source.SWEEP)
    drive.clock.advance(90)
    await take_claims(drive.ledger, drive.rules, [claim], drive.turns, {CANDIDATES.id: 0})
    assert drive.payment(payment_id).hold is None
    await drive.wait(MINUTE)
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


async def test_what_the_last_release_struck_out_since_it_was_not_known_yet_is_asked_about() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await noted(drive, payment_id, Candidate(transaction_id="T1", signed=False, state="struck"))
    drive.gateway = later(drive, 0, "T1")
    await drive.hit(payment_id, signed=True, transaction_id="T1")
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_an_id_of_the_last_release_counts_as_heard_at_the_opening() -> None:
    """The last release did not note when an id was received; an id that stays unknown closes with its payment."""
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    old = Candidate(transaction_id="T1", signed=False)
    async with drive.ledger.batch([payment_id]) as batch:
        await batch.store([Change(payment=replace(drive.payment(payment_id), candidates=(old,)))])
        await batch.commit()
    await drive.wait(END + CONFIRM - MINUTE)
    assert drive.told(payment_id) == []
    await drive.wait(2 * MINUTE)
    assert drive.told(payment_id) == ["payment.expired"]


async def noted(drive: Drive, payment_id: str, *ids: Candidate) -> None:
    """The payment as another release left it, with these ids."""
    async with drive.ledger.batch([payment_id]) as batch:
        await batch.store([Change(payment=replace(drive.payment(payment_id), candidates=ids))])
        await batch.commit()


async def test_an_id_of_which_the_last_release_did_not_note_when_it_was_heard_is_asked_about_as_from_the_opening() -> (
    None
):
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    await noted(drive, payment_id, Candidate(transaction_id="T1", signed=True))
    await drive.wait(10)
    await drive.hit(payment_id)
    await drive.wait(HOUR)
    assert drive.seconds(payment_id)[:4] == [10, 15, 30, 90]
    assert drive.payment(payment_id).hold is Hold.UNRESOLVED


async def test_an_id_that_the_last_release_noted_is_struck_out_for_good_where_it_is_anothers() -> None:
    drive = Drive(others)
    payment_id = await drive.open(CANDIDATES)
    await noted(drive, payment_id, Candidate(transaction_id="T1", signed=False))
    assert await drive.hit(payment_id, source=Source.OPERATOR)
    await drive.wait(HOUR)
    assert await drive.hit(payment_id, source=Source.OPERATOR) == []
    assert len(drive.asked) == 1


async def test_an_id_by_reference_of_which_nothing_is_ever_answered_is_not_asked_about_for_ever() -> None:
    """The waits grow, and end with `give_up`."""
    drive = Drive(lambda _: Inconclusive(trouble=Trouble.UNREADABLE, detail="an undocumented 404"))
    payment_id = await drive.open(CANDIDATES)
    await by_reference(drive, payment_id, Said.SUCCESS)
    await drive.wait(60 * DAY)
    assert drive.ledger.next_look() is None
    asked = drive.asked_times(payment_id)
    assert asked[-1] - drive.payment(payment_id).opened_at < 8 * DAY
    assert len(asked) < 30


async def test_the_waits_about_an_id_by_reference_double_and_are_no_shorter_than_the_last_close_delay() -> None:
    drive = Drive(troubled(), checks=Checks(claimed=(2, 60, 1800)))
    payment_id = await drive.open(CANDIDATES)
    await drive.wait(25 * MINUTE)
    heard = 25 * 60
    await by_reference(drive, payment_id)
    await drive.wait(5 * HOUR)
    asked = [round(at - heard) for at in drive.seconds(payment_id)]
    assert asked == [0, 2, 62, 900, 900 + 1800, 2 * 2700, 4 * 2700]


def test_the_last_question_about_an_id_that_nobody_answers_comes_at_the_very_moment_when_we_give_up() -> None:
    drive = Drive()
    payment, checks = drive.new(CANDIDATES), Checks()
    give_up = timedelta(seconds=checks.give_up)
    asked_at = payment.opened_at + give_up - timedelta(seconds=checks.claimed[-1])
    one = Candidate(transaction_id="T1", signed=True, heard_at=payment.opened_at, asked_at=asked_at, step=9)
    assert next_ask(payment, one, checks, payment.expires_at, give_up) == payment.opened_at + give_up


@pytest.mark.parametrize("outage", [2 * DAY, 6 * DAY])
async def test_an_id_by_reference_that_met_an_outage_is_asked_about_when_that_is_over(outage: timedelta) -> None:
    """Buyers of a shop that opens its own checkouts return by the reference alone. We give up after a week."""
    drive = Drive(lambda _: Inconclusive(trouble=Trouble.NO_REPLY, detail="silent"))
    payment_id = await drive.open(CANDIDATES)
    await by_reference(drive, payment_id, Said.SUCCESS, "T1")
    await drive.wait(outage)
    drive.gateway = later(drive, 0, "T1")
    await drive.wait(2 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, True)


@pytest.mark.parametrize(
    ("signed", "before", "comes"),
    [
        (True, MINUTE, timedelta()),
        (True, 2 * HOUR, 5 * MINUTE - 2 * HOUR),
        (True, timedelta(), None),
        (False, MINUTE, timedelta()),
        (False, 3 * DAY, timedelta()),
        (False, timedelta(), None),
    ],
)
def test_an_id_that_nobody_answers_is_asked_about_once_more_at_the_moment_when_we_give_up(
    *, signed: bool, before: timedelta, comes: timedelta | None
) -> None:
    """However long it would wait otherwise; the last question may have come long before."""
    drive = Drive()
    payment, checks = drive.new(CANDIDATES), Checks()
    give_up = timedelta(seconds=checks.give_up)
    heard_at, over = payment.opened_at, payment.opened_at + give_up
    one = Candidate(transaction_id="T1", signed=signed, own=signed, heard_at=heard_at, asked_at=over - before, step=9)
    asked_at = next_ask(payment, one, checks, payment.expires_at, give_up)
    assert asked_at == (None if comes is None else over + comes)


async def test_the_first_success_about_a_transaction_known_as_pending_begins_its_close_questions_anew() -> None:
    drive = Drive(lambda assigned: answered(assigned, Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    await drive.wait(60)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    drive.gateway = later(drive, 1, "T1")
    await drive.wait(4)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_signed_webhook_that_comes_too_late_to_be_believed_is_still_no_strangers_word() -> None:
    """The gateway's retry after an outage carries the time of its first try; only the gateway could have signed it."""
    drive = Drive(lambda _: Inconclusive(trouble=Trouble.NO_REPLY, detail="silent"))
    payment_id = await drive.open(CANDIDATES)
    reference = drive.payment(payment_id).reference
    claim = drive.claim(
        payment_id, Said.SUCCESS, payment_id=None, reference=reference, transaction_id="T1", source=Source.WEBHOOK
    )
    await drive.publish(claim)
    await drive.wait(2 * DAY)
    assert drive.payment(payment_id).status is Status.PENDING
    drive.gateway = later(drive, 0, "T1")
    await drive.wait(HOUR)
    assert drive.payment(payment_id).status is Status.COMPLETED


# -- what a word of success about one id does to the others ------------------------------------------------------------


async def test_a_success_by_reference_alone_about_one_id_brings_no_close_questions_about_another() -> None:
    drive = Drive(says(Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    await by_reference(drive, payment_id, transaction_id="T1")
    await drive.wait(10)
    drive.gateway = unknown
    await by_reference(drive, payment_id, Said.SUCCESS, "X")
    drive.gateway = says(Status.PENDING)
    await drive.wait(60)
    assert [one.question.transaction_id for one in drive.asked].count("T1") == 1


async def test_a_success_about_an_id_that_is_not_known_uses_up_no_new_beginning_of_one_that_is() -> None:
    drive = Drive(says(Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    await drive.hit(payment_id, transaction_id="T1")
    drive.gateway = lambda one: unknown(one) if one.question.transaction_id == "X" else answered(one, Status.PENDING)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="X")
    await drive.wait(100)
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="T1")
    drive.gateway = later(drive, 1, "T1")
    await drive.wait(4)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_success_about_an_id_for_which_there_is_no_room_keeps_the_payment_from_closing_by_the_clock() -> None:
    drive = Drive(troubled())
    payment_id = await drive.open(CANDIDATES)
    await noted(drive, payment_id, *(Candidate(transaction_id=f"T{number}", signed=False) for number in range(20)))
    await drive.hit(payment_id, Said.SUCCESS, transaction_id="new")
    assert names(drive, payment_id) == {f"T{number}" for number in range(20)}
    drive.gateway = unknown
    await drive.wait(HOUR)
    assert drive.told(payment_id) == []


# -- replies that come when things have changed ------------------------------------------------------------------------


async def test_a_late_reply_about_an_id_that_gave_way_changes_nothing() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    opened = drive.clock.now
    await noted(drive, payment_id, *(unknown_since(number, opened, own=True) for number in range(20)))
    asked_about = ""
    while asked_about != "T19":  # of its own schedule, so that no claim names it again
        in_flight = await drive.take(drive.claim(payment_id, source=Source.SWEEP))
        asked_about = in_flight[0].question.transaction_id or ""
        if asked_about != "T19":
            await drive.answer(in_flight)
    await drive.take(drive.claim(payment_id, transaction_id="new"))
    await drive.answer(in_flight)
    assert names(drive, payment_id) == {*(f"T{number}" for number in range(19)), "new"}


async def test_an_earlier_reply_about_an_id_that_is_recorded_later_takes_nothing_from_the_later_one() -> None:
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    [assigned] = await drive.publish(*(drive.claim(payment_id, transaction_id=one) for one in ("T1", "T2")))
    later = replace(drive.reply(assigned, answered(assigned, Status.PENDING)), asked_at=assigned.asked_at + MINUTE)
    for reply in (later, replace(later, asked_at=assigned.asked_at + MINUTE / 2)):
        await drive.record([reply])
    one, other = drive.payment(payment_id).candidates
    assert (one.state, one.fact_asked_at) == ("confirmed", assigned.asked_at + MINUTE)
    assert (other.state, other.fact_asked_at) == ("unasked", None), "no answer named the other id"


async def test_a_claim_whose_question_was_in_flight_while_its_id_gave_way_names_it_anew() -> None:
    """It is recorded with the reply, and so after the id that took its place."""
    drive = Drive(unknown)
    payment_id = await drive.open(CANDIDATES)
    opened = drive.clock.now
    await noted(drive, payment_id, *(unknown_since(number, opened, own=True) for number in range(20)))
    in_flight = await drive.take(drive.claim(payment_id, transaction_id="T19"))
    await drive.take(drive.claim(payment_id, transaction_id="new"))
    await drive.answer(in_flight)
    assert names(drive, payment_id) == {*(f"T{number}" for number in range(18)), "T19", "new"}


async def test_a_late_reply_strikes_out_no_id_that_the_gateway_knew_meanwhile() -> None:
    drive = Drive(says(Status.PENDING))
    payment_id = await drive.open(CANDIDATES)
    slow = await drive.take(drive.claim(payment_id, transaction_id="T1"))
    drive.clock.advance(31)
    assert await drive.hit(payment_id, transaction_id="T1")
    drive.gateway = others
    await drive.answer(slow)
    drive.gateway = later(drive, 0, "T1")
    await drive.wait(10)
    assert drive.payment(payment_id).status is Status.COMPLETED
