"""The work of one endpoint: finished attempts are recorded, new events are made due, due deliveries are sent.

Each endpoint has a worker of its own, which sends a few deliveries at a time. So a slow endpoint delays no other. A
cycle writes in one transaction that locks the endpoint's row. So the workers of several processes take turns and share
the work. Nothing is sent while the row is locked: sending happens between cycles.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import asyncpg
import structlog
from msgspec.structs import replace

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from consumers.webhook_policy import (
    EARLY_PROBE_AFTER,
    Delivered,
    Health,
    capacity,
    outcome,
)
from worker.config.webhook_endpoints import Endpoint
from worker.deliver.recording import FinishedAttempt, record_finished, tell_recorded
from worker.deliver.sender import Sender
from worker.postgres.database import Connection, Database
from worker.postgres.events.deliveries import (
    LeasedDelivery,
    expedite_one,
    lease_deliveries,
    next_delivery_at,
)
from worker.postgres.events.endpoint_rows import (
    LockedEndpoint,
    enqueue_new_events,
    lock_endpoint,
    save_health,
)
from worker.postgres.watermark import Watermark
from worker.postgres.witness import SeenEvent
from worker.runtime.clock import set_within
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import OFF, Tracing, traceparent_of

MAX_IN_FLIGHT = 8
BATCH = 500
POLL_SECONDS = 5.0
PAUSE = timedelta(seconds=1)  # before the next cycle, while a payment is locked or the database is away
STOP_SECONDS = 5.0

log = structlog.get_logger()


class EndpointWorker:
    """Works from `run` until `stop`. Tests that move the clock call `cycle` alone."""

    def __init__(
        self,
        endpoint: Endpoint,
        database: Database,
        sender: Sender,
        metrics: Metrics,
        now: Callable[[], datetime],
        tracing: Tracing = OFF,
    ) -> None:
        self._endpoint, self._database, self._sender = endpoint, database, sender
        self._metrics, self._now, self._tracing = metrics, now, tracing
        self._mark = Watermark()
        self._wake = asyncio.Event()
        self._stopping = False
        self._sending: set[asyncio.Task[None]] = set()
        self._ended: list[FinishedAttempt] = []

    @property
    def busy(self) -> bool:
        """Whether an attempt is under way, or has ended and is not recorded."""
        return bool(self._sending or self._ended)

    def wake(self) -> None:
        """Look for new deliveries now."""
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def woken(self, seconds: float) -> None:
        """Wait until an attempt has ended or a wakeup came, at most so many seconds."""
        await set_within(self._wake, seconds)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                try:
                    at = await self.cycle(group)
                except DatabaseUnavailable as error:
                    log.warning("deliver.unavailable", endpoint=self._endpoint.id, error=error_name(error))
                    at = self._now() + PAUSE
                seconds = POLL_SECONDS if at is None else (at - self._now()).total_seconds()
                if seconds > 0:
                    await self.woken(min(seconds, POLL_SECONDS))
            await self._finish()

    async def cycle(self, group: asyncio.TaskGroup) -> datetime | None:
        """Record ended attempts, and start due deliveries in this group. Returns when to look next, or None."""
        self._wake.clear()
        now = self._now()
        async with self._database.connection() as connection, connection.transaction():
            locked = await lock_endpoint(connection, self._endpoint.id)
            health, recorded = await self._record(connection, locked, now)
            taken, at = await self._take(connection, replace(locked, health=health), now)
        self._drop_recorded(locked.health, health, recorded)
        for one in taken:
            task = group.create_task(self._send(one))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if self._ended:  # their payments are locked by another transaction
            return min(at or now + PAUSE, now + PAUSE)
        return at

    async def _record(
        self, connection: Connection[asyncpg.Record], locked: LockedEndpoint, now: datetime
    ) -> tuple[Health, list[FinishedAttempt]]:
        """Write down the ended attempts; see `record_finished`. More may end while this waits for the database."""
        done = await record_finished(connection, self._endpoint, locked, tuple(self._ended), now)
        self._ended = [one for one in self._ended if one not in done.lost]
        return done.health, done.written

    async def _take(
        self, connection: Connection[asyncpg.Record], locked: LockedEndpoint, now: datetime
    ) -> tuple[list[LeasedDelivery], datetime | None]:
        """Make new events due, and lease due deliveries. Returns these, and when to look next, or None.

        While the breaker is open, at most one delivery is leased, as a probe. If no delivery is due by
        EARLY_PROBE_AFTER after the breaker's pause, one is made due early.
        """
        endpoint, health = self._endpoint, locked.health
        if health.disabled_at is not None or self._stopping:
            return [], None
        enqueued = await enqueue_new_events(
            connection, endpoint.id, endpoint.merchant, endpoint.types, locked.place, BATCH, now
        )
        free = MAX_IN_FLIGHT - len(self._sending)
        most = capacity(health, free, now)
        probe = health.probing
        taken = await lease_deliveries(connection, endpoint.id, most, now, self._mark, probe=probe) if most else []
        early_at = health.shut_until + EARLY_PROBE_AFTER if probe and health.shut_until else None
        if most and not taken and early_at is not None and early_at <= now:
            await expedite_one(connection, endpoint.id, now, self._mark)
            taken = await lease_deliveries(connection, endpoint.id, most, now, self._mark, probe=probe)
        if taken and probe:  # nothing else is sent until this probe has ended, or its lease is over
            await save_health(connection, endpoint.id, Health(failures=health.failures, shut_until=taken[0].lease))
        if enqueued == BATCH:
            return taken, now
        if len(taken) == free or not free or (taken and probe):
            return taken, None
        at = await next_delivery_at(connection, endpoint.id, now, self._mark)
        if at is not None and health.shut_until is not None:
            at = max(at, health.shut_until)
            at = min(at, early_at) if early_at is not None and early_at > now else at
        return taken, now + PAUSE if at is not None and at <= now else at

    async def _send(self, taken: LeasedDelivery) -> None:
        trace, event_id = traceparent_of(taken.body), taken.event_id
        with self._tracing.follow(
            "deliver", trace, endpoint=self._endpoint.id, event_id=event_id, attempt=taken.attempt
        ) as span:
            sent = await self._sender.send(self._endpoint, event_id, taken.body, span.traceparent)
            span.note(status=sent.response.status)
        at = self._now()
        became = outcome(sent.response, taken.step, at, random.random())  # noqa: S311 - jitter is no secret
        self._ended.append(FinishedAttempt(taken=taken, sent=sent, became=became, at=at))
        if isinstance(became, Delivered):
            merchant = self._endpoint.merchant
            seen = SeenEvent(id=event_id, type=taken.type, merchant=merchant, account=taken.account)
            self._database.witness.saw([seen], taken.since)
        self._wake.set()

    async def _finish(self) -> None:
        """Wait a little for attempts under way, and record the ended ones. Others are sent again after their lease."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=STOP_SECONDS)
        for task in self._sending:
            task.cancel()
        if self._ended:
            async with asyncio.TaskGroup() as group:
                try:
                    await self.cycle(group)
                except DatabaseUnavailable as error:
                    log.warning("deliver.unavailable", endpoint=self._endpoint.id, error=error_name(error))

    def _drop_recorded(self, before: Health, health: Health, recorded: Collection[FinishedAttempt]) -> None:
        """Drop the attempts that are recorded and committed, and tell of them."""
        self._ended = [one for one in self._ended if one not in recorded]
        tell_recorded(self._metrics, self._endpoint, before, health, recorded)
