"""Wakeups resume after a network has forgotten the connection: it is not closed, and carries no data."""

from __future__ import annotations

import asyncio

from tests.integration.shops import CONFIG
from tests.integration.wire import wire
from tests.processes import until
from worker.config.operators import Operators
from worker.parts import ProcessPart, wakeups_part
from worker.postgres.database import Database
from worker.postgres.wakeups import Wakeup
from worker.postgres.watermark import START
from worker.runtime.cancellation import end_one
from worker.shared import shared_by_roles
from worker.telemetry.tracing import OFF


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


async def test_who_begins_to_listen_looks_for_all_that_may_have_been_missed(database: Database) -> None:
    """Events, claims, and payments that became due at a time long past."""
    heard: list[Wakeup] = []
    part = ProcessPart("hears", asyncio.Event().wait, hear=heard.append)  # type: ignore[arg-type]
    shared = shared_by_roles(CONFIG, ["sweep"], Operators(CONFIG.console), database, OFF)
    listening = asyncio.create_task(wakeups_part(shared, [part]).run())  # type: ignore[arg-type]
    await until(lambda: bool(heard), what="the first wakeup")
    await end_one(listening)
    assert (heard[0].events, heard[0].placed, heard[0].look_at) == (True, True, START)
    assert heard[0].claims
