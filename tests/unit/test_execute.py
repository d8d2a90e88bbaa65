"""Execute takes money (3.11, and rules 1 to 5 of the decisions on OnePayBD): when it is asked, and when never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from consumers.checks.execute import (
    EXECUTE_TRIES,
    drop_execute_request,
    executing,
    in_doubt,
    may_execute,
    request_checked_at,
    request_execute,
    to_the_back,
    waiting,
)
from consumers.checks.order_execution import in_line
from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.readings import ExecuteRequest, Order
from consumers.timing import TIMING
from schemas.answers import ExecuteReply, Question, QuestionOutcome, Trouble
from schemas.checks import Checks
from schemas.words import Hold, QuestionKind, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import TRANSIT_SECONDS, Drive, Gateway, answered, dead, executed, says, troubled
from tests.fakes.providers import EXECUTING, PLAIN

EXECUTE, QUERY = QuestionKind.EXECUTE, QuestionKind.STATUS
COMPLETED, PENDING = Status.COMPLETED, Status.PENDING
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LAST = timedelta(milliseconds=1)
"""The last moment before a bound."""

TRANSIT = timedelta(seconds=TRANSIT_SECONDS)


def onepaybd(
    execute: ExecuteReply | Callable[[AssignedQuestion], ExecuteReply],
    then: Status | None,
    query: Status | None = PENDING,
) -> Gateway:
    """Execute replies this, with `then` as its answer; a Query answers `query`, or nothing."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        if assigned.question.kind is EXECUTE:
            return executed(assigned, execute if isinstance(execute, str) else execute(assigned), then)
        return troubled()(assigned) if query is None else answered(assigned, query)  # type: ignore[return-value]

    return gateway


def kinds(drive: Drive, payment_id: str) -> list[QuestionKind]:
    return [one.question.kind for one in drive.asked if one.expected.payment_id == payment_id]


def executions(drive: Drive, payment_id: str) -> list[float]:
    """When Execute was asked, in seconds after the opening."""
    times = zip(drive.seconds(payment_id), kinds(drive, payment_id), strict=True)
    return [at for at, kind in times if kind is EXECUTE]


# -- when it is asked (1, 2) -------------------------------------------------------------------------------------------


async def test_a_success_claim_executes_and_its_own_answer_completes() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.execute_state, payment.execute_unanswered) == (COMPLETED, None, False)
    assert kinds(drive, payment_id) == [EXECUTE]


@pytest.mark.parametrize("said", [Said.FAILURE, Said.CANCEL, None])
async def test_any_other_claim_asks_query(said: Said | None) -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    for source in (Source.RETURN, Source.OPERATOR, Source.SWEEP):
        await drive.hit(payment_id, said, source=source)
        await drive.wait(10)
    await drive.wait(3 * HOUR)
    assert EXECUTE not in kinds(drive, payment_id)


async def test_it_executes_with_the_session_we_stored_and_never_a_claims() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    (assigned,) = await drive.hit(
        payment_id, Said.SUCCESS, session_id="S-of-a-stranger", transaction_id="T-of-a-stranger"
    )
    assert assigned.question == Question(kind=EXECUTE)
    assert assigned.expected.session_id == "S-001"


async def test_without_a_session_nothing_is_executed() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    row = drive.new(EXECUTING)
    await drive.ledger.create(row, {}, timedelta(0))
    assert await drive.hit(row.id, Said.SUCCESS, session_id="S-of-a-stranger") == []


async def test_after_the_end_a_success_claim_asks_query() -> None:
    drive = Drive(onepaybd("completed", COMPLETED, query=None))
    payment_id = await drive.open(EXECUTING)
    await drive.wait(timedelta(minutes=30))
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(HOUR)
    assert EXECUTE not in kinds(drive, payment_id)


async def test_at_the_very_end_a_success_claim_wishes_for_no_execute() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    expires_at = drive.payment(payment_id).expires_at
    drive.clock.set(expires_at - timedelta(seconds=TRANSIT_SECONDS))
    [assigned] = await drive.hit(payment_id, Said.SUCCESS)
    assert (assigned.asked_at, assigned.question.kind) == (expires_at, QUERY)
    assert drive.payment(payment_id).execute_state is None


async def test_under_a_hold_of_money_a_success_claim_asks_query() -> None:
    drive = Drive(says(COMPLETED, amount=Decimal("1.00")))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).hold is Hold.AMOUNT_MISMATCH
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(60)
    assert EXECUTE not in kinds(drive, payment_id)


async def test_a_hold_of_money_that_comes_after_the_wish_stops_it() -> None:
    """A reply that was long on its way comes between the claim and its turn."""
    drive = Drive(says(COMPLETED, amount=Decimal("1.00")))
    payment_id = await drive.open(EXECUTING)
    slow = await drive.take(drive.claim(payment_id))
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).execute_state == "wanted"
    await drive.answer(slow)
    assert drive.payment(payment_id).hold is Hold.AMOUNT_MISMATCH
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(60)
    assert EXECUTE not in kinds(drive, payment_id)


async def test_under_a_hold_that_waits_it_executes() -> None:
    """Rule 2 names holds of money only."""
    drive = Drive(says(None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(3)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (COMPLETED, None)


@pytest.mark.parametrize("status", [Status.FAILED, COMPLETED])
async def test_a_payment_that_is_not_pending_is_not_executed(status: Status) -> None:
    drive = Drive(says(status))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(60)
    assert EXECUTE not in kinds(drive, payment_id)


async def test_a_status_fact_does_not_answer_a_claim_of_success() -> None:
    """A Fact of the same question; the sweep's Query came between the claim and its turn."""
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    claim = drive.claim(payment_id, Said.SUCCESS)
    drive.clock.advance(1)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await drive.publish(claim)
    await drive.wait(5)
    assert drive.payment(payment_id).status is COMPLETED


async def test_executes_own_answer_answers_a_status_claim() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    waiting = drive.claim(payment_id, signed=True)
    drive.clock.advance(1)
    await drive.hit(payment_id, Said.SUCCESS)
    assert await drive.publish(waiting) == []


async def test_it_executes_before_the_end_and_not_at_it() -> None:
    """The wish is much older; the order was busy with another attempt."""
    for before, kind in ((LAST, EXECUTE), (timedelta(0), QUERY)):
        drive = Drive(onepaybd("refused", PENDING))
        first = await drive.open(EXECUTING, order_ref="basket-9")
        second = await drive.open(EXECUTING, order_ref="basket-9")
        in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
        await drive.hit(second, Said.SUCCESS)
        await drive.answer(in_flight)
        drive.clock.set(drive.payment(second).expires_at - before - TRANSIT)
        (assigned,) = await drive.hit(second, source=Source.OPERATOR)
        assert (assigned.question.kind, assigned.asked_at) == (kind, drive.payment(second).expires_at - before)


@pytest.mark.parametrize(
    ("done", "may"),
    [
        ({"execute_tries": EXECUTE_TRIES - 1}, True),
        ({"execute_tries": EXECUTE_TRIES}, False),
        ({"execute_asked_at": NOON - timedelta(seconds=2)}, True),
        ({"execute_asked_at": NOON - timedelta(seconds=2) + LAST}, False),
        ({"execute_asked_at": NOON + timedelta(seconds=1)}, False),
    ],
)
def test_it_is_tried_twenty_times_and_two_seconds_after_the_last(done: dict[str, Any], may: bool) -> None:
    payment = request_execute(Drive().new(EXECUTING, session_id="S", **done), NOON)
    assert may_execute(payment, EXECUTING.provider.capabilities, NOON) is may


# -- committed first (3) -----------------------------------------------------------------------------------------------


async def test_the_wish_and_the_lease_are_committed_before_the_call() -> None:
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    await drive.take(drive.claim(payment_id, Said.SUCCESS))
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_unanswered, payment.execute_tries) == ("kept", True, 1)
    assert payment.lease_until == drive.clock.now + TIMING.execute_lease == drive.clock.now + timedelta(seconds=40)


async def test_two_buyers_windows_execute_once() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    taken = await asyncio.gather(*(drive.take(drive.claim(payment_id, Said.SUCCESS)) for _ in range(5)))
    assert [one.question.kind for questions in taken for one in questions] == [EXECUTE]


async def test_when_whoever_executed_dies_query_decides_and_execute_waits_a_minute() -> None:
    """A crash keeps the wish."""
    drive = Drive(dead)
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(59)
    assert kinds(drive, payment_id)[:2] == [EXECUTE, QUERY]
    assert executions(drive, payment_id) == [0]
    assert drive.seconds(payment_id)[1] < 2
    await drive.wait(120)
    assert drive.payment(payment_id).status is COMPLETED
    assert len(executions(drive, payment_id)) == 2


# -- what its replies mean (4) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["settled", "other", "refused"])
async def test_after_any_other_reply_the_query_alone_is_the_fact(reply: ExecuteReply) -> None:
    drive = Drive(onepaybd(reply, COMPLETED))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).status is COMPLETED
    assert [fact.answer.status for fact in drive.ledger.facts(payment_id)] == [COMPLETED]


async def test_a_refusal_clears_the_wish_and_the_next_success_claim_tries_again() -> None:
    """The buyer has not approved yet."""
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_unanswered) == (None, False)
    await drive.wait(600)
    assert executions(drive, payment_id) == [0], "no claim, no Execute"
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(3)
    assert drive.payment(payment_id).status is COMPLETED


async def test_a_refusal_leaves_the_wish_of_a_buyer_who_came_back_while_it_was_under_way() -> None:
    """A forged claim caused it; the buyer approves and returns before the gateway's refusal arrives."""
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    questions = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(0.2)
    assert await drive.take(drive.claim(payment_id, Said.SUCCESS)) == [], "one question at a time"
    await drive.answer(questions)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(30)
    assert drive.payment(payment_id).status is COMPLETED
    assert len(executions(drive, payment_id)) == 2


@pytest.mark.parametrize(("after", "again"), [(timedelta(0), False), (LAST, True)])
async def test_a_refusal_leaves_only_the_wish_of_a_claim_that_came_after_the_question(
    after: timedelta, again: bool
) -> None:
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    questions = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    received_at = questions[0].asked_at + after
    drive.clock.advance(1)
    await drive.take(drive.claim(payment_id, Said.SUCCESS, received_at=received_at))
    await drive.answer(questions)
    await drive.wait(30)
    assert len(executions(drive, payment_id)) == 1 + again


async def test_the_wish_that_a_refusal_leaves_stands_in_line_since_its_own_claim() -> None:
    """Another attempt of the order wished before the buyer returned to this attempt."""
    drive = Drive(onepaybd("refused", PENDING))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
    for payment_id in (second, first):
        drive.clock.advance(1)
        await drive.hit(payment_id, Said.SUCCESS)
    await drive.answer(in_flight)
    await drive.hit(first, source=Source.OPERATOR)
    await drive.hit(second, source=Source.OPERATOR)
    assert kinds(drive, first) == [EXECUTE, QUERY]
    assert kinds(drive, second) == [QUERY, EXECUTE]


async def test_after_a_refusal_the_wish_that_is_left_waits_two_seconds_and_no_question_comes_before() -> None:
    """The time when it waited for its order no longer counts."""
    drive = Drive(onepaybd("refused", PENDING))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
    await drive.hit(second, Said.SUCCESS)
    await drive.answer(in_flight)
    drive.clock.advance(3)
    questions = await drive.take(drive.claim(second, source=Source.OPERATOR))
    asked_at = questions[0].asked_at
    drive.clock.advance(0.2)
    await drive.hit(second, Said.SUCCESS)
    await drive.answer(questions)
    await drive.wait(2)
    assert drive.asked_times(second)[-2:] == [asked_at, asked_at + timedelta(seconds=2, milliseconds=1)]
    assert kinds(drive, second)[-2:] == [EXECUTE, EXECUTE]


async def test_execute_is_tried_every_two_seconds_at_most() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    for _ in range(40):
        await drive.hit(payment_id, Said.SUCCESS)
        await drive.hit(payment_id, source=Source.OPERATOR)
        await drive.wait(0.2)
    at = executions(drive, payment_id)
    assert len(at) > 2
    assert min(later - earlier for earlier, later in pairwise(at)) >= 2


async def test_execute_is_tried_twenty_times_in_all() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING, lifetime=DAY)
    for _ in range(40):
        await drive.hit(payment_id, Said.SUCCESS)
        await drive.wait(timedelta(minutes=20))
    assert len(executions(drive, payment_id)) == 20


@pytest.mark.parametrize("reply", ["none", "other"])
async def test_without_a_reply_the_wish_is_kept_and_execute_comes_again_when_query_says_pending(
    reply: ExecuteReply,
) -> None:
    """Query on the claimed schedule, and Execute again when it says pending at least a minute later."""
    drive = Drive(onepaybd(reply, None if reply == "none" else PENDING))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).execute_state == "kept"
    await drive.wait(59)
    assert kinds(drive, payment_id) == [EXECUTE, QUERY, QUERY, QUERY]
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(timedelta(minutes=2))
    payment = drive.payment(payment_id)
    assert (payment.status, payment.execute_state) == (COMPLETED, None)
    first, second = executions(drive, payment_id)
    assert second - first >= 60


async def test_a_kept_wish_is_not_executed_again_while_query_is_silent() -> None:
    drive = Drive(onepaybd("none", None, query=None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(timedelta(minutes=25))
    assert executions(drive, payment_id) == [0]


async def test_a_success_claim_does_not_repeat_a_kept_execute() -> None:
    drive = Drive(onepaybd("none", None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    for _ in range(10):
        await drive.hit(payment_id, Said.SUCCESS)
        await drive.wait(5)
    assert executions(drive, payment_id) == [0]


async def test_a_kept_wish_is_not_executed_after_the_end() -> None:
    drive = Drive(onepaybd("none", None, query=None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(timedelta(minutes=30))
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(HOUR)
    assert executions(drive, payment_id) == [0]


async def test_money_that_an_execute_without_a_reply_took_is_found_by_query() -> None:
    drive = Drive(onepaybd("none", None, query=COMPLETED))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(3)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.execute_state) == (COMPLETED, None)
    assert len(executions(drive, payment_id)) == 1


@pytest.mark.parametrize("trouble", [Trouble.NO_REPLY, Trouble.SERVER_ERROR, Trouble.RATE_LIMITED])
async def test_a_call_that_never_became_an_execute_keeps_the_wish(trouble: Trouble) -> None:
    """The worker's own trouble (breaker, budget, no token) comes as Inconclusive and not as Executed."""
    drive = Drive(troubled(trouble))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).execute_state == "kept"
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(timedelta(minutes=3))
    assert drive.payment(payment_id).status is COMPLETED


# -- closing (5) -------------------------------------------------------------------------------------------------------


async def test_with_an_unanswered_execute_the_clock_closes_only_after_a_day() -> None:
    drive = Drive(onepaybd("none", None))
    payment_id = await drive.open(EXECUTING, lifetime=timedelta(minutes=1))
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(DAY - timedelta(minutes=1))
    assert drive.payment(payment_id).status is PENDING
    await drive.wait(timedelta(minutes=12))
    assert drive.payment(payment_id).status is Status.EXPIRED


async def test_with_an_execute_that_was_refused_it_closes_at_its_end() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(timedelta(minutes=43))
    assert drive.payment(payment_id).status is Status.EXPIRED


# -- one attempt of an order (2) ---------------------------------------------------------------------------------------


async def test_while_one_attempt_executes_the_other_asks_query() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
    await drive.hit(second, Said.SUCCESS)
    assert kinds(drive, second) == [QUERY]
    await drive.answer(in_flight)
    await drive.wait(60)
    assert drive.payment(first).status is COMPLETED
    assert EXECUTE not in kinds(drive, second)
    assert drive.payment(second).status is PENDING


async def test_two_attempts_claimed_in_one_batch_execute_once() -> None:
    drive = Drive()
    attempts = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(3)]
    questions = await drive.take(*(drive.claim(one, Said.SUCCESS) for one in attempts))
    assert sorted(one.question.kind for one in questions) == [EXECUTE, QUERY, QUERY]


async def test_after_a_paid_attempt_no_other_executes() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    await drive.wait(60)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(60)
    assert EXECUTE not in kinds(drive, second)


@pytest.mark.parametrize("end", ["refused", "failed"])
async def test_an_attempt_that_took_nothing_frees_the_order(end: str) -> None:
    drive = Drive(onepaybd("refused", PENDING) if end == "refused" else onepaybd("other", Status.FAILED))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(second, Said.SUCCESS)
    payment = drive.payment(second)
    assert (payment.status, payment.hold) == (COMPLETED, None)


async def test_an_attempt_whose_execute_is_in_doubt_keeps_the_order() -> None:
    drive = Drive(onepaybd("none", None))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    await drive.wait(5)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(20)
    assert EXECUTE not in kinds(drive, second)


async def test_the_attempt_that_the_buyer_approved_executes_when_the_order_is_free() -> None:
    """The buyer who approved it has gone; no claim will wish for it again."""
    drive = Drive(onepaybd("refused", PENDING))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
    await drive.hit(second, Said.SUCCESS)
    assert drive.payment(second).execute_state == "wanted"
    await drive.answer(in_flight)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(5)
    assert drive.payment(second).status is COMPLETED


async def test_it_waits_for_an_attempt_in_doubt_and_executes_once_that_took_nothing() -> None:
    drive = Drive(onepaybd("none", None, query=None))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    await drive.wait(5)
    await drive.hit(second, Said.SUCCESS)
    drive.gateway = onepaybd("refused", PENDING)
    await drive.wait(timedelta(minutes=6))
    assert executions(drive, second) != []
    assert min(executions(drive, second)) >= 60


async def test_hits_that_go_on_do_not_put_a_waiting_wish_off() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
    for _ in range(5):
        await drive.hit(second, Said.SUCCESS, source=Source.OPERATOR)
        await drive.wait(0.5)
    await drive.answer(in_flight)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(second, Said.SUCCESS, source=Source.OPERATOR)
    assert drive.payment(second).status is COMPLETED


async def test_the_wish_of_the_oldest_claim_goes_first() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    busy, *others = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(4)]
    in_flight = await drive.take(drive.claim(busy, Said.SUCCESS))
    for one in reversed(others):
        await drive.hit(one, Said.SUCCESS)
        await drive.wait(1)
    await drive.answer(in_flight)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(10)
    assert [drive.payment(one).status for one in others] == [PENDING, PENDING, COMPLETED]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_younger_wish_does_not_go_ahead_of_one_that_waits(at_once: bool) -> None:
    """The order has just become free, and the younger attempt is looked at first.

    Two of the wishes came in one batch.
    """
    drive = Drive(onepaybd("refused", PENDING))
    busy, older, younger = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(3)]
    wishes = [drive.claim(busy, Said.SUCCESS), drive.claim(older, Said.SUCCESS)]
    in_flight = await drive.take(*wishes) if at_once else [*await drive.take(wishes[0]), *await drive.take(wishes[1])]
    assert [one.question.kind for one in in_flight] == [EXECUTE, QUERY]
    await drive.answer(in_flight)
    await drive.hit(younger, Said.SUCCESS)
    assert kinds(drive, younger) == [QUERY]
    await drive.wait(10)
    assert executions(drive, older)[0] < executions(drive, younger)[0]


@pytest.mark.parametrize(
    ("waited", "seconds"), [(timedelta(0), 2), (MINUTE - LAST, 2), (MINUTE, 15), (10 * MINUTE, 15)]
)
def test_a_waiting_wish_is_looked_at_every_two_seconds_for_a_minute_and_then_less_often(
    waited: timedelta, seconds: int
) -> None:
    payment = request_execute(Drive().new(EXECUTING), NOON)
    assert request_checked_at(waiting(payment, NOON + waited)) == NOON + waited + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("older_by", "looked_at_again", "waits"),
    [
        (timedelta(seconds=1), NOON, True),
        (timedelta(seconds=1), NOON - MINUTE + LAST, True),
        (timedelta(seconds=1), NOON - MINUTE, False),
        (timedelta(seconds=1), None, False),
        (-timedelta(seconds=1), NOON, False),
    ],
)
def test_a_wish_waits_for_an_older_one_of_its_order_that_was_looked_at_within_a_minute(
    older_by: timedelta, looked_at_again: datetime | None, waits: bool
) -> None:
    drive = Drive()
    payment = request_execute(drive.new(EXECUTING, session_id="S", order_ref="basket-9"), NOON)
    other = ExecuteRequest(payment_id="pay_other", wanted_at=NOON - older_by, waits_until=looked_at_again)
    after = in_line(payment, Order(execute_requests=(other,)), drive.rules, NOON)
    assert after == (waiting(payment, NOON) if waits else payment)


def test_a_wish_is_not_looked_at_any_more_from_the_end_on_nor_when_it_is_none() -> None:
    payment = request_execute(Drive().new(EXECUTING), NOON)
    end = payment.expires_at
    assert request_checked_at(replace(payment, execute_waits_until=end - LAST)) == end - LAST
    assert request_checked_at(replace(payment, execute_waits_until=end)) is None
    assert request_checked_at(replace(payment, execute_waits_until=NOON, execute_state=None)) is None
    assert request_checked_at(executing(waiting(payment, NOON), NOON)) is None


def test_nothing_of_a_wish_stays_when_it_is_dropped() -> None:
    payment = Drive().new(EXECUTING)
    assert drop_execute_request(waiting(request_execute(payment, NOON), NOON)) == payment


@pytest.mark.parametrize("state", [None, "kept"])
def test_only_a_wish_that_could_be_sent_now_goes_to_the_back_of_the_line(state: Literal["kept"] | None) -> None:
    payment = request_execute(Drive().new(EXECUTING), NOON)
    assert to_the_back(payment, NOON + MINUTE).execute_wanted_at == NOON + MINUTE
    other = replace(payment, execute_state=state)
    assert to_the_back(other, NOON + MINUTE) == other


async def test_a_wish_that_its_account_turns_away_goes_to_the_back_of_the_line() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING, order_ref="basket-9")
    claim = drive.claim(payment_id, Said.SUCCESS)
    drive.clock.advance(5)
    taken = await take_claims(drive.ledger, drive.rules, [claim], drive.turns, {EXECUTING.id: 0})
    assert (taken.questions, taken.waiting) == ([], [])
    assert drive.payment(payment_id).execute_wanted_at == drive.clock.now


async def test_a_younger_wish_that_is_looked_at_first_leaves_the_order_to_the_oldest() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    busy, younger, oldest = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(3)]
    in_flight = await drive.take(drive.claim(busy, Said.SUCCESS))
    for one in (oldest, younger):
        await drive.hit(one, Said.SUCCESS)
        await drive.wait(0.5)
    await drive.answer(in_flight)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(younger, source=Source.OPERATOR)
    await drive.wait(10)
    assert (drive.payment(younger).status, drive.payment(oldest).status) == (PENDING, COMPLETED)


async def test_a_wish_is_dropped_when_another_attempt_is_paid_and_a_new_claim_brings_it_again() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    in_flight = await drive.take(drive.claim(first, Said.SUCCESS))
    await drive.hit(second, Said.SUCCESS)
    assert drive.payment(second).execute_state == "wanted"
    await drive.answer(in_flight)
    await drive.wait(10)
    assert drive.payment(second).execute_state is None
    assert EXECUTE not in kinds(drive, second)


@pytest.mark.parametrize("word", [Status.FAILED, Status.CANCELLED, Status.EXPIRED])
async def test_what_query_says_within_a_minute_of_an_unanswered_execute_closes_nothing(word: Status) -> None:
    """The money may be taken a moment later; nor is the order free until then."""
    drive = Drive(onepaybd("none", None, query=word))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(30)
    assert drive.payment(first).status is PENDING
    assert EXECUTE not in kinds(drive, second)
    drive.gateway = onepaybd("none", None, query=COMPLETED)
    await drive.wait(timedelta(minutes=2))
    assert drive.payment(first).status is COMPLETED


@pytest.mark.parametrize("reply", ["none", "unread"])
async def test_nor_does_the_query_that_follows_the_lost_reply_at_once(reply: ExecuteReply) -> None:
    drive = Drive(onepaybd(reply, Status.FAILED))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).status is PENDING


async def test_once_the_reply_is_known_what_query_says_within_the_minute_closes() -> None:
    drive = Drive(onepaybd("other", PENDING, query=Status.FAILED))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(3)
    assert drive.payment(payment_id).status is Status.FAILED


@pytest.mark.parametrize(
    ("after", "word", "becomes"),
    [
        (MINUTE - LAST, Status.FAILED, (PENDING, "kept")),
        (MINUTE, Status.FAILED, (Status.FAILED, None)),
        (MINUTE - LAST, PENDING, (PENDING, "kept")),
        (MINUTE, PENDING, (PENDING, "wanted")),
    ],
)
async def test_what_query_says_counts_from_the_minute_on(
    after: timedelta, word: Status, becomes: tuple[Status, str | None]
) -> None:
    """Execute may be in flight until then; its reply was lost."""
    drive = Drive(onepaybd("none", None, query=word))
    payment_id = await drive.open(EXECUTING)
    (asked,) = await drive.hit(payment_id, Said.SUCCESS)
    drive.clock.set(asked.asked_at + after - TRANSIT)
    await drive.hit(payment_id, source=Source.OPERATOR)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.execute_state) == becomes


def test_an_execute_is_in_doubt_for_a_minute() -> None:
    payment = executing(request_execute(Drive().new(EXECUTING), NOON), NOON)
    assert in_doubt(payment, NOON + MINUTE - LAST)
    assert not in_doubt(payment, NOON + MINUTE)


async def test_what_query_says_a_minute_later_closes() -> None:
    drive = Drive(onepaybd("none", None, query=Status.FAILED))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(timedelta(minutes=7))
    assert drive.payment(payment_id).status is Status.FAILED


async def test_an_execute_that_was_not_sent_in_time_counts_as_none() -> None:
    drive = Drive(onepaybd("not_sent", None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_tries, payment.execute_unanswered) == ("wanted", 0, False)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(5)
    assert drive.payment(payment_id).status is COMPLETED


async def test_an_execute_that_was_not_sent_comes_two_seconds_later_wherever_the_schedule_stands() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(10 * MINUTE)
    drive.gateway = onepaybd("not_sent", None)
    await drive.hit(payment_id, Said.SUCCESS)
    asked_at = drive.asked_times(payment_id)[-1]
    assert drive.payment(payment_id).execute_tries == 1, "only the earlier call counts"
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(3)
    assert drive.payment(payment_id).status is COMPLETED
    assert drive.asked_times(payment_id)[-1] - asked_at == timedelta(seconds=2) + TRANSIT


async def test_an_execute_that_was_not_sent_does_not_go_again_before_an_older_wish() -> None:
    """The first attempt's reply was lost, so the other attempt waits, and is looked at less often than the first."""
    replies: list[ExecuteReply] = ["none", "not_sent", "completed"]

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        if assigned.question.kind is not EXECUTE:
            return answered(assigned, PENDING)
        reply = replies.pop(0)
        return executed(assigned, reply, COMPLETED if reply == "completed" else None)

    drive = Drive(gateway)
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(2 * MINUTE)
    assert replies == []
    assert (drive.payment(first).status, drive.payment(second).status) == (PENDING, COMPLETED)


async def test_the_late_word_that_one_execute_was_not_sent_ends_no_doubt_about_the_next_one() -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    (held_up,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(61)
    drive.gateway = onepaybd("none", PENDING)
    await drive.hit(payment_id, source=Source.OPERATOR)  # a Query says pending, so Execute may be asked again
    drive.clock.advance(3)
    (second,) = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    assert (held_up.question.kind, second.question.kind) == (EXECUTE, EXECUTE)
    await drive.record([drive.reply(held_up, executed(held_up, "not_sent", None))])
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_unanswered) == ("kept", True)


@pytest.mark.parametrize("reply", ["refused", "other", "settled"])
async def test_the_late_reply_to_one_execute_closes_nothing_while_the_next_one_may_be_under_way(
    reply: ExecuteReply,
) -> None:
    """The reply could not be recorded at once, and is recorded later. The second Execute may take the money."""
    drive = Drive(onepaybd("none", PENDING))
    payment_id = await drive.open(EXECUTING)
    (held_up,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    late = drive.reply(held_up, executed(held_up, reply, Status.FAILED))
    drive.clock.advance(61)
    await drive.hit(payment_id, source=Source.OPERATOR)  # a Query says pending, so Execute may be asked again
    drive.clock.advance(3)
    (second,) = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    assert (held_up.question.kind, second.question.kind) == (EXECUTE, EXECUTE)
    await drive.record([late])
    payment = drive.payment(payment_id)
    assert (payment.status, payment.execute_state, drive.told(payment_id)) == (PENDING, "kept", [])
    await drive.record([drive.reply(second, executed(second, "completed", COMPLETED))])
    assert drive.told(payment_id) == ["payment.completed"]


async def test_a_reply_that_cannot_be_read_keeps_the_doubt() -> None:
    drive = Drive(onepaybd("unread", PENDING))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.execute_unanswered) == ("kept", True)


@pytest.mark.parametrize(("ago", "executes"), [(HOUR, True), (HOUR + LAST, False)])
async def test_a_claim_that_was_kept_for_more_than_an_hour_wishes_for_no_execute(
    ago: timedelta, *, executes: bool
) -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    payment_id = await drive.open(EXECUTING)
    taken_at = drive.clock.now + TRANSIT
    await drive.hit(payment_id, Said.SUCCESS, kept=True, received_at=taken_at - ago)
    await drive.wait(60)
    assert (EXECUTE in kinds(drive, payment_id)) is executes


async def test_a_person_who_closes_it_within_the_minute_does_not_free_its_order() -> None:
    drive = Drive(onepaybd("none", None, query=None))
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    drive.gateway = says(None)
    await drive.wait(4)
    assert drive.payment(first).hold is Hold.UNMAPPED_STATUS
    wish = ResolutionRequest(status=Status.CANCELLED, actor="rahima", reason="the buyer called")
    await resolve_payment(drive.ledger, drive.rules, first, wish)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(40)
    assert EXECUTE not in kinds(drive, second)
    await drive.wait(60)
    assert EXECUTE in kinds(drive, second)


@pytest.mark.parametrize("then", ["not_sent", "refused"])
async def test_an_execute_whose_reply_was_lost_stays_in_doubt_whatever_becomes_of_the_next(then: ExecuteReply) -> None:
    drive = Drive(onepaybd("none", None, query=PENDING))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = onepaybd(then, None if then == "not_sent" else PENDING)
    await drive.wait(timedelta(hours=2))
    assert len(executions(drive, payment_id)) > 1
    assert drive.payment(payment_id).status is PENDING
    await drive.wait(DAY)
    assert drive.payment(payment_id).status is Status.EXPIRED


@pytest.mark.parametrize("reply", ["not_sent", "refused", "settled", "other"])
async def test_no_reply_to_a_later_execute_ends_the_doubt_about_an_earlier_one(reply: ExecuteReply) -> None:
    drive = Drive(onepaybd("none", None))
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id, Said.SUCCESS)
    drive.gateway = onepaybd(reply, None if reply == "not_sent" else PENDING)
    while len(executions(drive, payment_id)) < 2:
        await drive.wait(10)
    assert drive.payment(payment_id).execute_unanswered is True


async def test_an_attempt_whose_execute_cannot_be_sent_lets_the_others_of_its_order_go_first() -> None:
    sent = onepaybd("completed", COMPLETED)

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        if assigned.question.kind is EXECUTE and assigned.expected.payment_id == first:
            return executed(assigned, "not_sent", None)
        found = sent(assigned)
        assert found is not None
        return found if assigned.question.kind is EXECUTE else answered(assigned, PENDING)

    drive = Drive(gateway)
    first = await drive.open(EXECUTING, order_ref="basket-9")
    second = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(first, Said.SUCCESS)
    await drive.wait(1)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(20)
    assert drive.payment(second).status is COMPLETED


# -- another server took over ------------------------------------------------------------------------------------------


async def test_after_a_takeover_nothing_executes_for_a_minute_and_nothing_without_a_query() -> None:
    """The last recorded Execute may be missing there, and its money may become known a little later."""
    drive = Drive(onepaybd("completed", COMPLETED), checks=Checks(claimed=(0.3, 3600.0)))
    first, second = [await drive.open(EXECUTING) for _ in range(2)]
    drive.clock.advance(10)
    drive.ledger.since = drive.clock.now
    await drive.hit(first, Said.SUCCESS)
    assert kinds(drive, first) == [QUERY]
    await drive.wait(30)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(MINUTE)
    for payment_id in (first, second):
        (executed_at,) = executions(drive, payment_id)
        queries = [at for at in drive.seconds(payment_id) if at < executed_at]
        assert 10 + 60 <= max(queries) < executed_at < 10 + 60 + 2
        assert drive.told(payment_id) == ["payment.completed"]


async def test_money_that_an_execute_took_before_the_takeover_is_found_by_query() -> None:
    drive = Drive(onepaybd("settled", COMPLETED, query=COMPLETED))
    payment_id = await drive.open(EXECUTING)
    drive.clock.advance(10)
    drive.ledger.since = drive.clock.now
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (kinds(drive, payment_id), payment.status, payment.execute_state) == ([QUERY], COMPLETED, None)


async def test_a_wish_that_waited_for_its_order_counts_as_sent_when_another_server_takes_over() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    busy, waits = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(2)]
    in_flight = await drive.take(drive.claim(busy, Said.SUCCESS))
    await drive.hit(waits, Said.SUCCESS)
    assert drive.payment(waits).execute_state == "wanted"
    drive.ledger.since = drive.clock.now
    await drive.answer(in_flight)
    await drive.wait(59)
    assert executions(drive, waits) == []
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.wait(2 * MINUTE)
    assert (len(executions(drive, waits)), drive.payment(waits).status) == (1, COMPLETED)


async def test_after_a_takeover_an_attempt_waits_for_another_that_may_have_executed_unknown_to_the_new_server() -> None:
    """Its claim, its wish and its Execute were one write, which is missing; and the money is there."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        if assigned.expected.payment_id == executed_before:
            return answered(assigned, COMPLETED)
        return onepaybd("completed", COMPLETED)(assigned)  # type: ignore[return-value]

    drive = Drive(gateway)
    executed_before = await drive.open(EXECUTING, order_ref="basket-9")
    drive.clock.advance(10)
    drive.ledger.since = drive.clock.now
    other = await drive.open(EXECUTING, order_ref="basket-9")
    drive.clock.advance(MINUTE.total_seconds())
    await drive.hit(other, Said.SUCCESS)
    await drive.wait(10 * MINUTE)
    assert executions(drive, other) == []
    assert drive.told(executed_before) == ["payment.completed"]
    assert drive.payment(other).execute_state is None


async def test_after_a_takeover_an_attempt_waits_while_nobody_is_told_what_became_of_another() -> None:
    silent = set[str]()

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        asked = troubled() if assigned.expected.payment_id in silent else onepaybd("completed", COMPLETED)
        return asked(assigned)  # type: ignore[return-value]

    drive = Drive(gateway)
    first, second = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(2)]
    silent.add(first)
    drive.clock.advance(10)
    drive.ledger.since = drive.clock.now
    await drive.hit(first, Said.SUCCESS)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(5 * MINUTE)
    assert drive.payment(first).execute_unanswered
    assert executions(drive, second) == []
    silent.clear()
    await drive.wait(5 * MINUTE)
    assert len(executions(drive, first)) + len(executions(drive, second)) == 1
    assert [drive.payment(one).hold for one in (first, second)] == [None, None]


async def test_after_a_takeover_nobody_waits_for_an_attempt_that_is_not_executed() -> None:
    """A payment there needs no Execute of ours."""
    drive = Drive(onepaybd("completed", COMPLETED))
    await drive.open(PLAIN, order_ref="basket-9")
    drive.clock.advance(10)
    drive.ledger.since = drive.clock.now
    drive.clock.advance(MINUTE.total_seconds())
    other = await drive.open(EXECUTING, order_ref="basket-9")
    await drive.hit(other, Said.SUCCESS)
    assert kinds(drive, other) == [EXECUTE]


@pytest.mark.parametrize(("opened", "claimed", "asked"), [(1, 62, [EXECUTE]), (1, 2, [QUERY]), (-1, 600, [QUERY])])
async def test_of_what_is_opened_after_a_takeover_only_the_minute_counts(
    opened: int, claimed: int, asked: list[QuestionKind]
) -> None:
    drive = Drive(onepaybd("completed", COMPLETED))
    drive.ledger.since = since = drive.clock.now + 2 * MINUTE
    drive.clock.set(since + timedelta(seconds=opened))
    payment_id = await drive.open(EXECUTING)
    drive.clock.set(since + timedelta(seconds=claimed))
    await drive.hit(payment_id, Said.SUCCESS)
    assert kinds(drive, payment_id) == asked
    await drive.wait(3 * MINUTE)
    assert drive.payment(payment_id).status is COMPLETED
    assert len(executions(drive, payment_id)) == 1


async def test_an_execute_that_the_new_server_has_seen_is_its_own() -> None:
    drive = Drive(onepaybd("refused", PENDING))
    payment_id = await drive.open(EXECUTING)
    drive.clock.advance(1)
    drive.ledger.since = drive.clock.now
    drive.clock.advance(120)
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(10)
    assert kinds(drive, payment_id)[:2] == [QUERY, EXECUTE]
    await drive.hit(payment_id, Said.SUCCESS)
    await drive.wait(5)
    assert len(executions(drive, payment_id)) == 2
    assert kinds(drive, payment_id)[-1] is EXECUTE
