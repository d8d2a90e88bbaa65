"""A shop's endpoint that answers as a test says, and events to deliver to it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from aiohttp import web

from schemas.secret import Secret
from worker.config import Webhook
from worker.config.webhook_endpoints import Endpoint, endpoint_of
from worker.deliver.endpoint_worker import EndpointWorker
from worker.deliver.sender import Sender
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import begin_endpoints
from worker.telemetry.metrics import Metrics

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four bytes").decode()
OLDER = "whsec_" + base64.b64encode(b"an older secret of the endpoint").decode()

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Hook:
    """`answers` is how it answers, a status unless a function. `heard` are the ids of the answered events, in order."""

    def __init__(self, answers: int | Answering = 204) -> None:
        self.answers = answers
        self.heard: list[tuple[str, int]] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.news = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, body))
        if isinstance(self.answers, int):
            response: web.StreamResponse = web.Response(status=self.answers)
        else:
            response = await self.answers(request)
        self.heard.append((request.headers["webhook-id"], response.status))
        self.news.set()
        return response

    @property
    def taken(self) -> list[str]:
        """The ids that it answered 2xx, in order."""
        return [one for one, status in self.heard if 200 <= status < 300]


@asynccontextmanager
async def hooking(hook: Hook) -> AsyncIterator[Hook]:
    app = web.Application()
    app.router.add_post("/hook", hook.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        hook.url = f"http://127.0.0.1:{port}/hook"
        yield hook
    finally:
        await runner.cleanup()


def endpoint_at(url: str, *, merchant: str = "m", previous: tuple[str, ...] = (), **more: object) -> Endpoint:
    secrets = tuple(Secret(one) for one in previous)
    return endpoint_of(merchant, Webhook(url=url, secret=Secret(SECRET), previous_secrets=secrets, **more))


async def worker_of(
    endpoint: Endpoint, database: Database, sender: Sender, now: Callable[[], datetime] | None = None
) -> EndpointWorker:
    """An endpoint worker whose endpoint gets the events that are placed from now on."""
    (endpoint,) = await begin_endpoints(database, [endpoint])
    return EndpointWorker(endpoint, database, sender, Metrics(), now or database.clock.now)


async def happen(
    database: Database,
    count: int = 1,
    *,
    merchant: str = "m",
    kind: str = "payment.completed",
    at: datetime | None = None,
) -> list[str]:
    """Make so many payments with an event each that has its position. Returns the events' ids in the log's order."""
    at = at or database.clock.now()
    first = (await database.fetch("SELECT coalesce(max(place), 0) AS place FROM events"))[0]["place"] + 1
    ids = [f"pay_{number:026d}" for number in range(first, first + count)]
    await database.execute(
        """INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata,
               status, holds, version, late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened,
               completed_told, closing_told, hint_asks, step, execute_tries, execute_unanswered, candidates,
               candidate_dropped)
           SELECT id, $2, 'a', 'ipay', id, 10, 'BDT', '', '{}', 'pending', '{}', 1, false, false, 0, '{}', $3, $3, true,
               false, false, '{}', 0, 0, false, '[]', false FROM unnest($1::text[]) AS n (id)""",
        ids,
        merchant,
        at,
    )
    bodies = [json.dumps({"id": f"{one}.1", "type": kind, "data": {"payment_id": one}}).encode() for one in ids]
    await database.execute(
        """INSERT INTO events (id, payment_id, version, type, merchant, account, time, body, place)
           SELECT id || '.1', id, 1, $5, $2, 'a', $3, body, $6 + nth - 1
           FROM unnest($1::text[], $4::bytea[]) WITH ORDINALITY AS n (id, body, nth)""",
        ids,
        merchant,
        at,
        bodies,
        kind,
        first,
    )
    return [f"{one}.1" for one in ids]


async def deliveries(database: Database, endpoint: Endpoint) -> dict[str, str]:
    """The state of each event's delivery: waiting, delivered or given up."""
    rows = await database.fetch(
        """SELECT event_id, CASE WHEN delivered_at IS NOT NULL THEN 'delivered'
               WHEN given_up_at IS NOT NULL THEN 'given up' ELSE 'waiting' END AS state
           FROM deliveries WHERE endpoint = $1 ORDER BY place""",
        endpoint.id,
    )
    return {row["event_id"]: row["state"] for row in rows}
