"""A shop's endpoint for webhooks that sometimes fails: some events are refused when they come first."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from worker.runtime.http_listener import Runner

REFUSED = 0.03


class Receiver:
    """`came` counts the deliveries by event that were accepted; `refused` those that were answered 500."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seen: set[str] = set()
        self.came: Counter[str] = Counter()
        self.refused = 0

    async def take(self, request: web.Request) -> web.Response:
        await request.read()
        event_id = request.headers["webhook-id"]
        first = event_id not in self._seen
        self._seen.add(event_id)
        if first and self._rng.random() < REFUSED:
            self.refused += 1
            return web.Response(status=500)
        self.came[event_id] += 1
        return web.Response(status=204)


@asynccontextmanager
async def receiving(port: int, rng: random.Random) -> AsyncIterator[Receiver]:
    """An endpoint at this port of loopback while the block runs."""
    receiver, app = Receiver(rng), web.Application()
    app.add_routes([web.post("/hooks", receiver.take)])
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield receiver
    finally:
        await runner.cleanup()
