"""The real consumer over the ports in memory, with a ledger that can be broken, and time that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from consumers.account import Account
from consumers.decide import PaymentWork
from consumers.pipeline import AssignedQuestion
from schemas.answers import Expected, Question, QuestionOutcome
from schemas.changes import Change
from schemas.words import Source, Status
from tests.fakes.bus import FakeBus
from tests.fakes.clock import FakeClock
from tests.fakes.drive import Drive, Gateway, says
from tests.fakes.failures import FakeFailures
from tests.fakes.ledger import FakeBatch, FakeLedger, FakeTurns
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics
from worker.verify.consume import Consumer
from worker.verify.question_course import Calls

TURNS = 400
"""How often the event loop runs before everything is done that needs no time to pass."""


class BreakableLedger(FakeLedger):
    """`store` is called before a batch writes; it may raise, or never return."""

    async def store(self, changes: Sequence[Change]) -> None:
        """Called before each write; does nothing by default."""

    @asynccontextmanager
    async def batch(self, payment_ids: Collection[str]) -> AsyncIterator[FakeBatch]:
        async with super().batch(payment_ids) as batch:
            write = batch.store

            async def store(changes: Sequence[Change]) -> None:
                await self.store(changes)
                await write(changes)

            batch.store = store  # type: ignore[method-assign]
            yield batch


def about(account: Account, question: Question, expected: Expected, asked_at: datetime) -> AssignedQuestion:
    """The part of the question that a gateway sees."""
    unread: Any = None
    work = PaymentWork(payment_id=expected.payment_id)
    return AssignedQuestion(
        account=account, question=question, expected=expected, asked_at=asked_at, work=work, reading=unread
    )


class ClockOf:
    """The database's clock as a process keeps it, which may be `behind`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock, self.behind = clock, timedelta()

    def now(self) -> datetime:
        return self._clock.now - self.behind

    def ticking(self) -> float:
        return self._clock.now.timestamp()

    def check(self, reading: datetime, *, asked: float, answered: float) -> None:
        assert asked <= reading.timestamp() <= answered


class Consuming:
    """`asked` are the questions that reached the gateway, in order; `answer` says what it answers."""

    def __init__(self, answer: Gateway | None = None) -> None:
        self.drive = Drive()
        self.clock = ClockOf(self.drive.clock)
        self.ledger = self.drive.ledger = BreakableLedger(self.drive.clock)
        self.bus, self.failures = FakeBus(self.drive.clock), FakeFailures(self.ledger)
        self.answer: Gateway = answer or says(Status.PENDING)
        self.asked: list[AssignedQuestion] = []
        self.turns = set[str]()
        """The payments that some process is asking about; a test can add those of another process."""
        self._consumer: Consumer | None = None
        self._worker: asyncio.Task[None] | None = None

    async def ask(
        self, account: Account, question: Question, expected: Expected, calls: Calls, *, asked_at: datetime
    ) -> QuestionOutcome:
        calls.made += 1
        assigned = about(account, question, expected, asked_at)
        self.asked.append(assigned)
        outcome = self.answer(assigned)
        if outcome is None:
            raise ValueError("a gateway's file with a fault")
        return outcome

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        self.start()
        try:
            yield
        finally:
            await self.die()

    def start(self) -> None:
        gateways: Any = self
        clock: Any = self.clock
        turns, rules = FakeTurns(self.turns), self.drive.rules
        self._consumer = Consumer(self.bus, self.ledger, turns, rules, gateways, self.failures, clock, Metrics())
        self._worker = asyncio.create_task(self._consumer.run())

    async def die(self) -> None:
        """End as a killed process does: its turns are over, and its claims are delivered again at once."""
        assert self._worker is not None
        await end_one(self._worker)
        self.turns.clear()
        await self.bus.workers_die()

    async def stop(self) -> None:
        """End as a process that is asked to stop."""
        assert self._consumer is not None
        assert self._worker is not None
        self._consumer.stop()
        await self._worker

    def payments_changed(self, *payment_ids: str) -> None:
        """Another process reports that these payments changed."""
        assert self._consumer is not None
        self._consumer.payments_changed(payment_ids)

    async def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def pass_time(self, span: timedelta, each: Callable[[], Awaitable[None]] | None = None) -> None:
        """Let time pass in steps, with a sweep at each that finds something due, and `each` after it."""
        end = self.drive.clock.now + span
        await (each or self.settle)()
        while self.drive.clock.now < end:
            look = self.ledger.next_look()
            if look is None or look > end:
                self.drive.clock.set(end)
            else:
                self.drive.clock.set(max(look, self.drive.clock.now + timedelta(seconds=1)))
            await self.sweep()
            await (each or self.settle)()

    async def sweep(self) -> None:
        """As worker.verify.sweep does: due payments become claims, and are due again half a minute later."""
        now = self.drive.clock.now
        due = [payment.id for payment in self.ledger.due(now)]
        self.ledger.swept(due, now + timedelta(seconds=30))
        await self.bus.publish([self.drive.claim(payment_id, source=Source.SWEEP) for payment_id in due])
        await self.bus.wake()
