"""The role: a worker for each configured endpoint, begun, ended and woken together.

The one thing to get wrong: beginning late. An endpoint is told what is placed after its row was made, so `begin` makes
the rows before the process takes anything in, from a callback or from a queue.
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
    """Runs until `stop`, which lets what is being sent come back; only once it has begun."""

    def __init__(
        self,
        database: Database,
        endpoints: Sequence[Endpoint],
        metrics: Metrics,
        *,
        private: bool,
        tracing: Tracing = OFF,
    ) -> None:
        self.endpoints, self._tracing = endpoints, tracing
        self._database, self._metrics, self._private = database, metrics, private
        self._workers: list[EndpointWorker] = []
        self._stopped = asyncio.Event()

    def wake(self, *, placed: bool) -> None:
        """Whether events were placed, or deliveries made due."""
        for worker in self._workers if placed else ():
            worker.wake()

    def stop(self) -> None:
        self._stopped.set()

    async def begin(self) -> None:
        """Make the rows of the endpoints that have none. Raises DatabaseUnavailable."""
        await begin_endpoints(self._database, [(one.id, one.merchant, one.url) for one in self.endpoints])

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
