"""The role: a worker for each configured endpoint, begun, ended and woken together.

An endpoint is sent only events that get their positions after its row was made. So `begin` makes the rows before the
process takes anything in, from a callback or from a queue; made later, they would miss events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.config.webhook_endpoints import Endpoint
from worker.deliver.endpoint_worker import EndpointWorker
from worker.deliver.sender import sender
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import begin_endpoints
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import OFF, Tracing


class Deliver:
    """Call `begin` first. Runs until `stop`; then deliveries under way get a few seconds to end."""

    def __init__(
        self,
        database: Database,
        endpoints: Sequence[Endpoint],
        metrics: Metrics,
        *,
        private: bool,
        tracing: Tracing = OFF,
    ) -> None:
        self.endpoints, self._tracing = tuple(endpoints), tracing
        self._database, self._metrics, self._private = database, metrics, private
        self._workers: list[EndpointWorker] = []
        self._stopped = asyncio.Event()

    def wake(self, *, placed: bool) -> None:
        """Look for new deliveries where events got positions, or deliveries were made due."""
        for worker in self._workers if placed else ():
            worker.wake()

    def stop(self) -> None:
        self._stopped.set()

    async def begin(self) -> None:
        """Make the rows of the endpoints that have none. Raises DatabaseUnavailable."""
        self.endpoints = await begin_endpoints(self._database, self.endpoints)

    async def run(self) -> None:
        now = self._database.clock.now
        async with sender(now, private=self._private) as sending, asyncio.TaskGroup() as group:
            self._workers = [
                EndpointWorker(endpoint, self._database, sending, self._metrics, now, self._tracing)
                for endpoint in self.endpoints
            ]
            for worker in self._workers:
                group.create_task(worker.run())
            await self._stopped.wait()
            for worker in self._workers:
                worker.stop()
