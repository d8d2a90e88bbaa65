"""The role as a process runs it: it begins with its endpoints, is woken by wakeups, and ends on request."""

from __future__ import annotations

import asyncio

from tests.integration.endpoints import Hook, deliveries, endpoint_at, happen, hooking
from tests.processes import until
from worker.deliver.endpoint_worker import POLL_SECONDS
from worker.deliver.relay import Relay
from worker.deliver.role import Deliver
from worker.postgres.database import Database
from worker.postgres.wakeups import Wakeup
from worker.telemetry.metrics import Metrics


async def test_an_event_is_sent_as_soon_as_a_relay_anywhere_gave_it_its_place(database: Database) -> None:
    async with hooking(Hook()) as hook:
        deliver = Deliver(database, [endpoint_at(hook.url)], Metrics(), private=True)
        relay = Relay(database, Metrics())
        connected = asyncio.Event()
        await deliver.begin()

        async def look_again() -> None:
            connected.set()

        def hear(wakeup: Wakeup) -> None:
            deliver.wake(placed=wakeup.placed)
            relay.on_wakeup(wakeup)

        async with asyncio.TaskGroup() as group:
            working = group.create_task(deliver.run())
            others = [
                group.create_task(database.listen(hear, connected=look_again)),
                group.create_task(relay.run()),
            ]
            await asyncio.wait_for(connected.wait(), 10)
            await happen(database)
            await database.execute("UPDATE events SET place = NULL")
            database.notify(Wakeup(events=True))
            await until(lambda: bool(hook.taken), what="it arrived", seconds=POLL_SECONDS - 1)
            deliver.stop()
            await asyncio.wait_for(working, 5)
            for other in others:
                other.cancel()
        assert list((await deliveries(database, deliver.endpoints[0])).values()) == ["delivered"]


async def test_a_process_without_endpoints_waits_to_be_stopped(database: Database) -> None:
    deliver = Deliver(database, [], Metrics(), private=False)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(deliver.run())
        done, _ = await asyncio.wait({running}, timeout=0.1)
        assert not done
        deliver.stop()
        await asyncio.wait_for(running, 5)
