"""The database dies under buyers who pay: the process lives, reports what it cannot do, and loses nothing acknowledged.

Only the service keeps the embedded server running, so the server comes back by itself, however it was ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import asyncpg
import pytest

from tests.fault.shoppers import AWAY, patiently
from tests.harness import IPAY, MONEYBAG, ONEPAYBD, PAYPARSE, SHADHINPAY, Scene, Stage, System, ToldEvent, staged
from tests.processes import loud, running, until

SETTINGS = """\
return_wait = "500ms"

[checks]
claimed = ["300ms", "1s", "2s"]
pending = ["2s"]
grace = "1h"
give_up = "2h"
"""
BROWSERS = 24


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
async def test_the_embedded_server_dies_and_is_started_again(sign: signal.Signals) -> None:
    with running(settings=SETTINGS) as system:
        async with staged(system) as stage, paying(stage) as (scenes, answered):
            os.kill(postmaster(system), sign)
            await until(lambda: not_ready(system), what="the service says that it is not ready")
            assert await refusals(stage, scenes[0]) == []
            await until(lambda: ready(system), what="the service is ready again")
        await assert_as_if_nothing_had_been(system, scenes, answered)


async def test_connections_are_cut_again_and_again() -> None:
    with running(settings=SETTINGS) as system:
        async with staged(system) as stage, paying(stage) as (scenes, answered):
            connection = await asyncpg.connect(address(system))
            for _ in range(25):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = 'payproof' AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.1)
            await connection.close()
            await until(lambda: ready(system), what="the service is ready again")
        await assert_as_if_nothing_had_been(system, scenes, answered)


@asynccontextmanager
async def paying(stage: Stage) -> AsyncIterator[tuple[list[Scene], Counter[str]]]:
    """Buyers who paid return again and again; the acknowledged returns are counted by payment."""
    scenes = [Scene(stage, gateway, 1) for gateway in (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG, IPAY)]
    answered: Counter[str] = Counter()
    urls = {}
    for scene in scenes:
        await scene.open()
        urls[scene.payment["payment_id"]] = await scene.at_gateway("pay", webhook=False)
    over = asyncio.Event()

    async def comes_back(number: int) -> None:
        payment_id, url = list(urls.items())[number % len(urls)]
        while not over.is_set():
            try:
                status, *_ = await stage.browser.get(url)
            except AWAY:
                continue
            answered[payment_id] += status < 500
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        for number in range(BROWSERS):
            group.create_task(comes_back(number))
        await until(some(answered), what="buyers are back")
        try:
            yield scenes, answered
            await asyncio.sleep(0.5)
        finally:
            over.set()


async def refusals(stage: Stage, scene: Scene) -> list[str]:
    """The responses that are wrong for a service without its database; the database may come back meanwhile."""
    wrong = []
    payment_id, account = scene.payment["payment_id"], scene.gateway.account
    paths = {f"/return/{account}/{payment_id}": "text/html", f"/ipn/{account}/{payment_id}": "application/json"}
    async with aiohttp.ClientSession() as http:
        for path, kind in paths.items():
            async with http.get(stage.url + path) as answer:
                refused = (answer.status, answer.content_type) == (503, kind) and "Retry-After" in answer.headers
                if not refused and answer.status not in (200, 303):
                    wrong.append(f"{path}: {answer.status} {answer.content_type}")
        async with http.get(f"{stage.url}/return/{account}/{payment_id}/wait") as answer:
            if answer.status not in (200, 303):
                wrong.append(f"wait: {answer.status}")
    return wrong


async def assert_as_if_nothing_had_been(system: System, scenes: list[Scene], answered: Counter[str]) -> None:
    """Every payment is completed with one event; every answered return is in its timeline; the log is quiet."""
    connection = await asyncpg.connect(address(system))
    await connection.execute("UPDATE queue SET available_at = clock_timestamp()")  # as if their leases had ended
    await connection.execute(
        "UPDATE payments SET lease_until = clock_timestamp(), next_check_at = clock_timestamp() "
        "WHERE lease_until IS NOT NULL"
    )
    await connection.close()
    async with staged(system) as stage:
        for scene in scenes:
            payment_id = scene.payment["payment_id"]

            async def ended(payment_id: str = payment_id) -> bool:
                entries = await patiently(lambda: stage.shop.timeline(payment_id))
                returns = sum(entry["kind"] == "claim" and entry["source"] == "return" for entry in entries)
                completed = (await patiently(lambda: stage.shop.payment(payment_id)))["status"] == "completed"
                return completed and returns >= answered[payment_id]

            await until(ended, what=f"{scene.gateway.name}: completed, with {answered[payment_id]} returns", seconds=45)
            await stage.feed.until(payment_id, told_of_its_end, seconds=45)
            assert stage.feed.words(payment_id) == ("opened", "completed")
    assert system.service.running
    assert system.service.stop() == 0
    assert loud(system.service.log.read_text()) == []


def told_of_its_end(events: list[ToldEvent]) -> bool:
    return any(event.word == "completed" for event in events)


def some(answered: Counter[str]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return sum(answered.values()) > BROWSERS

    return look


async def ready(system: System) -> bool:
    async with aiohttp.ClientSession() as http, http.get(f"{system.ops_url}/readyz") as answer:
        return answer.status == 200


async def not_ready(system: System) -> bool:
    return not await ready(system)


def address(system: System) -> str:
    return f"postgresql://payproof@/payproof?host={quote(str(system.place / 'data' / 'postgres'))}&port=5432"


def postmaster(system: System) -> int:
    return int((system.place / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
