"""`GET /v1/events?wait=25s`: it waits for news of its own merchant, holds no connection, and is forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.integration.public_application import application
from tests.integration.shops import CONFIG, KEYS, Got, Shops
from tests.processes import until
from worker.api.cursors import read_cursor, written_cursor
from worker.api.event_waiters import MAX_WAITERS, EventWaiters
from worker.postgres.database import Database, connect
from worker.postgres.wakeups import Wakeup
from worker.runtime.http_listener import Runner

SECONDS = 20
LONG = "60s"
PLACED = Wakeup(placed=True)


@asynccontextmanager
async def looking(shops: Shops) -> AsyncIterator[EventWaiters]:
    """The loop that looks for news, until the block is left."""
    waiters = shops.api.event_waiters
    running = asyncio.create_task(waiters.run())
    try:
        yield waiters
    finally:
        waiters.stop()
        await asyncio.wait_for(running, SECONDS)


def waits(shops: Shops, shop: str = "shop", **params: str) -> asyncio.Task[Got]:
    return asyncio.create_task(shops.get("/v1/events", shop=shop, **{"wait": LONG, "after": "newest"} | params))


async def waiting(waiters: EventWaiters, count: int) -> None:
    async def so_many() -> bool:
        return len(waiters._waiting) == count

    await until(so_many, what=f"{count} requests wait")


async def test_news_answers_at_once_and_others_wait_on(shops: Shops) -> None:
    async with looking(shops) as waiters:
        mine, others = waits(shops), waits(shops, "other")
        await waiting(waiters, 2)
        payment = await shops.opened()
        await shops.placed()
        waiters.on_wakeup(PLACED)
        got = await asyncio.wait_for(mine, SECONDS)
        assert [one["subject"] for one in got.body["events"]] == [payment["payment_id"]]
        assert not others.done()
        again = await shops.get("/v1/events", after="newest")
        assert (again.body["events"], again.body["next"]) == ([], got.body["next"])
        at_once = await asyncio.wait_for(shops.get("/v1/events", wait=LONG), SECONDS)
        assert len(at_once.body["events"]) == 1
        others.cancel()


async def test_a_wait_that_hears_nothing_ends_with_its_cursor(shops: Shops) -> None:
    async with looking(shops):
        before = (await shops.get("/v1/events")).body
        assert (await shops.get("/v1/events", after=before["next"], wait="20ms")).body == before


@pytest.mark.parametrize("wait", ["61s", "2m", "25", "-1s", "1h", "২s", ""])
async def test_a_wait_is_a_duration_within_a_minute(shops: Shops, wait: str) -> None:
    assert (await shops.get("/v1/events", wait=wait)).problem == (422, "invalid_request", "wait")


async def test_a_merchant_has_few_waiting_requests_and_those_of_others_do_not_count(shops: Shops) -> None:
    async with looking(shops) as waiters:
        several = [waits(shops) for _ in range(MAX_WAITERS)]
        await waiting(waiters, MAX_WAITERS)
        refused = await shops.get("/v1/events", after="newest", wait=LONG)
        assert (refused.problem, refused.headers["Retry-After"]) == ((429, "too_many_waiting", None), "5")
        assert (await shops.get("/v1/events", after="newest")).status == 200
        assert (await shops.get("/v1/events", shop="other", wait="10ms")).status == 200
        await shops.opened()
        await shops.placed()
        waiters.on_wakeup(PLACED)
        assert {len((await one).body["events"]) for one in several} == {1}
        await waiting(waiters, 0)


async def test_all_merchants_together_leave_most_connections_to_others(database: Database) -> None:
    waiters = EventWaiters(database, connections=29)
    with waiters.of("one", 0):
        assert not waiters.full("another")
        with waiters.of("two", 0):
            assert waiters.full("another")
        assert not waiters.full("another")


async def test_a_cursor_behind_the_end_of_the_log_is_refused(shops: Shops) -> None:
    await shops.opened()
    await shops.placed()
    end = (await shops.get("/v1/events")).body["next"]
    assert (await shops.get("/v1/events", after=end)).status == 200
    merchant, _, place = read_cursor(end).partition(".")
    behind = written_cursor(f"{merchant}.{int(place) + 1}")
    for wait in ({}, {"wait": LONG}):
        assert (await shops.get("/v1/events", after=behind, **wait)).problem == (410, "cursor_expired", "after")


async def test_a_client_that_hangs_up_is_forgotten(shops: Shops) -> None:
    async with looking(shops) as waiters:
        gone = waits(shops)
        await waiting(waiters, 1)
        gone.cancel()
        await waiting(waiters, 0)


async def test_a_waiting_request_holds_no_connection_to_the_database(dsn: str, shops: Shops) -> None:
    async with looking(shops) as waiters, connect(dsn, size=1) as small:
        alone = EventWaiters(small)
        running = asyncio.create_task(alone.run())
        try:
            with alone.of("shop", 0) as waiter:
                for _ in range(10):
                    assert await asyncio.wait_for(small.fetch("SELECT 1"), SECONDS)
                await shops.opened()
                await shops.placed()
                alone.on_wakeup(PLACED)
                await asyncio.wait_for(waiter.news.wait(), SECONDS)
        finally:
            alone.stop()
            await asyncio.wait_for(running, SECONDS)
        assert not waiters._waiting


async def test_the_end_of_the_process_does_not_wait_for_those_who_wait(database: Database) -> None:
    event_waiters = EventWaiters(database)
    async with application(database, CONFIG, event_waiters) as app:
        runner = Runner(app, shutdown_timeout=SECONDS * 10)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            headers = {"Authorization": f"Bearer {KEYS['shop']}"}
            asked = asyncio.create_task(session.get("/v1/events", params={"wait": LONG}, headers=headers))

            async def waits_there() -> bool:
                return bool(event_waiters._waiting)

            await until(waits_there, what="the request waits")
            await asyncio.wait_for(runner.cleanup(), SECONDS)
            assert (await asked).status == 200
