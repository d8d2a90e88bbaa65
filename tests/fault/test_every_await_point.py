"""A worker dies, or its connection breaks, at each point where it waits for another system.

The points are counted in an undisturbed run: before and after each call of a port, and before and after each commit.
Then at every point a worker dies, and another worker's connection breaks. The gateway keeps books, so that money taken
twice would show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from consumers.account import Account
from consumers.ports.unavailable import DatabaseUnavailable
from schemas.answers import Executed, Expected, Question, QuestionOutcome
from schemas.words import EntryKind, EventType, QuestionKind, Said, Source, Status
from tests.fakes.bus import FakeBus
from tests.fakes.consuming import ClockOf, about
from tests.fakes.drive import Drive, answered
from tests.fakes.failures import FakeFailures
from tests.fakes.ledger import FakeTurns
from tests.fakes.providers import EXECUTING, PLAIN
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics
from worker.verify.consume import Consumer
from worker.verify.question_course import Calls

How = Literal["dies", "breaks"]
END_SECONDS = 30.0
LOOK_SECONDS = 0.05
LIFETIME = timedelta(days=7)  # half a minute passes at every look


class Fate:
    """The fault at the `at`-th point; none at 0. `met` is set when it happened."""

    def __init__(self, at: int, how: How) -> None:
        self._at, self.how = at, how
        self.passed = 0
        self.met = asyncio.Event()

    async def point(self) -> None:
        self.passed += 1
        if self.passed == self._at:
            self.met.set()
            if self.how == "breaks":
                raise DatabaseUnavailable
        if self.met.is_set() and self.how == "dies":
            await asyncio.Event().wait()


class Fragile:
    """A port whose every call passes a point before it is made, and another before its result is known."""

    def __init__(self, port: Any, fate: Fate) -> None:
        self._port, self._fate = port, fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*given: Any, **named: Any) -> Any:
            await self._fate.point()
            result = await found(*given, **named)
            await self._fate.point()
            return result

        return call


class FragileLedger(Fragile):
    @asynccontextmanager
    async def batch(self, payment_ids: Collection[str]) -> AsyncIterator[Fragile]:
        await self._fate.point()
        async with self._port.batch(payment_ids) as batch:
            yield Fragile(batch, self._fate)

    @asynccontextmanager
    async def limits(self, accounts: Collection[str]) -> AsyncIterator[Fragile]:
        await self._fate.point()
        async with self._port.limits(accounts) as limits:
            yield Fragile(limits, self._fate)


class FragileTurns(Fragile):
    """Turns whose answer was lost are taken again at the next try: a session may lock twice."""

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        await self._fate.point()
        mine: frozenset[str] = await self._port.take(payment_ids)
        try:
            await self._fate.point()
        except DatabaseUnavailable:
            self._port.give_back(mine)
            raise
        return mine

    def give_back(self, payment_ids: Iterable[str]) -> None:
        self._port.give_back(payment_ids)


class Till:
    """A gateway with books: an approved payment is paid by one Execute, others are paid already."""

    def __init__(self, account: Account) -> None:
        self.taken = 0 if account.provider.capabilities.executes else 1
        self.executed = 0

    async def ask(
        self, account: Account, question: Question, expected: Expected, calls: Calls, *, asked_at: datetime
    ) -> QuestionOutcome:
        calls.made += 1
        asked = about(account, question, expected, asked_at)
        if question.kind is not QuestionKind.EXECUTE:
            return answered(asked, Status.COMPLETED if self.taken else Status.PENDING)
        self.executed += 1
        reply = "settled" if self.taken else "completed"
        self.taken += reply == "completed"
        return Executed(reply=reply, then=answered(asked, Status.COMPLETED))


class Life:
    """One payment whose buyer returned, from the claim to its end, over a worker that meets its fate."""

    def __init__(self, account: Account, fate: Fate) -> None:
        self.drive = Drive()
        self.bus, self.till, self.fate = FakeBus(self.drive.clock), Till(account), fate
        self.failures = FakeFailures(self.drive.ledger)
        self._account = account

    async def live(self) -> Life:
        payment_id = await self.drive.open(self._account, lifetime=LIFETIME)
        await self.bus.publish([self.drive.claim(payment_id, Said.SUCCESS)])
        worker, replaced = self._start(self.fate), False
        try:
            async with asyncio.timeout(END_SECONDS):
                while not await self._over(payment_id):
                    if self.fate.met.is_set() and self.fate.how == "dies" and not replaced:
                        await end_one(worker)
                        worker, replaced = self._start(Fate(0, "dies")), True
                    await asyncio.sleep(LOOK_SECONDS)
                    await self._time_passes()
        finally:
            await end_one(worker)
        self._judge(payment_id)
        return self

    def _start(self, fate: Fate) -> asyncio.Task[None]:
        ports = Fragile(self.bus, fate), FragileLedger(self.drive.ledger, fate), FragileTurns(FakeTurns(), fate)
        gateways: Any = Fragile(self.till, fate)
        failures: Any = Fragile(self.failures, fate)
        clock: Any = ClockOf(self.drive.clock)
        consumer = Consumer(*ports, self.drive.rules, gateways, failures, clock, Metrics())  # type: ignore[arg-type]
        return asyncio.create_task(consumer.run())

    async def _over(self, payment_id: str) -> bool:
        return self.drive.payment(payment_id).status is Status.COMPLETED and not await self.bus.depths()

    async def _time_passes(self) -> None:
        await self.bus.end_leases()
        due = self.drive.ledger.due(self.drive.clock.now)
        await self.bus.publish([self.drive.claim(payment.id, source=Source.SWEEP) for payment in due])

    def _judge(self, payment_id: str) -> None:
        ledger = self.drive.ledger
        assert self.drive.told(payment_id) == [EventType.COMPLETED]
        assert [event.version for event in ledger.events_of(payment_id)] == [1, 2]
        claims = [one.data for one in ledger.entries(payment_id) if one.kind is EntryKind.CLAIM]
        returns = [one for one in claims if one["source"] is Source.RETURN]
        assert len({one["claim_id"] for one in returns}) == 1
        assert [one["verdict"] != "repeated" for one in returns].count(True) == 1
        assert (self.till.taken, self.till.executed <= 1) == (1, True)
        assert self.bus.dead == []


@pytest.mark.parametrize("how", ["dies", "breaks"])
@pytest.mark.parametrize("account", [PLAIN, EXECUTING], ids=["status", "execute"])
async def test_no_point_loses_or_doubles(account: Account, how: How) -> None:
    undisturbed = await Life(account, Fate(0, how)).live()
    points = undisturbed.fate.passed
    assert points > 12  # before and after: receive, look, take a turn, ask, write, done
    lives = await asyncio.gather(*(Life(account, Fate(at, how)).live() for at in range(1, points + 1)))
    assert all(life.fate.met.is_set() for life in lives[: points // 2])
    print(f"{points} points")
