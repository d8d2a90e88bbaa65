"""`kill -9` while a webhook is on its way: another process sends it again, and the shop knows it by its id."""

from __future__ import annotations

import asyncio

from aiohttp import web

from consumers.timing import TIMING
from tests.harness import IPAY, Scene, System, staged
from tests.integration.endpoints import SECRET, Hook, hooking
from tests.processes import directory, until

ENDPOINT = """
[[merchants.webhooks]]
url = "{url}"
secret = "{secret}"
"""


async def test_a_webhook_that_was_being_sent_when_the_process_was_killed_comes_again() -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    with directory() as place:
        async with hooking(Hook(silent)) as hook:
            await judge(System(place, merchants=ENDPOINT.format(url=hook.url, secret=SECRET)), hook)


async def judge(system: System, hook: Hook) -> None:
    await asyncio.to_thread(system.start)
    try:
        async with staged(system) as stage:
            await Scene(stage, IPAY, 1).open()
        await until(lambda: bool(hook.requests), what="a webhook is being sent")
        system.service.kill()
        assert hook.taken == []
        hook.answers = 204
        await asyncio.to_thread(system.start_service)
        sent = hook.requests[0][0]["webhook-id"]
        seconds = TIMING.delivery_lease.total_seconds() + 15
        await until(lambda: sent in hook.taken, what="it was sent again", seconds=seconds)
    finally:
        await asyncio.to_thread(system.stop)
