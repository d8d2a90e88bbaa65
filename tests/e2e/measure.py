"""`python -m tests.e2e.measure`: three figures of the shipped process, on whatever machine this is.

How soon it is ready, what it weighs while it idles, and how long a verified outcome takes from the gateway's reply to
`/v1/events`. The gateways run in this process, so that the moment of a reply and the moment at which its event is seen
are read off one clock.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from tests.processes import directory
from worker.demo.feed import read_event, read_page
from worker.demo.playing import staged
from worker.demo.scene import Scene, Stage
from worker.demo.story import CHECKED
from worker.demo.system import System
from worker.sandbox.app import make_app
from worker.sandbox.config import SandboxConfig

PAYMENTS = 30
SETTINGS = '[checks]\npending = ["1h"]\nclaimed = ["300ms", "1h"]\n'


class Figures(Struct, frozen=True, kw_only=True):
    """Seconds and bytes. `latencies` are one for each payment, in order."""

    ready: float
    idle: int
    after: int
    latencies: Sequence[float]

    def shown(self) -> str:
        median, most = statistics.median(self.latencies) * 1000, max(self.latencies) * 1000
        return (
            f"ready {self.ready:.2f} s after it was started, on an empty directory\n"
            f"idle at {self.idle / 2**20:.0f} MB RSS, at {self.after / 2**20:.0f} MB after "
            f"{len(self.latencies)} payments\n"
            f"from the gateway's reply to the event in /v1/events: median {median:.1f} ms, at most {most:.1f} ms"
        )


class Replies:
    """When a gateway last replied about a payment, by `time.monotonic`."""

    def __init__(self) -> None:
        self.last = 0.0

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        self.last = time.monotonic()
        return response


async def measure(payments: int = PAYMENTS) -> Figures:
    """Start everything in a directory of its own, measure, and end it."""
    with directory() as place:
        system, replies = System(place, settings=SETTINGS), Replies()
        async with _gateways(system, replies):
            await asyncio.to_thread(system.configure)
            try:
                ready = await asyncio.to_thread(system.start_service)
                idle = _rss(system.service.pid)
                async with staged(system) as stage:
                    latencies = [await _one(stage, replies, number) for number in range(payments)]
                after = _rss(system.service.pid)
            finally:
                await asyncio.to_thread(system.stop)
    return Figures(ready=ready, idle=idle, after=after, latencies=latencies)


@asynccontextmanager
async def _gateways(system: System, replies: Replies) -> AsyncIterator[None]:
    app = make_app(SandboxConfig())
    app.middlewares.append(replies.note)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", int(system.sandbox_url.rpartition(":")[2])).start()
        yield
    finally:
        await runner.cleanup()


async def _one(stage: Stage, replies: Replies, number: int) -> float:
    """One payment: from the gateway's reply to the moment at which a reader of events has `payment.completed`."""
    scene = Scene(stage, CHECKED[number % len(CHECKED)], number)
    await scene.open()
    returned = await scene.at_gateway("pay", webhook=False)
    cursor = (await read_page(stage.shop, None)).next
    returning = asyncio.create_task(stage.browser.get(returned))
    while True:
        page = await read_page(stage.shop, cursor)
        seen = time.monotonic()
        if any(read_event(raw).type == "payment.completed" for raw in page.events):
            break
        cursor = page.next
    latency = seen - replies.last
    await returning
    return latency


def _rss(pid: int) -> int:
    """Resident memory in bytes, shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"no VmRSS of {pid}")


if __name__ == "__main__":
    print(asyncio.run(measure()).shown())
