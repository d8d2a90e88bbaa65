"""Wakeups resume after a network has forgotten the connection: it is not closed, and carries no data."""

from __future__ import annotations

import asyncio

from tests.integration.wire import wire
from tests.processes import until
from worker.postgres.database import Database
from worker.postgres.wakeups import Wakeup
from worker.runtime.cancellation import end_one


async def test_a_connection_that_the_network_forgot_is_made_again(database: Database, dsn: str) -> None:
    heard: list[Wakeup] = []
    connected = asyncio.Semaphore(0)

    async def again() -> None:
        connected.release()

    async with wire(dsn) as between:
        far = Database(database._pool, between.dsn, database.primary)
        far.clock = database.clock
        listening = asyncio.create_task(far.listen(heard.append, connected=again, probe=0.2))
        async with asyncio.timeout(10):
            await connected.acquire()
            between.forget()
            await connected.acquire()

        async def arrives() -> bool:
            database.notify(Wakeup(claims=["ipay"]))
            return bool(heard)

        await until(arrives, what="a wakeup", seconds=5)
        await end_one(listening)
