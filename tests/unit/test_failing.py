"""A payment that fails by itself is counted where a crash keeps the count, and is not asked in a loop for ever."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs

from consumers.account import Account
from consumers.checks.repeated_failure import (
    FAILURES_BEFORE_STOP,
    OVER,
    RULE,
    Failing,
    letter_of,
    reply_of,
    stop_asking,
)
from consumers.pipeline import AssignedQuestion
from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable, TransactionRolledBack
from schemas.answers import Executed, Expected, ForeignTransaction, Inconclusive, Question, QuestionOutcome, Trouble
from schemas.changes import Change
from schemas.letters import KeptReply
from schemas.words import EntryKind, EventType, Hold, QuestionKind, Said, Source, Status
from tests.fakes.clock import FakeClock
from tests.fakes.consuming import Consuming
from tests.fakes.drive import Drive, answered, executed, says
from tests.fakes.providers import EXECUTING, PLAIN
from tests.processes import until
from worker.runtime.retries import ATTEMPTS, SUSPECT
from worker.verify.blame import Blame
from worker.verify.question_course import Calls
from worker.verify.record import LOCKED_TRIES


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


DAY, WEEK = timedelta(days=1), timedelta(days=7)
MANY = 40
"""More questions than are needed to see that it is hopeless, and far fewer than a loop asks in a week."""


def locked_out() -> DatabaseBusy:
    """As the ledger raises it from the error of its driver."""
    error = DatabaseBusy()
    error.__cause__ = asyncpg.LockNotAvailableError()
    return error


class Broken:
    """Writing a payment's Facts fails, as a fault in the handling of a reply would; `error` may be exchanged."""

    def __init__(self, consuming: Consuming, *payment_ids: str, error: Exception | None = None) -> None:
        self.payment_ids, self.error, self.raised = set(payment_ids), error or ValueError("a fault"), 0
        consuming.ledger.store = self.store  # type: ignore[method-assign]

    async def store(self, changes: Sequence[Change]) -> None:
        if any(change.payment.id in self.payment_ids and change.facts for change in changes):
            self.raised += 1
            raise self.error


async def test_a_reply_that_cannot_be_recorded_is_not_asked_for_ever_and_a_person_is_told() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    Broken(consuming, payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(WEEK)
    payment = consuming.drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, Hold.UNRESOLVED)
    assert consuming.drive.told(payment_id) == [EventType.HELD]
    assert FAILURES_BEFORE_STOP <= len(consuming.asked) < MANY
    failing = consuming.failures.rows[payment_id]
    assert failing.stopped_at is not None
    assert OVER <= failing.stopped_at - failing.first_at < 2 * OVER
    ((kept, reason),) = consuming.failures.letters.values()
    assert kept.answer is not None
    assert kept.answer.status is Status.PENDING
    assert "ValueError" in reason
    (decision,) = [one for one in consuming.ledger.entries(payment_id) if one.kind is EntryKind.DECISION]
    assert decision.at == failing.stopped_at
    assert "ValueError" in decision.data["why"]
    assert decision.data == {
        "change": "held: unresolved",
        "rule": RULE,
        "why": decision.data["why"],
        "status": "pending",
        "hold": "unresolved",
        "version": 2,
    }


async def test_what_is_kept_can_be_recorded_when_the_fault_is_mended() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    broken = Broken(consuming, payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(timedelta(hours=1))
    broken.payment_ids.clear()
    ((kept, _),) = consuming.failures.letters.values()
    await consuming.drive.record([reply_of(kept)])
    assert consuming.drive.told(payment_id) == [EventType.HELD, EventType.COMPLETED]


@pytest.mark.parametrize("days", [0, 3])
async def test_a_stopped_payment_learns_the_truth_by_itself_once_the_fault_is_mended(days: int) -> None:
    """The truth may be there already, or come days later without a claim."""
    consuming = Consuming(says(Status.COMPLETED) if days == 0 else says(Status.PENDING))
    payment_id = await consuming.drive.open(PLAIN)
    broken = Broken(consuming, payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(timedelta(hours=1))
        assert consuming.drive.told(payment_id) == [EventType.HELD]
        broken.payment_ids.clear()
        await consuming.pass_time(timedelta(days=days))
        assert consuming.drive.told(payment_id) == [EventType.HELD]
        consuming.answer = says(Status.COMPLETED)
        await consuming.pass_time(DAY)
    assert consuming.drive.told(payment_id) == [EventType.HELD, EventType.COMPLETED]
    assert (consuming.failures.rows, consuming.failures.letters) == ({}, {})


async def test_whoever_stops_it_ends_the_lease_of_its_execute_and_tells_it_once() -> None:
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    last = len(drive.rules.checks.pending) - 1
    failing = Failing(
        payment_id=payment_id,
        failures=FAILURES_BEFORE_STOP,
        first_at=drive.clock.now,
        last_at=drive.clock.now,
        reason="a fault",
    )
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    assert assigned.question.kind is QuestionKind.EXECUTE
    assert drive.payment(payment_id).lease_until is not None
    change = await stop_asking(drive.ledger, drive.rules, failing)
    assert change is not None
    payment = drive.payment(payment_id)
    assert (payment.lease_until, payment.schedule, payment.step) == (None, "pending", last)
    assert drive.told(payment_id) == [EventType.HELD]
    before = drive.ledger.entries(payment_id)
    stopped = msgspec.structs.replace(failing, stopped_at=drive.clock.now)
    assert await stop_asking(drive.ledger, drive.rules, stopped) is None
    assert drive.ledger.entries(payment_id) == before


async def test_one_that_is_stopped_again_is_told_of_no_second_time() -> None:
    """It was stopped, a claim executed, and the process died of it."""
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    now = drive.clock.now
    failing = Failing(payment_id=payment_id, failures=FAILURES_BEFORE_STOP, first_at=now, last_at=now, reason="a fault")
    assert await stop_asking(drive.ledger, drive.rules, failing) is not None
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    assert assigned.question.kind is QuestionKind.EXECUTE
    before = drive.ledger.entries(payment_id)
    stopped = msgspec.structs.replace(failing, stopped_at=now)
    assert await stop_asking(drive.ledger, drive.rules, stopped) is not None
    assert drive.payment(payment_id).lease_until is None
    assert (drive.told(payment_id), drive.ledger.entries(payment_id)) == ([EventType.HELD], before)


async def test_one_that_was_claimed_is_asked_no_sooner_than_another() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    assert drive.payment(payment_id).schedule == "claimed"
    now = drive.clock.now
    failing = Failing(payment_id=payment_id, failures=FAILURES_BEFORE_STOP, first_at=now, last_at=now, reason="a fault")
    await stop_asking(drive.ledger, drive.rules, failing)
    payment, pending = drive.payment(payment_id), drive.rules.checks.pending
    assert (payment.schedule, payment.step) == ("pending", len(pending) - 1)


async def test_of_a_payment_that_is_not_here_nothing_is_stopped() -> None:
    drive = Drive()
    now = drive.clock.now
    for stopped_at in (None, now):
        failing = Failing(
            payment_id="pay_none", failures=5, first_at=now, last_at=now, reason="a fault", stopped_at=stopped_at
        )
        assert await stop_asking(drive.ledger, drive.rules, failing) is None


async def test_of_a_paid_payment_no_more_is_asked_and_it_is_not_held() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
        asked = len(consuming.asked)
        Broken(consuming, payment_id)
        await consuming.pass_time(timedelta(days=60))
    payment = consuming.drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.next_check_at) == (Status.COMPLETED, None, None)
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
    assert FAILURES_BEFORE_STOP <= len(consuming.asked) - asked < MANY
    assert consuming.failures.rows[payment_id].stopped_at is not None
    last = consuming.ledger.entries(payment_id)[-1]
    assert (last.kind, last.data["change"], last.data["rule"]) == (
        EntryKind.DECISION,
        "nothing more is asked in a loop",
        RULE,
    )


async def test_a_claim_that_comes_afterwards_asks_once_and_begins_no_loop() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    Broken(consuming, payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(timedelta(hours=1))
        asked = len(consuming.asked)
        await consuming.bus.publish([consuming.drive.claim(payment_id, source=Source.OPERATOR)])
        await consuming.pass_time(WEEK)
    at = [one.asked_at for one in consuming.asked[asked:]]
    assert 1 < len(at) <= WEEK / DAY
    assert all(later - one >= DAY for one, later in pairwise(at))
    assert consuming.drive.payment(payment_id).next_check_at is None
    assert len(consuming.failures.letters) == 1
    assert consuming.drive.told(payment_id) == [EventType.HELD]


async def test_the_others_of_its_batch_are_recorded() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payments = [await consuming.drive.open(PLAIN) for _ in range(5)]
    Broken(consuming, payments[2])
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(one, Said.SUCCESS) for one in payments])
        await consuming.settle()
    done = [one for one in payments if consuming.drive.payment(one).status is Status.COMPLETED]
    assert done == payments[:2] + payments[3:]


async def test_what_was_mended_is_forgotten() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    broken = Broken(consuming, payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(timedelta(minutes=2))
        assert consuming.failures.rows[payment_id].failures > 1
        broken.payment_ids.clear()
        await consuming.pass_time(timedelta(minutes=10))
    assert (consuming.failures.rows, consuming.failures.letters) == ({}, {})
    assert consuming.drive.payment(payment_id).hold is None


async def test_a_claim_that_fails_while_failures_are_forgotten_is_forgotten_with_the_next_reply() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    claim, failures = consuming.drive.claim(payment_id, Said.SUCCESS), consuming.failures
    (assigned,) = await consuming.drive.take(claim)
    blame, forget = Blame(consuming.ledger, consuming.drive.rules, failures), failures.forget
    account = assigned.account
    reply = consuming.drive.reply(assigned, answered(assigned, Status.PENDING))
    await blame.claim_failed(claim, ValueError())

    async def forget_slowly(*which: str) -> None:
        await forget(*which)
        failures.forget = forget  # type: ignore[method-assign]
        await blame.claim_failed(claim, ValueError())

    failures.forget = forget_slowly  # type: ignore[assignment, method-assign]
    await blame.recorded(reply, account)
    assert set(failures.rows) == {payment_id}
    await blame.recorded(reply, account)
    assert failures.rows == {}


async def test_a_transaction_that_had_to_give_way_is_tried_again_at_once() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    broken = Broken(consuming, payment_id, error=TransactionRolledBack())

    async def store(changes: Sequence[Change]) -> None:
        if broken.raised < 2:
            await broken.store(changes)

    consuming.ledger.store = store  # type: ignore[method-assign]
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
    assert broken.raised == 2
    assert consuming.drive.payment(payment_id).status is Status.COMPLETED
    assert len(consuming.asked) == 1


@pytest.mark.parametrize("error", [TransactionRolledBack(), DatabaseBusy()])
async def test_others_in_the_way_are_no_fault_of_its_own(error: Exception) -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    Broken(consuming, payment_id, error=error)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(timedelta(minutes=20))
    assert len(consuming.asked) > MANY // 2
    assert consuming.drive.payment(payment_id).hold is None
    assert all(not row.failures for row in consuming.failures.rows.values())


async def test_what_execute_brought_is_tried_again_until_its_payment_is_not_locked_any_more() -> None:
    consuming = Consuming(lambda one: executed(one, "completed", Status.COMPLETED))
    payment_id, neighbour = [await consuming.drive.open(EXECUTING) for _ in range(2)]
    broken = Broken(consuming, payment_id, error=locked_out())

    async def store(changes: Sequence[Change]) -> None:
        if broken.raised <= LOCKED_TRIES:
            await broken.store(changes)

    consuming.ledger.store = store  # type: ignore[method-assign]
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(one, Said.SUCCESS) for one in (payment_id, neighbour)])
        await consuming.settle()
        assert await consuming.bus.depths() == {}
    assert [consuming.drive.told(one) for one in (payment_id, neighbour)] == [[EventType.COMPLETED]] * 2
    assert [one.question.kind for one in consuming.asked] == [QuestionKind.EXECUTE] * 2
    assert (broken.raised, consuming.failures.letters) == (LOCKED_TRIES + 1, {})


async def test_what_execute_brought_is_kept_where_its_payment_stays_locked() -> None:
    """And Query is asked, whose answer is the same."""
    consuming = Consuming(lambda one: executed(one, "completed", Status.COMPLETED))
    payment_id = await consuming.drive.open(EXECUTING)
    broken = Broken(consuming, payment_id, error=locked_out())
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
        ((kept, reason),) = consuming.failures.letters.values()
        assert (kept.payment_id, kept.execute) == (payment_id, "completed")
        assert kept.answer is not None
        assert "LockNotAvailableError" in reason
        assert (await consuming.bus.depths(), consuming.turns) == ({"fake": 1}, set())
        assert all(not row.failures for row in consuming.failures.rows.values())
        broken.payment_ids.clear()
        consuming.answer = says(Status.COMPLETED)
        await consuming.pass_time(timedelta(seconds=31))
        assert await consuming.bus.depths() == {}
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
    assert [one.question.kind for one in consuming.asked] == [QuestionKind.EXECUTE, QuestionKind.STATUS]


async def test_it_is_kept_though_the_dead_letters_are_away_for_a_moment() -> None:
    consuming = Consuming(lambda one: executed(one, "completed", Status.COMPLETED))
    payment_id = await consuming.drive.open(EXECUTING)
    Broken(consuming, payment_id, error=locked_out())
    keep, away = consuming.failures.keep, 1

    async def sometimes(*given: Any) -> None:
        nonlocal away
        away -= 1
        if away >= 0:
            raise DatabaseUnavailable
        await keep(*given)

    consuming.failures.keep = sometimes  # type: ignore[method-assign]

    async def is_kept() -> bool:
        return len(consuming.failures.letters) == 1

    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await until(is_kept, what="the reply among the dead letters", seconds=10)


async def test_claims_about_a_locked_payment_are_left_and_hold_up_no_others() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    locked, other = await consuming.drive.open(PLAIN), await consuming.drive.open(PLAIN)
    tried = 0

    async def store(changes: Sequence[Change]) -> None:
        nonlocal tried
        if any(change.payment.id == locked for change in changes):
            tried += 1
            raise DatabaseBusy

    consuming.ledger.store = store  # type: ignore[method-assign]
    async with consuming.working():
        sayings = [*[locked] * 4, other]
        await consuming.bus.publish([consuming.drive.claim(one, source=Source.OPERATOR) for one in sayings])
        await consuming.settle()
        assert consuming.drive.told(other) == [EventType.COMPLETED]
        assert (tried, len(consuming.asked)) == (2, 2)
        for round_ in range(2 * ATTEMPTS):
            assert await consuming.bus.depths() == {"fake": 4}
            consuming.drive.clock.advance(30)
            await consuming.bus.wake()
            await consuming.settle()
            assert len(consuming.asked) <= 3 + round_
        assert tried > ATTEMPTS
        assert (consuming.bus.dead, len(consuming.failures.letters)) == ([], 0)
        assert all(not row.failures for row in consuming.failures.rows.values())


async def test_a_payment_of_which_nothing_can_be_written_is_swept_no_more_and_makes_no_dead_letters() -> None:
    """As when its fold fails: neither the question nor the answer can be written."""
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    tried = 0

    async def store(changes: Sequence[Change]) -> None:
        nonlocal tried
        if any(change.payment.id == payment_id and change.event is None for change in changes):
            tried += 1
            raise ValueError("a fault")

    consuming.ledger.store = store  # type: ignore[method-assign]
    async with consuming.working():
        await consuming.pass_time(WEEK)
    assert consuming.drive.told(payment_id) == [EventType.HELD]
    assert consuming.drive.payment(payment_id).next_check_at is None
    assert consuming.bus.dead == []
    assert tried < 2 * MANY
    assert FAILURES_BEFORE_STOP <= len(consuming.asked) < MANY


async def test_a_question_that_fails_in_a_gateways_file_ends_likewise() -> None:
    consuming = Consuming(lambda _: None)
    payment_id = await consuming.drive.open(PLAIN)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.pass_time(WEEK)
    assert consuming.drive.told(payment_id) == [EventType.HELD]
    assert len(consuming.asked) < MANY


async def test_a_reply_that_workers_die_of_each_time_is_counted_and_kept() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id, neighbour = await consuming.drive.open(PLAIN), await consuming.drive.open(PLAIN)
    died = 0

    async def store(changes: Sequence[Change]) -> None:
        nonlocal died
        if any(change.payment.id == payment_id and change.facts for change in changes):
            died += 1
            await asyncio.Event().wait()

    async def replaced() -> None:
        nonlocal died
        await consuming.settle()
        if died:
            died = 0
            await consuming.die()
            consuming.start()
            await consuming.settle()

    consuming.ledger.store = store  # type: ignore[method-assign]
    consuming.start()
    await consuming.bus.publish([consuming.drive.claim(one, Said.SUCCESS) for one in (payment_id, neighbour)])
    await consuming.pass_time(WEEK, replaced)
    await consuming.die()
    assert consuming.drive.payment(payment_id).hold is Hold.UNRESOLVED
    assert consuming.drive.payment(neighbour).status is Status.COMPLETED
    assert len([one for one in consuming.asked if one.expected.payment_id == payment_id]) < MANY
    ((kept, _),) = consuming.failures.letters.values()
    assert kept.payment_id == payment_id


async def test_a_death_while_gateways_think_is_nobodys_fault() -> None:
    """One reply that kills processes, beside payments whose gateway answers only when a process lives for long."""
    consuming = Consuming(says(Status.COMPLETED))
    poison, *others = [await consuming.drive.open(PLAIN) for _ in range(11)]
    ask, thought, counted, died = consuming.ask, asyncio.Event(), set[str](), False

    async def store(changes: Sequence[Change]) -> None:
        nonlocal died
        if any(change.payment.id == poison and change.facts for change in changes):
            died = True
            await asyncio.Event().wait()

    async def slow(
        account: Account, question: Question, expected: Expected, calls: Calls, *, asked_at: datetime
    ) -> QuestionOutcome:
        if expected.payment_id != poison:
            await thought.wait()
        return await ask(account, question, expected, calls, asked_at=asked_at)

    async def replaced() -> None:
        nonlocal died
        await consuming.settle()
        counted.update(one for one, row in consuming.failures.rows.items() if row.failures)
        if died:
            died = False
            await consuming.die()
            consuming.start()
        else:
            thought.set()
            await consuming.settle()
            thought.clear()

    consuming.ledger.store = store  # type: ignore[method-assign]
    consuming.ask = slow  # type: ignore[method-assign]
    consuming.start()
    await consuming.bus.publish([consuming.drive.claim(one, Said.SUCCESS) for one in (poison, *others)])
    await consuming.pass_time(timedelta(hours=1), replaced)
    await consuming.die()
    assert consuming.drive.payment(poison).hold is Hold.UNRESOLVED
    assert {tuple(consuming.drive.told(one)) for one in others} == {(EventType.COMPLETED,)}
    assert counted == {poison}


async def test_a_process_that_is_killed_again_and_again_counts_against_no_payment() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    ask, well, kills = consuming.ask, asyncio.Event(), 0

    async def slow(*args: Any, **kwargs: Any) -> QuestionOutcome:
        await well.wait()
        return await ask(*args, **kwargs)

    async def killed() -> None:
        nonlocal kills
        await consuming.settle()
        if kills == MANY:
            well.set()
        else:
            await consuming.die()
            kills += 1
            consuming.start()
        await consuming.settle()

    consuming.ask = slow  # type: ignore[method-assign]
    consuming.start()
    await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
    await consuming.pass_time(timedelta(hours=2), killed)
    await consuming.die()
    assert kills == MANY
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
    assert all(not row.failures for row in consuming.failures.rows.values())


async def test_a_process_that_dies_of_a_batch_counts_against_none_of_it() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payments = [await consuming.drive.open(PLAIN) for _ in range(5)]

    async def store(changes: Sequence[Change]) -> None:
        if sum(bool(change.facts) for change in changes) > 1:
            await asyncio.Event().wait()

    consuming.ledger.store = store  # type: ignore[method-assign]
    consuming.start()
    await consuming.bus.publish([consuming.drive.claim(one, Said.SUCCESS) for one in payments])
    await consuming.settle()
    await consuming.die()
    assert consuming.failures.rows == {}
    async with consuming.working():
        await consuming.pass_time(timedelta(minutes=2))
    assert {tuple(consuming.drive.told(one)) for one in payments} == {(EventType.COMPLETED,)}
    assert consuming.failures.rows == {}


async def test_a_claim_handed_out_again_and_again_counts_only_while_it_is_taken() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    thinking = asyncio.Event()
    ask = consuming.ask

    async def slow(*args: Any, **kwargs: Any) -> QuestionOutcome:
        await thinking.wait()
        return await ask(*args, **kwargs)

    consuming.ask = slow  # type: ignore[method-assign]
    await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
    for _ in range(SUSPECT):
        await consuming.bus.receive("fake", 1)
        await consuming.bus.end_leases()
    async with consuming.working():
        await consuming.settle()
        assert [row.failures for row in consuming.failures.rows.values()] == [0]
        thinking.set()
        await consuming.settle()
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]


async def test_claims_of_an_account_that_is_not_configured_wait_for_another_worker() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    claim = msgspec.structs.replace(consuming.drive.claim(payment_id, Said.SUCCESS), account="newer")
    async with consuming.working():
        await consuming.bus.publish([claim])
        for _ in range(10):
            await consuming.settle()
            consuming.drive.clock.advance(30)
            await consuming.bus.wake()
        assert consuming.bus.dead == []
        assert await consuming.bus.depths() == {"fake": 1}
        consuming.drive.clock.advance(timedelta(hours=1))
        await consuming.bus.wake()
        await consuming.settle()
    ((dead, reason),) = consuming.bus.dead
    assert (dead, "newer" in reason) == (claim, True)


async def test_questions_begin_before_their_claims_are_acknowledged() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(PLAIN)
    done = consuming.bus.ack
    held_up = asyncio.Event()

    async def slow(messages: Sequence[object]) -> None:
        await held_up.wait()
        await done(messages)  # type: ignore[arg-type]

    consuming.bus.ack = slow  # type: ignore[method-assign]
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
        assert len(consuming.asked) == 1


OUTCOMES: dict[str, Callable[[AssignedQuestion], QuestionOutcome]] = {
    "answer": lambda asked: answered(asked, Status.COMPLETED),
    "inconclusive": lambda _: Inconclusive(trouble=Trouble.RATE_LIMITED, detail="429", retry_after=7.0),
    "stranger": lambda _: ForeignTransaction(why="other_payment"),
    "executed": lambda asked: executed(asked, "settled", Status.COMPLETED),
    "unheard": lambda asked: executed(asked, "none", None),
}


async def test_whatever_a_reply_says_it_is_kept_as_it_was_and_each_has_a_letter_of_its_own() -> None:
    consuming = Consuming()
    payment_id = await consuming.drive.open(EXECUTING)
    (assigned,) = await consuming.drive.take(consuming.drive.claim(payment_id, source=Source.OPERATOR))
    letters = set[str]()
    for outcome in OUTCOMES.values():
        said = outcome(assigned)
        kind = QuestionKind.EXECUTE if isinstance(said, Executed) else QuestionKind.STATUS
        reply = msgspec.structs.replace(consuming.drive.reply(assigned, said), question=Question(kind=kind), calls=3)
        letter_id, kept = letter_of(reply, assigned.account)
        assert re.fullmatch(f"{payment_id}-[0-9a-f]{{8}}", letter_id)
        again = msgspec.json.decode(msgspec.json.encode(kept), type=KeptReply)
        assert reply_of(again) == reply
        assert letter_of(reply_of(again), assigned.account)[0] == letter_id
        letters.add(letter_id)
    assert len(letters) == len(OUTCOMES)


@pytest.mark.parametrize(
    "outcome", [{}, {"execute": "settled"}, {"execute": "none", "stranger": "other_payment"}], ids=str
)
async def test_a_letter_without_an_outcome_is_no_reply(outcome: dict[str, Any]) -> None:
    """Nor does an Execute, which is asked by our own id, end in a foreign transaction."""
    now = FakeClock().now
    stranger = ForeignTransaction(why=outcome["stranger"]) if "stranger" in outcome else None
    kept = KeptReply(
        payment_id="pay_1",
        account="plain",
        provider="fake",
        question=Question(),
        asked_at=now,
        answered_at=now,
        calls=1,
        execute=outcome.get("execute"),
        stranger=stranger,
    )
    with pytest.raises(ValueError, match=r"^the reply says nothing$"):
        reply_of(kept)
