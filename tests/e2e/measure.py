"""`python -m tests.e2e.measure`: four figures of the shipped process on this machine.

How soon it is ready, how much memory it uses while idle, how long a verified outcome takes from the gateway's reply to
`/v1/events`, and how long a buyer's pages take. The gateways run in this process, so that the time of a reply and the
time at which its event is seen come from one clock.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from tests.bench.spent import cpu_seconds, family
from tests.harness import BLIND, CHECKED, IPAY, Scene, Stage, System, read_event, read_feed_page, staged
from tests.processes import directory
from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import SandboxConfig

LIBRARIES = "aiohttp.web, aio_pika, asyncpg, cryptography.x509, msgspec"
IMPORTS = 3
PAYMENTS = 30
PAGES = 200
SETTINGS = '[checks]\npending = ["1h"]\nclaimed = ["300ms", "1h"]\n'


class Figures(Struct, frozen=True, kw_only=True):
    """Seconds and bytes. `latencies` has one value for each payment, `pages` one for each request of a page, in order.

    `ready_cpu` is the processor time until it was ready. Other work on the machine stretches it less than `ready`.
    `imports_cpu` is what the same machine needed just before to import the libraries alone: a yardstick for it.
    """

    ready: float
    ready_cpu: float
    imports_cpu: float
    idle: int
    after: int
    latencies: Sequence[float]
    pages: Mapping[str, Sequence[float]]

    def shown(self) -> str:
        pages = "; ".join(f"{name} {_median_and_most(seconds)}" for name, seconds in self.pages.items())
        return (
            f"ready {self.ready:.2f} s after it was started, on an empty directory, with {self.ready_cpu:.2f} s of "
            f"processor time (importing the libraries takes {self.imports_cpu:.2f} s)\n"
            f"idle at {self.idle / 2**20:.0f} MB RSS, at {self.after / 2**20:.0f} MB after "
            f"{len(self.latencies)} payments\n"
            f"from the gateway's reply to the event in /v1/events: {_median_and_most(self.latencies)}\n"
            f"pages over one connection: {pages}"
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
                imports_cpu = await asyncio.to_thread(_imports_cpu)
                ready = await asyncio.to_thread(system.start_service)
                ready_cpu = cpu_seconds(family(system.service.pid))
                idle = _rss(system.service.pid)
                async with staged(system) as stage:
                    latencies = [await _one(stage, replies, number) for number in range(payments)]
                    after = _rss(system.service.pid)
                    pages = await _pages(system, stage)
            finally:
                await asyncio.to_thread(system.stop)
    return Figures(
        ready=ready,
        ready_cpu=ready_cpu,
        imports_cpu=imports_cpu,
        idle=idle,
        after=after,
        latencies=latencies,
        pages=pages,
    )


def _imports_cpu() -> float:
    """The processor time of a Python that imports the libraries of the service: the least of IMPORTS times."""
    return min(_import_once() for _ in range(IMPORTS))


def _import_once() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {LIBRARIES}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    cursor = (await read_feed_page(stage.shop, None)).next
    returning = asyncio.create_task(stage.browser.get(returned))
    while True:
        page = await read_feed_page(stage.shop, cursor)
        seen = time.monotonic()
        if any(read_event(raw).type == "payment.completed" for raw in page.events):
            break
        cursor = page.next
    latency = seen - replies.last
    await returning
    return latency


async def _pages(system: System, stage: Stage) -> dict[str, list[float]]:
    """How long the service takes for each of three pages, one after the other over one connection."""
    scene = Scene(stage, IPAY, PAYMENTS)
    waiting = (await scene.open())["payment_id"]
    ended = await _tracked(system)
    # That gateway cannot be asked, so its success is held, and a resolution ends it.
    await stage.browser.get(f"{system.url}/return/{BLIND.account}/{ended}/success")
    await stage.shop.resolve(ended, status="completed", actor="measure", reason="to be shown", transaction_id="T1")
    paths = {
        "not found": (404, f"/return/shop-ipay/pay_{'0' * 26}"),
        "confirming": (200, f"/return/shop-ipay/{waiting}/wait"),
        "outcome": (200, f"/return/{BLIND.account}/{ended}/wait"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        for name, (status, path) in paths.items():
            for _ in range(PAGES):
                began = time.monotonic()
                async with http.get(system.url + path, allow_redirects=False) as response:
                    await response.read()
                seconds[name].append(time.monotonic() - began)
                assert response.status == status, f"{name} was answered {response.status}"
    return seconds


async def _tracked(system: System) -> str:
    """The id of a payment whose shop gave no address, so that its outcome is a page of ours."""
    reference = secrets.token_hex(8)
    named = {"account": BLIND.account, "reference": reference, "session_id": reference}
    body = {**named, "amount": "10.00", "currency": "BDT"}
    headers = {"Authorization": f"Bearer {system.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{system.url}/v1/payments/track", json=body) as response,
    ):
        return str((await response.json())["payment_id"])


def _median_and_most(seconds: Sequence[float]) -> str:
    return f"median {statistics.median(seconds) * 1000:.1f} ms, at most {max(seconds) * 1000:.1f} ms"


def _rss(pid: int) -> int:
    """Resident memory in bytes, shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"no VmRSS of {pid}")


if __name__ == "__main__":
    print(asyncio.run(measure()).shown())
