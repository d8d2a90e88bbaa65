"""For operators: alive, ready, and what Prometheus scrapes. Listens apart from the public port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web
from msgspec import Struct
from prometheus_client import generate_latest

from consumers.bus import Bus
from schemas.words import Hold
from worker.metrics import Metrics
from worker.postgres.database import UNAVAILABLE, Database

ASK_SECONDS = 2.0

_GAUGES = """
    SELECT
        (SELECT extract(epoch FROM clock_timestamp() - min(opened_at)) FROM payments
          WHERE status = 'pending' AND next_check_at IS NOT NULL)::float8 AS unresolved,
        (SELECT extract(epoch FROM clock_timestamp() - min(time)) FROM events WHERE place IS NULL)::float8 AS unplaced,
        (SELECT count(*) FROM deliveries d WHERE d.endpoint = ANY($1) AND d.given_up_at IS NOT NULL) AS given_up,
        waiting.count AS undelivered,
        (SELECT extract(epoch FROM clock_timestamp() - time) FROM events WHERE place = waiting.first)::float8 AS oldest,
        (SELECT coalesce(jsonb_object_agg(hold, held), '{}')
           FROM (SELECT hold, count(*) AS held FROM payments WHERE hold IS NOT NULL GROUP BY hold) AS holds) AS held
    FROM (SELECT count(*) AS count, min(d.place) AS first FROM deliveries d JOIN endpoints e ON e.id = d.endpoint
          WHERE d.endpoint = ANY($1) AND d.next_at IS NOT NULL AND e.disabled_at IS NULL) AS waiting
"""


class Ops(Struct, frozen=True):
    """What the ops port needs. `missing` names the parts of the process that do not run; empty when all is well.

    `unheard` names the gateways whose claims RabbitMQ does not deliver to this process. That makes a worker unready; a
    process that also takes callbacks goes on taking them, into the spool, and only says so. `endpoints` are the ids of
    the configured ones: what waits for others waits for nobody.
    """

    database: Database
    bus: Bus
    metrics: Metrics
    missing: Callable[[], list[str]]
    unheard: Callable[[], list[str]]
    serving: bool
    endpoints: Sequence[str] = ()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.scrape),
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(self, _: web.Request) -> web.Response:
        unheard = self.unheard()
        missing = self.missing() + ([] if self.serving else [f"consumer of {provider}" for provider in unheard])
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self.database.fetch("SELECT 1")
        except UNAVAILABLE:
            missing.append("database")
        told = {"ready": not missing, "missing": missing, "unheard": unheard}
        return web.json_response(told, status=503 if missing else 200)

    async def scrape(self, _: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._measure()
        except UNAVAILABLE:
            pass  # the counters are worth having all the same; readiness tells of the database
        return web.Response(
            body=generate_latest(self.metrics.registry),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _measure(self) -> None:
        row = (await self.database.fetch(_GAUGES, list(self.endpoints)))[0]
        self.metrics.undelivered.set(row["undelivered"])
        self.metrics.given_up.set(row["given_up"])
        self.metrics.oldest_undelivered.set(row["oldest"] or 0)
        self.metrics.oldest_unresolved.set(row["unresolved"] or 0)
        self.metrics.oldest_unplaced.set(row["unplaced"] or 0)
        for hold in Hold:
            self.metrics.held.labels(hold.value).set(row["held"].get(hold.value, 0))
        self.metrics.waiting.clear()
        for provider, waiting in (await self.bus.waiting()).items():
            self.metrics.waiting.labels(provider).set(waiting)
