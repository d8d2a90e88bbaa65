"""An endpoint that is down for three days, in simulated hours: afterwards it has every event, and none was given up."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest
from aiohttp import web
from rich.console import Console
from rich.table import Table

from tests.fakes.clock import FakeClock
from tests.integration.endpoints import Hook, deliveries, endpoint_at, happen, hooking, worker_of
from worker.deliver.endpoint_worker import EndpointWorker
from worker.deliver.sender import sender
from worker.postgres.database import Database

DOWN = timedelta(hours=72)
MINUTES, HOURS = timedelta(minutes=20), timedelta(hours=30)


async def settled(worker: EndpointWorker, group: asyncio.TaskGroup) -> datetime | None:
    """Turn until nothing is being sent. Returns when the next attempt is planned."""
    at = await worker.cycle(group)
    while worker.busy:
        await worker.woken(5)
        at = await worker.cycle(group)
    return at


@pytest.mark.parametrize(
    ("rush", "every", "late"), [(1_000, MINUTES, timedelta(minutes=12)), (1, HOURS, timedelta(hours=1, minutes=2))]
)
async def test_an_endpoint_that_was_down_for_72_hours_gets_every_event_afterwards(
    database: Database, rush: int, every: timedelta, late: timedelta
) -> None:
    clock = FakeClock(database.clock.now())
    began = clock.now
    back = began + DOWN
    expected: list[str] = []
    answered: list[datetime] = []
    last = began

    async def down_until_it_is_back(_: web.Request) -> web.Response:
        nonlocal last
        last = clock.now
        if clock.now < back:
            answered.append(clock.now)
        return web.Response(status=503 if clock.now < back else 204)

    async with hooking(Hook(down_until_it_is_back)) as hook, sender(database.clock.now, private=True) as sending:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending, clock)
        trade = began
        async with asyncio.TaskGroup() as group:
            while True:
                if trade <= clock.now and trade < back:
                    expected += await happen(database, rush if trade == began else 1, at=clock.now)
                    trade += every
                at = await settled(worker, group)
                planned = [one for one in (at, trade if trade < back else None) if one is not None]
                if not planned:
                    break
                clock.set(max(clock.now, min(planned)))
    states = Counter((await deliveries(database, endpoint)).values())
    arrivals = Counter(hook.taken)
    tries = [row["attempts"] for row in await database.fetch("SELECT attempts FROM deliveries")]
    table = Table(title="An endpoint down for 72 simulated hours")
    rows = {
        "events while it was down": len(expected),
        "attempts while it was down": len(answered),
        "events that arrived": len(arrivals),
        "arrived more than once": sum(times > 1 for times in arrivals.values()),
        "given up": states["given up"],
        "most attempts for one event": max(tries),
        "the last arrived after it was back": str(last - back),
    }
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, figure in rows.items():
        table.add_row(name, str(figure))
    Console(width=100).print(table)
    assert set(arrivals) == set(expected)
    assert states == Counter(delivered=len(expected))
    assert len(answered) < 600, "a dead endpoint is asked at most every ten minutes"
    assert last - back < late, "deliveries that were postponed for hours do not wait for hours"
