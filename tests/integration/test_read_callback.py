"""A request becomes a Callback with every part in which its signature may stand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from consumers.account import Account
from consumers.ports.gateway import Capabilities
from schemas.words import Source
from tests.fakes.providers import FakeProvider
from worker.ingress.read_callback import read_callback

ACCOUNT = Account(
    id="shop-a",
    merchant="shop",
    provider=FakeProvider(can=Capabilities(always=frozenset(), asked_by=frozenset(), shows_refunds=False)),
)


async def test_a_signature_is_found_behind_any_number_of_headers() -> None:
    found: list[str | None] = []

    async def heard(request: web.Request) -> web.Response:
        callback = await read_callback(request, Source.WEBHOOK, ACCOUNT, datetime.now(UTC))
        found.append(callback.header("x-signature"))
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/", heard)])
    async with TestClient(TestServer(app)) as client:
        headers = {f"X-Proxy-{number}": "1" for number in range(115)} | {"X-Signature": "right"}
        assert (await client.post("/", headers=headers)).status == 200
    assert found == ["right"]


async def test_a_body_that_trickles_is_given_up() -> None:
    async def heard(request: web.Request) -> web.Response:
        await read_callback(request, Source.WEBHOOK, ACCOUNT, datetime.now(UTC), seconds=0.2)
        raise AssertionError

    app = web.Application()
    app.add_routes([web.post("/", heard)])
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == b"408"
        assert b"Connection: close" in head
        writer.close()
