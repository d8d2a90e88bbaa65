"""How many bytes of callbacks are stored whole, so that nobody fills the disk with bodies; past it a digest is stored.

A claim is taken, verified and counted all the same. Each process decides by its own count and never waits for the
database. It adds what it has taken to the shared table a moment later, and learns there what the others have taken. A
share of a budget that is too small to matter is not added, so ordinary callbacks cost no statement. Such a share is
forgotten when nothing was taken for IDLE, so that memory does not grow by the payment. With N processes a budget may be
exceeded by up to N / SMALL of it for each IDLE, and by what arrives between two additions.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from msgspec import Struct

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.postgres.database import Database
from worker.postgres.spent_bytes import BudgetKey, add_spent, archive_bytes
from worker.runtime.clock import set_within

KIB = 1024
HOUR, DAY = 3600, 86_400
SMALL = 16
REMEMBERED = 100_000
IDLE = timedelta(minutes=10)
ADD_SECONDS = 0.5
MEASURE_SECONDS = 30.0

log = structlog.get_logger()


class ByteBudget(Struct, frozen=True):
    """A number of bytes for each hour or day of UTC, as its length in seconds says, for each name that is counted."""

    name: str
    size: int
    seconds: int


PAYMENT = ByteBudget("payment", 128 * KIB, HOUR)
"""Of the unsigned callbacks about a payment."""
SIGNED = ByteBudget("signed", 1024 * KIB, HOUR)
"""Of the signed callbacks about a payment, or of an account that name none. The address does not matter for these."""
ADDRESS = ByteBudget("address", 64 * 1024 * KIB, HOUR)
"""Of the unsigned callbacks of an address. Mobile carriers put many buyers behind one, as gateways do with shops."""


def installation(max_size: int) -> ByteBudget:
    """Of all unsigned callbacks: a tenth of the archive a day, so that a person has days to see it fill."""
    return ByteBudget("installation", max_size // 10, DAY)


class Spent(Struct):
    """What was taken of a budget of `size` bytes, the last of it at `at`.

    `known`: the bytes that all processes have added, as far as we know. `unpaid`: the bytes that we have not added yet.
    """

    size: int
    at: datetime
    known: int = 0
    unpaid: int = 0


class ByteBudgets:
    """The budgets as this process counts them. `max_size` is the archive's bound in bytes."""

    def __init__(self, max_size: int, now: Callable[[], datetime]) -> None:
        self._max_size, self._now = max_size, now
        self.installation = installation(max_size)
        self._spent = OrderedDict[BudgetKey, Spent]()
        self._due = dict[BudgetKey, Spent]()
        self._added = asyncio.Event()
        self._archive_bytes = 0

    @property
    def archive_full(self) -> bool:
        return self._archive_bytes >= self._max_size

    def take(self, wanted: Iterable[tuple[ByteBudget, str]], size: int) -> ByteBudget | None:
        """Take `size` bytes from each of these budgets, for the name beside it.

        Returns the first budget that has not enough left; then nothing is taken from any.
        """
        now = self._now()
        entries = [(budget, key, self._entry(budget, key, now)) for budget, key in _keys(wanted, now)]
        for budget, _, spent in entries:
            if spent.known + spent.unpaid + size > budget.size:
                return budget
        for _, key, spent in entries:
            spent.unpaid += size
            self._note_due(key, spent)
        return None

    def due(self) -> dict[BudgetKey, int]:
        """What is to be added to the shared table."""
        return {key: spent.unpaid for key, spent in self._due.items()}

    def learn(self, paid: Mapping[BudgetKey, int], totals: Mapping[BudgetKey, int]) -> None:
        """These bytes were added, and all processes together have added `totals`."""
        for key, size in paid.items():
            spent = self._due.pop(key)
            spent.unpaid -= size
            spent.known = totals[key]
            self._note_due(key, spent)  # more may have been taken since

    def measured(self, size: int) -> None:
        """The archive has this size, in bytes."""
        was_full, self._archive_bytes = self.archive_full, size
        if self.archive_full and not was_full:
            log.error("archive.full", bytes=size)
        elif was_full and not self.archive_full:
            log.info("archive.has_room", bytes=size)

    async def run(self, database: Database) -> None:
        """Until cancelled: add what was taken, and measure the archive."""
        measure_at = 0.0
        while True:
            try:
                if time.monotonic() >= measure_at:
                    self.measured(await archive_bytes(database))
                    measure_at = time.monotonic() + MEASURE_SECONDS
                await self.add(database)
            except DatabaseUnavailable as error:
                log.warning("byte_budgets.add_failed", error=error_name(error))
                self._added.set()
            await asyncio.sleep(ADD_SECONDS)
            await set_within(self._added, max(0.0, measure_at - time.monotonic()))

    async def add(self, database: Database) -> None:
        """Add what was taken to the shared table, and learn what all have added. Raises DatabaseUnavailable."""
        self._added.clear()
        if paid := self.due():
            self.learn(paid, await add_spent(database, paid))

    def _note_due(self, key: BudgetKey, spent: Spent) -> None:
        """Have the bytes added to the shared table, unless they are too few to matter."""
        if spent.unpaid * SMALL >= spent.size:
            self._due[key] = spent
            self._added.set()

    def _entry(self, budget: ByteBudget, key: BudgetKey, now: datetime) -> Spent:
        spent = self._spent.pop(key, None) or self._due.get(key) or Spent(budget.size, now)
        spent.at = now
        self._spent[key] = spent
        for _ in range(2):  # entries are in the order of their last use
            if len(self._spent) > REMEMBERED or next(iter(self._spent.values())).at < now - IDLE:
                self._spent.popitem(last=False)
        return spent


def _keys(wanted: Iterable[tuple[ByteBudget, str]], now: datetime) -> Iterable[tuple[ByteBudget, BudgetKey]]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for budget, name in wanted:
        begun = midnight + timedelta(seconds=(now - midnight).seconds // budget.seconds * budget.seconds)
        yield budget, (begun, budget.name, sha256(name.encode()).hexdigest()[:32])
