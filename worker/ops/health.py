"""The port for operators: whether the process lives, whether it is ready, and metrics for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from aiohttp import web
from msgspec import Struct
from prometheus_client import generate_latest

from consumers.ports.unavailable import DatabaseUnavailable
from worker.amqp.consumer_pool import ConsumerPool
from worker.broker import Broker
from worker.ops.state_metrics import StateMetrics
from worker.postgres.database import Database
from worker.postgres.lost_events import count_lost
from worker.telemetry.metrics import Metrics

ASK_SECONDS = 2.0


class Ops(Struct, frozen=True):
    """The routes of the operators' port. `missing` names the parts of this process that do not run.

    Without the role ingress, a queue that RabbitMQ does not deliver from makes the process unready. With it the process
    goes on taking callbacks, into the spool, and only reports the queue. Events that a failover lost are only reported,
    and `spooling` alone makes no process unready.
    """

    database: Database
    broker: Broker | None
    metrics: Metrics
    state_metrics: StateMetrics
    missing: Callable[[], list[str]]
    roles: Collection[str]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.scrape),
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(self, _: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                lost, answered = await count_lost(self.database), True
        except (DatabaseUnavailable, TimeoutError):
            lost, answered = None, False
        unheard = self._unheard()
        missing = self._missing(unheard, answered=answered)
        told = {
            "ready": not missing,
            "missing": missing,
            "unheard": unheard,
            "spooling": self._spooling(),
            "lost_events": lost,
        }
        return web.json_response(told, status=503 if missing else 200)

    async def scrape(self, _: web.Request) -> web.Response:
        """The metrics. Gauges that are read from the database are left out while it does not answer."""
        answered, unheard = await self.state_metrics.refresh(), self._unheard()
        for role in self.roles:
            self.metrics.roles.labels(role).set(1)
        self.metrics.ready.set(not self._missing(unheard, answered=answered))
        self.metrics.skew.set(time.time() - self.database.clock.now().timestamp())
        if self.broker is not None:
            self.metrics.broker.labels("publisher").set(self.broker.publisher.connected)
            for queue in self._queues():
                self.metrics.consumers.labels(queue).set(queue not in unheard)
        return web.Response(
            body=generate_latest(self.metrics.registry),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    def _missing(self, unheard: list[str], *, answered: bool) -> list[str]:
        silent = [] if "ingress" in self.roles else [f"consumer of {queue}" for queue in unheard]
        return self.missing() + silent + ([] if answered else ["database"])

    def _spooling(self) -> bool:
        """Whether what RabbitMQ should get goes to Postgres: it is away, or confirms nothing, as in an alarm."""
        return self.broker is not None and not self.broker.publisher.connected

    def _unheard(self) -> list[str]:
        """The queues that RabbitMQ does not deliver to this process, though it should."""
        return [queue for pool in self._pools() for queue in pool.missing()]

    def _queues(self) -> list[str]:
        return [queue for pool in self._pools() for queue in pool.queues]

    def _pools(self) -> list[ConsumerPool]:
        """The pools that this process consumes from: claims for the role consume, expected payments for ingress."""
        if self.broker is None:
            return []
        heard = {"consume": self.broker.pool, "ingress": self.broker.expected}
        return [pool for role, pool in heard.items() if role in self.roles]
