"""A ledger and turns whose processes can die at any await: before a call, inside a transaction, just after its commit.

A transaction that did not end leaves nothing. A committed transaction leaves all of it, even when its process died
before it knew. A turn is free at once. At any await other processes may run, so that a payment has changed since it was
read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

from consumers.ports.readings import LookResult
from consumers.ports.writes import Write, WriteResult
from schemas.callbacks import Claim
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger

HELD_FOR = timedelta(seconds=30)
"""A process that has a turn for longer counts as stopped, and others ask all the same."""

DEPTH = 3
"""How many processes may run nested, each between two steps of another."""


class Killed(BaseException):
    """The process is gone; nothing that it had in memory is left."""


class Mortality:
    """At an await a process dies with the probability `deadly`, and others run first with the probability `raced`."""

    def __init__(
        self, draw: Random, deadly: float, raced: float = 0.0, others: Callable[[], None] | None = None
    ) -> None:
        self._draw, self.deadly = draw, deadly
        self._raced, self._others, self._depth = raced, others, 0

    def live(self) -> None:
        if self._draw.random() < self.deadly:
            raise Killed
        if self._others is not None and self._depth < DEPTH and self._draw.random() < self._raced:
            self._depth += 1
            self._others()
            self._depth -= 1

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While rows are locked no other process runs in between: it would wait for the lock."""
        depth, self._depth = self._depth, DEPTH
        try:
            yield
        finally:
            self._depth = depth


class MortalLedger:
    """The port `Ledger` over the fake ledger. `written` are the payments that were written."""

    def __init__(
        self, ledger: FakeLedger, live: Callable[[], None], alone: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._ledger, self._live, self._alone = ledger, live, alone
        self.written: list[str] = []

    async def look(self, *given: Any) -> Any:
        return await self._called(self._ledger.look, *given)

    async def set_aside(self, *given: Any) -> Any:
        return await self._called(self._ledger.set_aside, *given)

    async def referenced(self, *given: Any) -> Any:
        return await self._called(self._ledger.referenced, *given)

    async def keep(self, *given: Any) -> Any:
        return await self._called(self._ledger.keep, *given)

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        self._live()
        written = await self._ledger.write(writes)
        self.written.extend(written.done)
        self._live()
        return written

    @asynccontextmanager
    async def locked(self, payment_ids: Collection[str]) -> AsyncIterator[_MortalLockedLedger]:
        self._live()
        with self._alone():
            yield _MortalLockedLedger(self, frozenset(payment_ids))
        self._live()

    @asynccontextmanager
    async def limits(self, accounts: Collection[str]) -> AsyncIterator[Any]:
        self._live()
        with self._alone():
            async with self._ledger.limits(accounts) as limits:
                yield _MortalLimits(limits, self._live)
        self._live()

    async def _called(self, call: Callable[..., Any], *given: Any) -> Any:
        self._live()
        done = await call(*given)
        self._live()
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


class _MortalLockedLedger:
    def __init__(self, ledger: MortalLedger, payment_ids: frozenset[str]) -> None:
        self._ledger, self._payment_ids = ledger, payment_ids

    async def look(self, claims: Sequence[Claim]) -> LookResult:
        looked: LookResult = await self._ledger.look(claims, self._payment_ids)
        return looked

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        return await self._ledger.write(writes)


class _MortalLimits:
    def __init__(self, limits: Any, live: Callable[[], None]) -> None:
        self._limits, self._live = limits, live
        self.now, self.limits_by_account = limits.now, limits.limits_by_account

    async def save(self, *given: Any) -> None:
        self._live()
        await self._limits.save(*given)
        self._live()


class MortalTurns:
    """The turns of one process; `held`, by payment since when, is shared by all processes."""

    def __init__(self, clock: FakeClock, held: dict[str, datetime], live: Callable[[], None]) -> None:
        self._clock, self._held, self._live = clock, held, live
        self._mine: dict[str, datetime] = {}

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        self._live()
        now = self._clock.now
        free = [one for one in payment_ids if one not in self._mine and self._free(one, now)]
        self._held.update(dict.fromkeys(free, now))
        self._mine.update(dict.fromkeys(free, now))
        self._live()
        return frozenset(free)

    def _free(self, payment_id: str, now: datetime) -> bool:
        return payment_id not in self._held or self._held[payment_id] + HELD_FOR <= now

    def give_back(self, payment_ids: Iterable[str]) -> None:
        """A turn that another process has by now stays with it."""
        for payment_id in payment_ids:
            since = self._mine.pop(payment_id, None)
            if since is not None and self._held.get(payment_id) == since:
                del self._held[payment_id]

    def die(self) -> None:
        self.give_back(list(self._mine))
