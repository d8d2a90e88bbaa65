"""The sweep: payments that are due become claims in the same queues as the claims of callbacks.

It asks no gateway and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from consumers.account import Account
from consumers.pacing import Backoff
from consumers.ports.bus import ClaimPublisher
from consumers.ports.unavailable import DatabaseUnavailable, Unavailable, error_name
from schemas.words import Source
from worker.postgres.database import Database
from worker.postgres.queue.due import MOST_WAITING, POLL_SECONDS, next_due_at, take_due
from worker.postgres.watermark import Watermarks
from worker.runtime.clock import set_within
from worker.telemetry.metrics import Metrics
from worker.verify.own_claims import own_claim

BATCH = 50
LOOK_AGAIN = Backoff(timedelta(seconds=0.01), timedelta(seconds=1))
"""The pauses between looks at payments that are due and cannot be taken."""

log = structlog.get_logger()


class Sweep:
    """Publishes claims about due payments, until cancelled. Call `wake_if_due` when a payment's next check changes.

    Payments of accounts that are no longer configured are left alone, because no worker could ask about them.
    """

    def __init__(
        self,
        database: Database,
        bus: ClaimPublisher,
        accounts: Mapping[str, Account],
        metrics: Metrics,
    ) -> None:
        self._database, self._bus, self._accounts, self._metrics = database, bus, accounts, metrics
        self._wake = asyncio.Event()
        self._until: datetime | None = None
        self._looked_in_vain = 0
        self._marks = Watermarks()

    def wake_if_due(self, due_at: datetime | None) -> None:
        """Look at once if a payment is due at `due_at`, before the next planned look.

        The time may be long past; the next look sees it.
        """
        if due_at is not None:
            self._marks.lower(due_at)
        if due_at is not None and (self._until is None or due_at < self._until):
            self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                swept = await self._sweep()
                self._metrics.polled("sweep")
            except Unavailable as error:
                log.warning("sweep.unavailable", error=error_name(error))
                swept = 0
            if swept:
                self._looked_in_vain = 0
            if swept < BATCH:
                await self._wait()

    async def _sweep(self) -> int:
        """Publish claims about at most BATCH due payments of each account. Returns how many."""
        waiting = await self._bus.depths()
        due = await take_due(self._database, BATCH, self._budgets(waiting), self._marks)
        if due:
            now = self._database.clock.now()
            await self._bus.publish([own_claim(Source.SWEEP, *payment, now) for payment in due])
            self._metrics.swept.inc(len(due))
        return len(due)

    def _budgets(self, waiting: Mapping[str, int]) -> dict[str, float | None]:
        """The accounts whose gateways have fewer than MOST_WAITING claims waiting, with their calls per second."""
        return {
            account.id: account.calls_per_second
            for account in self._accounts.values()
            if waiting.get(account.provider.name, 0) < MOST_WAITING
        }

    async def _wait(self) -> None:
        """Sleep until the next payment is due, at most POLL_SECONDS, or until `wake_if_due`.

        Payments that are due and were not taken are locked or must wait. The pauses grow until some could be taken.
        """
        self._wake.clear()
        now = self._database.clock.now()
        self._until = now + timedelta(seconds=POLL_SECONDS)
        with suppress(DatabaseUnavailable):
            due_at = await next_due_at(self._database, self._budgets({}), self._marks)
            overdue = due_at is not None and due_at <= now
            self._looked_in_vain = self._looked_in_vain + 1 if overdue else 0
            if due_at is not None:
                self._until = min(self._until, max(due_at, now + LOOK_AGAIN.pause(self._looked_in_vain)))
        await set_within(self._wake, (self._until - now).total_seconds())
