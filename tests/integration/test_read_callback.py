"""A request becomes a Callback with every part in which its signature may stand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from consumers.account import Account
from consumers.ports.gateway import Capabilities
from consumers.providers.uddoktapay import UddoktaPay
from schemas.callbacks import Claim
from schemas.secret import Secret
from schemas.words import Authenticity, Source
from tests.fakes.providers import FakeProvider
from worker.ingress.read_callback import make_claim, read_callback

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


async def test_a_header_that_carries_a_secret_is_not_kept() -> None:
    """UddoktaPay's webhook carries the API key. It is checked, and is in no message and no archive."""
    account = Account(
        id="shop-u",
        merchant="shop",
        provider=UddoktaPay(base_url="https://pay.shop.example/api", api_key=Secret("uddokta-key-1")),
    )
    claims = list[Claim]()

    async def heard(request: web.Request) -> web.Response:
        claims.append(make_claim(account, await read_callback(request, Source.IPN, account, datetime.now(UTC))))
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/", heard)])
    async with TestClient(TestServer(app)) as client:
        headers = {"RT-UDDOKTAPAY-API-KEY": "uddokta-key-1", "X-Other": "kept"}
        assert (await client.post("/", json={"invoice_id": "INV1"}, headers=headers)).status == 200
    (claim,) = claims
    assert (claim.session_id, claim.authenticity) == ("INV1", Authenticity.UNSIGNED)
    assert b"uddokta-key-1" not in msgspec.json.encode(claim)
    assert claim.callback is not None
    assert claim.callback.header("x-other") == "kept"


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
