"""The relay: events get their place in the log, which is when readers see them, and go on to the broker.

The one thing to get wrong: waiting for the broker. A place is given whether it is there or not, for webhooks and for
readers of the log; only the events that go over it wait.
"""

from __future__ import annotations

import asyncio

import structlog

from consumers.bus import BusAway
from worker.amqp.messages import event_post
from worker.amqp.publisher import Publisher
from worker.clock import set_within
from worker.metrics import Metrics
from worker.postgres.carrying import begin_carrying, carried
from worker.postgres.database import UNAVAILABLE, Database, Notice
from worker.postgres.log import place

BATCH = 500
POLL_SECONDS = 5.0
BROKER_AWAY_SECONDS = 1.0
BUSY_SECONDS = 0.1
CONFIRM_SECONDS = 10.0
BROKER = "rabbitmq"

log = structlog.get_logger()


class Relay:
    """Runs until cancelled. `hear` is told that events were written; without a publisher there is no broker."""

    def __init__(self, database: Database, metrics: Metrics, publisher: Publisher | None = None) -> None:
        self._database, self._metrics, self._publisher = database, metrics, publisher
        self._written, self._placed = asyncio.Event(), asyncio.Event()

    def hear(self) -> None:
        self._written.set()

    async def run(self) -> None:
        if self._publisher is None:
            await self._place()
            return
        await self._begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._place())
            group.create_task(self._carry(self._publisher))

    async def _place(self) -> None:
        while True:
            self._written.clear()
            try:
                placed = await place(self._database, BATCH)
            except UNAVAILABLE as error:
                log.warning("relay.unavailable", error=type(error).__name__)
                placed = 0
            self._metrics.placed.inc(placed)
            self._placed.set()  # by us or by another process: whoever hears of events looks what there is to carry
            if placed:
                await self._database.notify(Notice(placed=True))
            if placed < BATCH:
                await set_within(self._written, POLL_SECONDS)

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
            self._metrics.published.inc(carried_on)
            if carried_on < BATCH:
                await set_within(self._placed, POLL_SECONDS)

    async def _carry_batch(self, publisher: Publisher) -> int | None:
        """How many were carried on; None while another process is at it."""
        async with carried(self._database, BROKER, BATCH) as events:
            if events is None:
                return None
            posts = [event_post(row["id"], row["type"], row["merchant"], row["account"], row["body"]) for row in events]
            if posts:
                await publisher.publish(posts, seconds=CONFIRM_SECONDS)
            return len(posts)
