"""The relay while traces are on: each event that gets its position has a span `place` in its own trace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from worker.deliver.event_publisher import MessagePublisher
from worker.deliver.relay import Relay
from worker.postgres.database import Database
from worker.postgres.events.event_log import SequencedEvent, assign_positions_returning
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import Tracing, traceparent_of


class TracedRelay(Relay):
    """See worker.deliver.relay.Relay."""

    def __init__(
        self, database: Database, metrics: Metrics, publisher: MessagePublisher | None, tracing: Tracing
    ) -> None:
        super().__init__(database, metrics, publisher, tracing)
        self._tracing = tracing

    def sequenced(self, events: Sequence[SequencedEvent]) -> None:
        self._place(one.body for one in events)
        super().sequenced(events)

    async def _assign_positions(self, most: int) -> int:
        began = time.monotonic()
        bodies = await assign_positions_returning(self._database, most)
        self._place(bodies, time.monotonic() - began)
        return len(bodies)

    def _place(self, bodies: Iterable[bytes], seconds_ago: float = 0) -> None:
        with self._tracing.follow_all("place", [traceparent_of(body) for body in bodies], seconds_ago=seconds_ago):
            pass
