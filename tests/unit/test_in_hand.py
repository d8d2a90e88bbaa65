"""A claim stays in a worker's hands until it is written; when the worker dies or stops, others get it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.account import Account
from consumers.pipeline import take_claims
from consumers.ports.bus import ClaimMessage
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.ports.writes import Write, WriteResult
from schemas.answers import QuestionOutcome
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.words import EntryKind, EventType, QuestionKind, Said, Source, Status
from tests.fakes.consuming import Consuming
from tests.fakes.drive import says
from tests.fakes.ledger import FakeTurns
from tests.fakes.providers import EXECUTING, PLAIN
from tests.processes import until
from worker.runtime.retries import ATTEMPTS
from worker.telemetry.metrics import Metrics
from worker.verify import intake
from worker.verify.concurrency import MAX_CONCURRENT
from worker.verify.in_hand import InHand
from worker.verify.intake import MOST_WAITING, PATIENT_SECONDS, Intake, Part
from worker.verify.question_course import TooLate


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with capture_logs() as entries:
        yield entries


class Thinking:
    """A gateway that answers only when it is allowed to."""

    def __init__(self, consuming: Consuming) -> None:
        self.done, self._ask = asyncio.Event(), consuming.ask
        self.begun = 0
        consuming.ask = self.ask  # type: ignore[method-assign]

    async def ask(self, *args: Any, **kwargs: Any) -> QuestionOutcome:
        self.begun += 1
        await self.done.wait()
        return await self._ask(*args, **kwargs)


@asynccontextmanager
async def thinking(
    answer: Status = Status.COMPLETED, account: Account = PLAIN
) -> AsyncIterator[tuple[Consuming, Thinking, str, Claim]]:
    """A worker in the middle of a question about a payment, and the claim that led to it."""
    consuming = Consuming(says(answer))
    gateway = Thinking(consuming)
    payment_id = await consuming.drive.open(account)
    claim = consuming.drive.claim(payment_id, Said.SUCCESS)
    async with consuming.working():
        await consuming.bus.publish([claim])
        await consuming.settle()
        assert (gateway.begun, await consuming.bus.depths()) == (1, {"fake": 1})
        yield consuming, gateway, payment_id, claim


@asynccontextmanager
async def executes(answer: Status) -> AsyncIterator[tuple[Consuming, Thinking, str, Claim]]:
    """The same in the middle of an Execute, which is recorded with its claim."""
    async with thinking(answer, EXECUTING) as (consuming, gateway, payment_id, claim):
        assert consuming.drive.payment(payment_id).execute_asked_at is not None
        assert claimed(consuming, payment_id) == [claim.id]
        yield consuming, gateway, payment_id, claim


def claimed(consuming: Consuming, payment_id: str) -> list[Any]:
    """The ids of the claims in its timeline."""
    entries = [one for one in consuming.ledger.entries(payment_id) if one.kind is EntryKind.CLAIM]
    return [one.data["claim_id"] for one in entries]


async def test_nothing_is_acknowledged_before_the_answer_is_written() -> None:
    async with thinking() as (consuming, gateway, payment_id, claim):
        assert await consuming.bus.depths() == {"fake": 1}
        assert claimed(consuming, payment_id) == []
        gateway.done.set()
        await consuming.settle()
        assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
        assert (await consuming.bus.depths(), claimed(consuming, payment_id)) == ({}, [claim.id])


async def test_when_a_worker_dies_while_it_asks_another_asks_at_once() -> None:
    async with thinking() as (consuming, gateway, payment_id, claim):
        died_at = consuming.drive.clock.now
        await consuming.die()
        gateway.done.set()
        consuming.start()
        await consuming.settle()
        assert gateway.begun == 2
        assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
        assert (await consuming.bus.depths(), claimed(consuming, payment_id)) == ({}, [claim.id])
        assert consuming.drive.clock.now == died_at
        assert consuming.failures.rows == {}


async def test_after_many_deaths_a_claim_that_fails_once_by_itself_is_tried_again() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    gateway = Thinking(consuming)
    payment_id, broken = await consuming.drive.open(PLAIN), False
    claim = consuming.drive.claim(payment_id, Said.SUCCESS)

    async def store(changes: Sequence[Change]) -> None:
        if broken:
            raise ValueError("a fault")

    consuming.ledger.store = store  # type: ignore[method-assign]
    await consuming.bus.publish([claim])
    for _ in range(2 * ATTEMPTS):
        async with consuming.working():
            await consuming.settle()
    assert gateway.begun == 2 * ATTEMPTS
    broken = True
    gateway.done.set()
    async with consuming.working():
        await consuming.settle()
        assert (consuming.bus.dead, await consuming.bus.depths()) == ([], {"fake": 1})
        broken = False
        await consuming.pass_time(timedelta(minutes=1))
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
    assert (consuming.bus.dead, await consuming.bus.depths()) == ([], {})


async def test_of_a_worker_that_dies_while_it_executes_only_a_query_comes() -> None:
    async with executes(Status.PENDING) as (consuming, gateway, payment_id, _):
        await consuming.die()
        gateway.done.set()
        consuming.start()
        await consuming.pass_time(timedelta(seconds=59))
        assert consuming.asked
        assert {one.question.kind for one in consuming.asked} == {QuestionKind.STATUS}
        assert consuming.drive.payment(payment_id).execute_tries == 1


async def test_it_comes_at_once_since_the_claim_was_not_acknowledged() -> None:
    async with executes(Status.COMPLETED) as (consuming, gateway, payment_id, claim):
        died_at = consuming.drive.clock.now
        await consuming.die()
        gateway.done.set()
        consuming.start()
        await consuming.settle()
        assert [one.question.kind for one in consuming.asked] == [QuestionKind.STATUS]
        assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
        assert consuming.drive.clock.now == died_at
        assert (await consuming.bus.depths(), consuming.turns, consuming.failures.rows) == ({}, set(), {})
        assert claimed(consuming, payment_id) == [claim.id, claim.id]


async def test_while_whoever_executes_lives_its_claim_brings_no_question_to_another_worker() -> None:
    """The broker redelivered it, as when a connection broke. The Execute may take half a minute."""
    async with executes(Status.COMPLETED) as (consuming, gateway, payment_id, claim):
        others = FakeTurns(consuming.turns)
        for patient in (True, False):
            consuming.drive.clock.advance(15)
            taken = await take_claims(consuming.ledger, consuming.drive.rules, [claim], others, patient=patient)
            assert (taken.questions, taken.waiting) == ([], [claim] if patient else [])
        gateway.done.set()
        await consuming.settle()
        assert [one.question.kind for one in consuming.asked] == [QuestionKind.EXECUTE]
        assert consuming.drive.told(payment_id) == [EventType.COMPLETED]


async def test_how_late_an_execute_is_does_not_depend_on_a_clock_that_is_behind() -> None:
    """Its record waited for the disk. The worker's own monotonic clock measures the time since the look."""
    consuming = Consuming(says(Status.PENDING))
    late = list[timedelta]()
    write = consuming.ledger.write

    async def slow(writes: Sequence[Write]) -> WriteResult:
        written = await write(writes)
        consuming.drive.clock.advance(8)
        return written

    async def ask(*args: Any, asked_at: datetime) -> QuestionOutcome:
        late.append(consuming.clock.now() - asked_at)
        return await asked(*args, asked_at=asked_at)

    asked, consuming.ask, consuming.ledger.write = consuming.ask, ask, slow  # type: ignore[method-assign, assignment]
    payment_id = await consuming.drive.open(EXECUTING)
    consuming.clock.behind = timedelta(seconds=10)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
    assert [one.question.kind for one in consuming.asked[:1]] == [QuestionKind.EXECUTE]
    assert late[0] == timedelta(seconds=8)


async def test_the_claim_of_an_execute_is_acknowledged_with_its_reply() -> None:
    async with executes(Status.COMPLETED) as (consuming, gateway, payment_id, claim):
        gateway.done.set()
        await consuming.settle()
        assert (await consuming.bus.depths(), claimed(consuming, payment_id)) == ({}, [claim.id])


async def test_a_claim_about_a_payment_that_is_being_asked_waits_and_is_then_seen() -> None:
    async with thinking() as (consuming, gateway, payment_id, first):
        second = consuming.drive.claim(payment_id, Said.SUCCESS)
        await consuming.bus.publish([second])
        await consuming.settle()
        assert (claimed(consuming, payment_id), await consuming.bus.depths()) == ([], {"fake": 2})
        consuming.drive.clock.advance(1)
        gateway.done.set()

        async def seen() -> bool:
            return not await consuming.bus.depths()

        await until(seen, what="the claim that waited", seconds=10)
    assert claimed(consuming, payment_id) == [first.id, second.id]
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]


async def test_what_waits_is_looked_at_when_its_payment_is_heard_to_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "AGAIN_SECONDS", 60.0)
    monkeypatch.setattr(intake, "PATIENT_SECONDS", 60.0)
    async with thinking() as (consuming, gateway, payment_id, first):
        second = consuming.drive.claim(payment_id, Said.SUCCESS)
        await consuming.bus.publish([second])
        await consuming.settle()
        for _ in range(10):
            consuming.payments_changed(payment_id)
            await consuming.settle()
        assert (claimed(consuming, payment_id), gateway.begun) == ([], 1), "no news makes it lose its patience"
        consuming.drive.clock.advance(1)
        gateway.done.set()
        await consuming.settle()
        assert claimed(consuming, payment_id) == [first.id]
        consuming.payments_changed("another")
        await consuming.settle()
        assert claimed(consuming, payment_id) == [first.id]
        consuming.payments_changed("another", payment_id)
        await consuming.settle()
        assert (claimed(consuming, payment_id), await consuming.bus.depths()) == ([first.id, second.id], {})
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]


async def test_after_a_second_it_is_written_beside_the_question() -> None:
    async with thinking() as (consuming, gateway, payment_id, first):
        second = consuming.drive.claim(payment_id, Said.SUCCESS)
        began = asyncio.get_running_loop().time()
        await consuming.bus.publish([second])

        async def written() -> bool:
            return claimed(consuming, payment_id) == [second.id]

        await until(written, what="the claim beside the question", seconds=10)
        assert asyncio.get_running_loop().time() - began >= PATIENT_SECONDS
        assert await consuming.bus.depths() == {"fake": 1}
        assert gateway.begun == 1
        gateway.done.set()
        await consuming.settle()
        assert claimed(consuming, payment_id) == [second.id, first.id]
        assert await consuming.bus.depths() == {}
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]


async def asked_once_it_is_our_turn(consuming: Consuming, payment_id: str, *, seconds: float) -> None:
    consuming.turns.discard(payment_id)

    async def answered() -> bool:
        return consuming.drive.told(payment_id) == [EventType.COMPLETED]

    await until(answered, what="the question, once it is our turn", seconds=seconds)


async def test_what_another_process_asks_about_waits_likewise() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    consuming.turns.add(payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
        assert (consuming.asked, await consuming.bus.depths()) == ([], {"fake": 1})
        await asked_once_it_is_our_turn(consuming, payment_id, seconds=10)


async def test_what_the_sweep_finds_due_waits_for_a_turn_that_is_just_being_given_back() -> None:
    """As after an answer that makes the next question due at once; otherwise it would come half a minute later."""
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    consuming.drive.clock.advance(consuming.drive.rules.checks.pending[0])
    consuming.turns.add(payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, source=Source.SWEEP)])
        await consuming.settle()
        assert consuming.asked == []
        await asked_once_it_is_our_turn(consuming, payment_id, seconds=5)


async def test_what_the_sweep_finds_due_and_another_process_asks_about_is_done_with_after_a_second() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    consuming.drive.clock.advance(consuming.drive.rules.checks.pending[0])
    consuming.turns.add(payment_id)
    before = consuming.drive.payment(payment_id)
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, source=Source.SWEEP)])

        async def done() -> bool:
            return not await consuming.bus.depths()

        await until(done, what="the end of its patience", seconds=10)
    assert (consuming.asked, consuming.drive.payment(payment_id)) == ([], before)


async def test_of_a_flood_about_one_payment_few_wait_and_the_others_are_heard() -> None:
    async with thinking() as (consuming, gateway, payment_id, _):
        flood = [consuming.drive.claim(payment_id) for _ in range(4 * MOST_WAITING)]
        other = await consuming.drive.open(PLAIN)
        await consuming.bus.publish([*flood, consuming.drive.claim(other, Said.SUCCESS)])
        await consuming.settle()
        assert gateway.begun == 2, "the other payment is asked about"
        assert (await consuming.bus.depths())["fake"] == MOST_WAITING + 2
        assert len(claimed(consuming, payment_id)) == len(flood) - MOST_WAITING


async def test_while_too_many_wait_already_no_more_do() -> None:
    consuming, stopping = Consuming(says(Status.COMPLETED)), asyncio.Event()
    payment_id = await consuming.drive.open(PLAIN)
    flood, more = [[consuming.drive.claim(payment_id) for _ in range(2 * MOST_WAITING)] for _ in range(2)]
    in_hand = InHand(consuming.bus, FakeTurns(), Metrics())
    async with asyncio.TaskGroup() as group:
        taking = Intake(consuming.bus, "fake", in_hand, stopping, group)
        for claims in (flood, more):
            taking.wait(claims, Part(claims))
        now = [await taking.next(len(flood)) for _ in range(2)]
        stopping.set()
        assert await taking.next(1) is None
    found = [(len(part.claims), part.patient) for part in now if part is not None]
    assert found == [(len(more), False), (len(flood) - MOST_WAITING, False)]


async def test_a_fault_in_a_gateways_file_asks_nothing_in_a_loop() -> None:
    consuming = Consuming(lambda _: None)
    payment_id = await consuming.drive.open(PLAIN)
    claim = consuming.drive.claim(payment_id, Said.SUCCESS)
    async with consuming.working():
        await consuming.bus.publish([claim])
        for _ in range(5):
            await consuming.settle()
        assert len(consuming.asked) == 1
        assert (await consuming.bus.depths(), claimed(consuming, payment_id)) == ({}, [claim.id])
        entries = consuming.ledger.entries(payment_id)
        assert [one.kind for one in entries][-2:] == [EntryKind.CLAIM, EntryKind.QUESTION]
        assert consuming.failures.rows[payment_id].failures == 1
        look = consuming.drive.payment(payment_id).next_check_at
        assert look is not None
        assert look > consuming.drive.clock.now
        assert consuming.turns == set()


async def test_stopping_finishes_what_is_asked_and_gives_back_what_waits() -> None:
    async with thinking() as (consuming, gateway, payment_id, _):
        second = consuming.drive.claim(payment_id, Said.SUCCESS)
        await consuming.bus.publish([second])
        await consuming.settle()
        stopping = asyncio.create_task(consuming.stop())
        await consuming.settle()
        third = consuming.drive.claim(await consuming.drive.open(PLAIN), Said.SUCCESS)
        await consuming.bus.publish([third])
        await consuming.settle()
        (again, new) = await consuming.bus.receive("fake", 10)
        assert (again.claim, again.attempts, new.claim) == (second, 1, third)
        assert not stopping.done()
        gateway.done.set()
        await stopping
        assert gateway.begun == 1
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]
    assert consuming.turns == set()


async def test_claims_that_find_no_slot_are_given_back_when_stopping() -> None:
    consuming = Consuming()
    gateway = Thinking(consuming)
    payments = [await consuming.drive.open(PLAIN if one % 2 else EXECUTING) for one in range(MAX_CONCURRENT + 10)]
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(one, source=Source.OPERATOR) for one in payments])
        await consuming.settle()
        assert gateway.begun == MAX_CONCURRENT
        stopping = asyncio.create_task(consuming.stop())
        await consuming.settle()
        assert len(await consuming.bus.receive("fake", 100)) == 10
        gateway.done.set()
        await stopping
    assert len(consuming.asked) == MAX_CONCURRENT


async def test_what_waits_is_given_back_when_stopping_though_every_slot_is_taken() -> None:
    consuming = Consuming()
    gateway = Thinking(consuming)
    payments = [await consuming.drive.open(PLAIN if one % 2 else EXECUTING) for one in range(MAX_CONCURRENT)]
    claims = [consuming.drive.claim(one, source=Source.OPERATOR) for one in payments]
    waiting = consuming.drive.claim(payments[0], source=Source.OPERATOR)
    async with consuming.working():
        for published in (claims[:-1], [waiting], claims[-1:]):
            await consuming.bus.publish(published)
            await consuming.settle()
        assert gateway.begun == MAX_CONCURRENT
        stopping = asyncio.create_task(consuming.stop())
        await consuming.settle()
        assert [one.claim for one in await consuming.bus.receive("fake", 100)] == [waiting]
        gateway.done.set()
        await stopping


async def test_one_that_is_delivered_again_while_it_is_in_hand_is_settled_with_the_first() -> None:
    async with thinking() as (consuming, gateway, payment_id, claim):
        await consuming.bus.workers_die()  # as when the connection to the broker breaks
        await consuming.settle()
        gateway.done.set()
        await consuming.settle()
        assert (gateway.begun, await consuming.bus.depths()) == (1, {})
        assert claimed(consuming, payment_id) == [claim.id]


@pytest.mark.parametrize("error", [DatabaseUnavailable(), TooLate()], ids=["tokens away", "too late"])
async def test_a_question_that_could_not_be_asked_gives_its_claims_back(error: Exception) -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    claim = consuming.drive.claim(payment_id, Said.SUCCESS)
    ask, failed = consuming.ask, 0

    async def once(*args: Any, **kwargs: Any) -> QuestionOutcome:
        nonlocal failed
        failed += 1
        if failed == 1:
            raise error
        return await ask(*args, **kwargs)

    consuming.ask = once  # type: ignore[method-assign]
    async with consuming.working():
        await consuming.bus.publish([claim])

        async def told() -> bool:
            return consuming.drive.told(payment_id) == [EventType.COMPLETED]

        await until(told, what="an answer to the question that was asked again", seconds=10)
        await consuming.settle()
        assert await consuming.bus.depths() == {}
    assert claimed(consuming, payment_id) == [claim.id]
    assert consuming.failures.rows == {}


async def test_where_the_bus_cannot_forget_a_claim_it_comes_again_and_is_seen() -> None:
    consuming = Consuming(says(Status.COMPLETED))
    payment_id = await consuming.drive.open(PLAIN)
    done, failed = consuming.bus.ack, 0

    async def away(messages: Sequence[ClaimMessage]) -> None:
        nonlocal failed
        failed += 1
        if failed == 1:
            raise DatabaseUnavailable
        await done(messages)

    consuming.bus.ack = away  # type: ignore[method-assign]
    async with consuming.working():
        await consuming.bus.publish([consuming.drive.claim(payment_id, Said.SUCCESS)])
        await consuming.settle()
        assert (failed, len(consuming.asked), await consuming.bus.depths()) == (2, 1, {})
    assert consuming.drive.told(payment_id) == [EventType.COMPLETED]


async def test_a_take_that_fails_leaves_no_turn_behind_and_sends_no_execute() -> None:
    """The claim beside it cannot be written; the Execute is sent when its claim is taken without it."""
    consuming = Consuming()
    drive, turns = consuming.drive, set[str]()
    poison, executing = await drive.open(PLAIN), await drive.open(EXECUTING)
    await drive.hit(poison, Said.SUCCESS)

    async def store(changes: Sequence[Change]) -> None:
        if any(change.payment.id == poison for change in changes):
            raise ValueError("a fault")

    consuming.ledger.store = store  # type: ignore[method-assign]
    claims = [drive.claim(poison), drive.claim(executing, Said.SUCCESS)]
    with pytest.raises(ValueError, match="a fault"):
        await take_claims(consuming.ledger, drive.rules, claims, FakeTurns(turns))
    assert turns == set()
    assert drive.payment(executing).execute_asked_at is None
    taken = await take_claims(consuming.ledger, drive.rules, claims[1:], FakeTurns(turns))
    assert [one.question.kind for one in taken.questions] == [QuestionKind.EXECUTE]
    assert turns == {executing}
    assert drive.payment(executing).execute_asked_at is not None


async def test_a_sweeps_claim_does_not_wait() -> None:
    async with thinking() as (consuming, gateway, payment_id, _):
        await consuming.bus.publish([consuming.drive.claim(payment_id, source=Source.SWEEP)])
        await consuming.settle()
        assert (gateway.begun, await consuming.bus.depths()) == (1, {"fake": 1})
