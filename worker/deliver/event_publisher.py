"""Publishing the log to the broker, in the order of positions: from memory what this process wrote, else from the log.

A remembered event is published only where it follows the last published event, and was written to the server whose log
is read. At a start or a gap, and for events of another process, the log is read: it has every event. Trusting the
memory further could skip an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol

import structlog

from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, error_name
from worker.amqp.messages import OutgoingMessage, event_message
from worker.postgres.database import Database
from worker.postgres.events.event_log import SequencedEvent
from worker.postgres.events.publish_cursor import PublishCursor, publish_cursor
from worker.postgres.witness import SeenEvent
from worker.runtime.clock import set_within
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import Tracing, traceparent_of

BATCH = 500
REMEMBERED = 2 * BATCH
"""So many events, of a kilobyte or two each, are remembered while the broker is slow. With more, the log is read."""
SAVE_SECONDS = 0.2
"""The cursor is saved so often. After a crash, the next publisher sends the events of this time again."""
POLL_SECONDS = 5.0
BROKER_AWAY_SECONDS = 1.0
AWAY_SECONDS = 1.0
CONFIRM_SECONDS = 10.0
END_SECONDS = 0.5

log = structlog.get_logger()


class MessagePublisher(Protocol):
    """See worker.amqp.publisher."""

    async def publish(self, messages: Sequence[OutgoingMessage], *, seconds: float) -> None: ...


class EventPublisher:
    """Runs until cancelled.

    Call `wake` when events got positions in another process, `remember` when they got them here.
    """

    def __init__(
        self,
        database: Database,
        publisher: MessagePublisher,
        metrics: Metrics,
        tracing: Tracing,
        ticking: Callable[[], float] = monotonic,
    ) -> None:
        self._database, self._publisher, self._metrics, self._tracing = database, publisher, metrics, tracing
        self._ticking = ticking
        self._cursor: PublishCursor | None = None
        self._remembered: dict[int, SequencedEvent] = {}
        self._look = True
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._look = True
        self._news.set()

    def remember(self, events: Sequence[SequencedEvent]) -> None:
        """Keep events that were written to the server we publish from. Others, and too many, are read from the log.

        A process that is not the publisher keeps none.
        """
        if self._cursor is None:
            return
        at = self._cursor
        here = [one for one in events if one.since == at.since]
        self._look |= len(here) < len(events)
        self._remembered |= {one.place: one for one in here if one.place > at.place}
        if len(self._remembered) > REMEMBERED:
            self._remembered.clear()
            self._look = True
        self._news.set()

    async def run(self) -> None:
        while True:
            try:
                async with publish_cursor(self._database) as at:
                    await self._publish_from(at)
            except DatabaseUnavailable as error:
                log.warning("relay.unavailable", error=error_name(error))
                await asyncio.sleep(AWAY_SECONDS)

    async def _publish_from(self, at: PublishCursor) -> None:
        self._cursor, self._look, kept = at, True, self._ticking()
        try:
            while True:
                self._news.clear()
                more = await self._publish_batch(at)
                due = kept + SAVE_SECONDS - self._ticking()
                if at.to_save and due <= 0:
                    await at.save()
                    kept = self._ticking()
                elif not more:
                    heard = await set_within(self._news, due if at.to_save else POLL_SECONDS)
                    self._look |= not (heard or at.to_save)
        finally:
            self._cursor = None
            self._remembered.clear()
            if at.to_save:
                with suppress(DatabaseUnavailable, TimeoutError):
                    async with asyncio.timeout(END_SECONDS):
                        await at.save()

    async def _publish_batch(self, at: PublishCursor) -> bool:
        """Publish one batch. Returns whether there may be more to publish at once."""
        at.check()
        if not (events := self._following(at.place)):
            if not self._look and not self._remembered:
                return False
            self._remembered.clear()  # the log has them
            self._look = False
            events = await at.read(BATCH)
            self._look |= len(events) == BATCH
        if events:
            try:
                await self._send(events)
            except BusUnavailable as away:
                log.warning("relay.waiting", why=str(away))
                self._remembered.clear()  # the log has them, and each read keeps our session alive
                self._look = True
                await asyncio.sleep(BROKER_AWAY_SECONDS)
                return True
            at.place = events[-1].place
            self._database.witness.saw(map(_seen, events), at.since)
            self._metrics.published.inc(len(events))
            self._remembered = {place: one for place, one in self._remembered.items() if place > at.place}
        return bool(events)

    def _following(self, place: int) -> list[SequencedEvent]:
        """The remembered events that follow that position without a gap."""
        events: list[SequencedEvent] = []
        while len(events) < BATCH and (one := self._remembered.get(place + 1 + len(events))) is not None:
            events.append(one)
        return events

    async def _send(self, events: Sequence[SequencedEvent]) -> None:
        with self._tracing.follow_all("relay", [traceparent_of(one.body) for one in events]) as traces:
            messages = [
                event_message(one.id, one.type, one.merchant, one.account, one.body, trace)
                for one, trace in zip(events, traces, strict=True)
            ]
            await self._publisher.publish(messages, seconds=CONFIRM_SECONDS)


def _seen(event: SequencedEvent) -> SeenEvent:
    return SeenEvent(id=event.id, type=event.type, merchant=event.merchant, account=event.account)
