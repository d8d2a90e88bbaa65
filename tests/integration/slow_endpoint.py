"""One endpoint answers after 14 seconds: how long another's deliveries take, with it and without.

`python -m tests.integration.slow_endpoint` from the checkout measures it over three rounds of the slow endpoint's
answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

from aiohttp import web
from msgspec import Struct

from tests.integration.endpoints import Hook, endpoint_at, happen, hooking, worker_of
from tests.processes import directory, until
from worker.deliver.endpoint_worker import MAX_IN_FLIGHT
from worker.deliver.sender import sender
from worker.postgres.database import Database, connect
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

SLOW_SECONDS = 14.0
PAUSE_SECONDS = 0.02


class Figures(Struct, frozen=True, kw_only=True):
    """Seconds from an event's position to its arrival at the quick endpoint.

    `held` is how many requests were open at the slow endpoint.
    """

    events: int
    median: float
    p99: float
    longest: float
    held: int

    def __str__(self) -> str:
        times = f"median {self.median * 1e3:.1f} ms, p99 {self.p99 * 1e3:.1f} ms, longest {self.longest * 1e3:.1f} ms"
        return f"{self.events} deliveries: {times}; held by the slow endpoint meanwhile: {self.held}"


async def measure(database: Database, events: int, *, slow: bool) -> Figures:
    """Two endpoints get the same events; all requests of the slow endpoint are taken before the first is measured."""
    arrived: dict[str, float] = {}
    over = asyncio.Event()

    async def slowly(_: web.Request) -> web.Response:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), SLOW_SECONDS)
        return web.Response(status=204)

    async def quickly(request: web.Request) -> web.Response:
        arrived[request.headers["webhook-id"]] = time.monotonic()
        return web.Response(status=204)

    async with (
        hooking(Hook(slowly if slow else 204)) as slow_hook,
        hooking(Hook(quickly)) as quick_hook,
        sender(database.clock.now, private=True) as sending,
        asyncio.TaskGroup() as group,
    ):
        workers = [await worker_of(endpoint_at(hook.url), database, sending) for hook in (slow_hook, quick_hook)]
        for worker in workers:
            group.create_task(worker.run())
        await happen(database, MAX_IN_FLIGHT)
        await until(
            lambda: len(slow_hook.requests) >= MAX_IN_FLIGHT and len(arrived) == MAX_IN_FLIGHT, what="hands are full"
        )
        arrived.clear()
        placed = {}
        for _ in range(events):
            (event_id,) = await happen(database)
            placed[event_id] = time.monotonic()
            for worker in workers:  # as the wakeup of the relay does
                worker.wake()
            await asyncio.sleep(PAUSE_SECONDS)
        await until(lambda: len(arrived) == events, what="all arrived", seconds=60)
        held = len(slow_hook.requests) - len(slow_hook.heard)
        over.set()
        for worker in workers:
            worker.stop()
    seconds = [arrived[event_id] - at for event_id, at in placed.items()]
    p99 = statistics.quantiles(seconds, n=100)[98]
    return Figures(events=events, median=statistics.median(seconds), p99=p99, longest=max(seconds), held=held)


async def main() -> None:
    with directory() as home:
        home.chmod(0o755)
        with embedded_here(home / "data") as url:
            await apply_migrations(url)
            async with connect(url) as database:
                print("both quick:", await measure(database, 500, slow=False))
                print(f"one answers after {SLOW_SECONDS:g} s:", await measure(database, 2_000, slow=True))


if __name__ == "__main__":
    asyncio.run(main())
