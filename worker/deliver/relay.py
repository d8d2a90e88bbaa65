"""The relay: gives positions to events that have none, and sends events with positions to the broker.

Positions are assigned whether the broker is there or not, for webhooks and for readers of the log. Only publishing
waits for the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from worker.deliver.event_publisher import EventPublisher, MessagePublisher
from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.events.event_log import SequencedEvent, assign_positions
from worker.postgres.wakeups import Wakeup
from worker.runtime.cancellation import run_all
from worker.runtime.clock import set_within
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import OFF, Tracing

BATCH = 500
POLL_SECONDS = 5.0
PAUSE_SECONDS = 0.02
"""While the relay assigns positions, writers leave their events to it. Without a pause they might never do it
themselves again."""

log = structlog.get_logger()


class Relay:
    """Runs until cancelled. Without a publisher there is no broker.

    Call `on_wakeup` when events have no position or got it in another process, `sequenced` with those that got it here.
    """

    def __init__(
        self, database: Database, metrics: Metrics, publisher: MessagePublisher | None = None, tracing: Tracing = OFF
    ) -> None:
        self._database, self._metrics = database, metrics
        self._event_publisher = EventPublisher(database, publisher, metrics, tracing) if publisher else None
        self._written = asyncio.Event()

    def on_wakeup(self, wakeup: Wakeup) -> None:
        if wakeup.events:
            self._written.set()
        if wakeup.placed and wakeup.sender and self._event_publisher is not None:
            self._event_publisher.wake()

    def sequenced(self, events: Sequence[SequencedEvent]) -> None:
        self._metrics.sequenced.inc(len(events))
        if self._event_publisher is not None:
            self._event_publisher.remember(events)

    async def run(self) -> None:
        event_publisher = [] if self._event_publisher is None else [self._event_publisher.run()]
        await run_all(self._sequence(), *event_publisher)

    async def _sequence(self) -> None:
        while True:
            self._written.clear()
            try:
                placed = await self._assign_positions(BATCH)
                self._metrics.polled("relay")
            except UNAVAILABLE as error:
                log.warning("relay.unavailable", error=type(error).__name__)
                placed = 0
            self._metrics.sequenced.inc(placed)
            if self._event_publisher is not None:  # events may have got positions here, or elsewhere without a wakeup
                self._event_publisher.wake()
            if placed:
                self._database.notify(Wakeup(placed=True))
            if placed < BATCH:
                await asyncio.sleep(PAUSE_SECONDS)
                await set_within(self._written, POLL_SECONDS)

    async def _assign_positions(self, most: int) -> int:
        """Assign positions to about `most` events. Returns how many events got one."""
        return await assign_positions(self._database, most)
