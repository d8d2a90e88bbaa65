"""The relay: events get their place in the log, which is when readers see them, and go on to the broker.

The one thing to get wrong: waiting for the broker. A place is given whether it is there or not, for webhooks and for
readers of the log; only the events that go over it wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog
from asyncpg import Record

from consumers.bus import BusAway
from worker.amqp.messages import event_post
from worker.amqp.publisher import Publisher
from worker.clock import set_within
from worker.ending import run_all
from worker.metrics import Metrics
from worker.postgres.carrying import begin_carrying, carried
from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.log import place, place_telling
from worker.postgres.notices import Notice
from worker.tracing import OFF, Tracing, traceparent_of

BATCH = 500
POLL_SECONDS = 5.0
BROKER_AWAY_SECONDS = 1.0
BUSY_SECONDS = 0.1
CONFIRM_SECONDS = 10.0
BROKER = "rabbitmq"

log = structlog.get_logger()


class Relay:
    """Runs until cancelled. `hear` is told that events were written; without a publisher there is no broker."""

    def __init__(
        self, database: Database, metrics: Metrics, publisher: Publisher | None = None, tracing: Tracing = OFF
    ) -> None:
        self._database, self._metrics, self._publisher, self._tracing = database, metrics, publisher, tracing
        self._written, self._placed = asyncio.Event(), asyncio.Event()

    def hear(self) -> None:
        self._written.set()

    async def run(self) -> None:
        if self._publisher is None:
            await self._place()
            return
        await self._begin()
        await run_all(self._place(), self._carry(self._publisher))

    async def _place(self) -> None:
        while True:
            self._written.clear()
            try:
                placed = await self._place_batch()
                self._metrics.look("relay")
            except UNAVAILABLE as error:
                log.warning("relay.unavailable", error=type(error).__name__)
                placed = 0
            self._metrics.placed.inc(placed)
            self._placed.set()  # by us or by another process: whoever hears of events looks what there is to carry
            if placed:
                self._database.notify(Notice(placed=True))
            if placed < BATCH:
                await set_within(self._written, POLL_SECONDS)

    async def _place_batch(self) -> int:
        if not self._tracing.on:
            return await place(self._database, BATCH)
        began = time.monotonic()
        placed = await place_telling(self._database, BATCH)
        seconds = time.monotonic() - began
        with self._tracing.follow_all("place", [traceparent_of(body) for body in placed], seconds_ago=seconds):
            return len(placed)

    async def _begin(self) -> None:
        """Before the first event is placed here, or those before it would count as told."""
        while True:
            try:
                await begin_carrying(self._database, BROKER)
            except UNAVAILABLE as error:
                log.warning("relay.unavailable", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    async def _carry(self, publisher: Publisher) -> None:
        while True:
            self._placed.clear()
            try:
                carried_on = await self._carry_batch(publisher)
            except BusAway as away:
                log.warning("relay.waiting", why=str(away))
                await asyncio.sleep(BROKER_AWAY_SECONDS)
                continue
            except UNAVAILABLE as error:
                log.warning("relay.unavailable", error=type(error).__name__)
                carried_on = 0
            if carried_on is None:
                await asyncio.sleep(BUSY_SECONDS)
                continue
            self._metrics.carried.inc(carried_on)
            if carried_on < BATCH:
                await set_within(self._placed, POLL_SECONDS)

    async def _carry_batch(self, publisher: Publisher) -> int | None:
        """How many were carried on; None while another process is at it."""
        async with carried(self._database, BROKER, BATCH) as events:
            if events is None:
                return None
            if events:
                await self._publish(publisher, events)
            return len(events)

    async def _publish(self, publisher: Publisher, events: Sequence[Record]) -> None:
        with self._tracing.follow_all("relay", [traceparent_of(row["body"]) for row in events]) as traces:
            posts = [
                event_post(row["id"], row["type"], row["merchant"], row["account"], row["body"], trace)
                for row, trace in zip(events, traces, strict=True)
            ]
            await publisher.publish(posts, seconds=CONFIRM_SECONDS)
