"""The layers before any handler: malformed requests, and the path under which a proxy serves us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from tests.harness import shop_pages
from tests.integration.public_application import application
from tests.integration.shops import CONFIG, KEYS
from tests.integration.test_headers import NOBODYS
from worker.config import Config
from worker.http_apps import ops_app
from worker.ops.health import Ops
from worker.ops.state_metrics import state_metrics_of
from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.postgres.database import Database
from worker.runtime.http_listener import HEADERS, Runner
from worker.telemetry.metrics import Metrics

LEAK = b"01700000000"
HOST = b"Host: pay.example\r\n"
REFUSED = {
    "no request line": LEAK + b"\r\n\r\n",
    "a version of nobody": b"GET / HTTP/9.9 " + LEAK + b"\r\n\r\n",
    "an unknown method": LEAK + b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a line without end": b"GET /" + LEAK * 2000 + b" HTTP/1.1\r\n\r\n",
    "a header without end": b"GET / HTTP/1.1\r\nX: " + LEAK * 2000 + b"\r\n\r\n",
    "a header with a blank": b"GET / HTTP/1.1\r\n" + HOST + b"X " + LEAK + b": 1\r\n\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x" + LEAK + b"\r\n\r\n",
    "chunks that are none": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + LEAK + b"x\r\n",
    "an expectation": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Expect: " + LEAK + b"\r\n\r\n",
    "a handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + LEAK,
}
LISTENERS = ("public", "ops", "sandbox", "shop's pages")


@asynccontextmanager
async def listening(app: web.Application, path: str = "") -> AsyncIterator[str]:
    runner = Runner(app, path=path, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listener(name: str, database: Database) -> AsyncIterator[str]:
    match name:
        case "public":
            async with public(database, CONFIG) as url:
                yield url
        case "ops":
            metrics = Metrics(CONFIG.accounts)
            ops = Ops(database, None, metrics, state_metrics_of(CONFIG, database, None, metrics), list, ("ingress",))
            async with listening(ops_app(ops)) as url:
                yield url
        case "sandbox":
            async with listening(make_app(SandboxConfig())) as url:
                yield url
        case _:
            async with shop_pages() as url:
                yield url


@asynccontextmanager
async def public(database: Database, config: Config) -> AsyncIterator[str]:
    async with application(database, config) as app, listening(app, config.settings.public_path) as url:
        yield url


async def said(url: str, raw: bytes) -> bytes:
    """The whole answer until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        writer.write(raw)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("name", LISTENERS)
async def test_what_is_no_request_is_answered_without_its_bytes_and_our_version(name: str, database: Database) -> None:
    async with listener(name, database) as url:
        for what, raw in REFUSED.items():
            answer = await said(url, raw)
            head, _, body = answer.partition(b"\r\n\r\n")
            status = b"417" if what == "an expectation" else b"400"
            assert head.split()[1] == status, (what, answer)
            assert body in (b"400 Bad Request\n", b"417 Expectation Failed\n"), what
            assert LEAK not in answer, what
            assert b"aiohttp" not in answer.lower(), what
            assert b"server:" not in answer.lower(), what
            for header, value in HEADERS.items():
                assert f"{header}: {value}".encode() in head, (what, header)


async def test_a_body_whose_chunks_break_off_is_refused_too(database: Database) -> None:
    chunked = b"POST /ipn/shop-bag HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    async with public(database, CONFIG) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(chunked + b"2\r\na=\r\n")
        await writer.drain()
        writer.write(LEAK + b"x\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
    assert answer.split()[1] == b"400"
    assert LEAK not in answer
    assert b"server:" not in answer.lower()


async def test_a_failure_of_ours_is_told_in_no_more_words(database: Database) -> None:
    async def breaks(_: web.Request) -> web.Response:
        raise RuntimeError(LEAK)

    app = web.Application()
    app.router.add_get("/breaks", breaks)
    async with listening(app) as url:
        answer = await said(url, b"GET /breaks HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.endswith(b"\r\n\r\n500 Internal Server Error\n")
    assert b"server:" not in answer.lower()


# -- under a path ------------------------------------------------------------------------------------------------------


def under(path: str) -> Config:
    return replace(CONFIG, settings=replace(CONFIG.settings, public_url=f"https://shop.example{path}"))


@pytest.mark.parametrize("before", ["/pay/v2", ""])
async def test_all_is_reached_with_the_proxys_path_and_without_it(database: Database, before: str) -> None:
    """Some proxies pass the path on, some remove it."""
    async with public(database, under("/pay/v2")) as url, aiohttp.ClientSession() as http:

        async def status(method: str, path: str, **more: object) -> int:
            async with http.request(method, f"{url}{before}{path}", **more) as response:  # type: ignore[arg-type]
                return response.status

        keyed = {"Authorization": f"Bearer {KEYS['shop']}"}
        assert await status("GET", "/v1/payments?limit=1") == 401
        assert await status("GET", "/v1/payments?limit=1", headers=keyed) == 200
        assert await status("GET", f"/v1/payments/{NOBODYS}", headers=keyed) == 404
        assert await status("POST", "/webhooks/shop-bag", data=b"{}") == 401
        assert await status("POST", "/ipn/shop-bag/?order_id=a%2Fb") == 200
        assert await status("GET", f"/return/shop-bag/{NOBODYS}") == 404
        assert await status("GET", "/nothing") == 404
        async with http.get(f"{url}{before}/openapi.json") as response:
            assert json.loads(await response.read())["servers"] == [{"url": "https://shop.example/pay/v2"}]
    claims = [json.loads(row["body"]) for row in await database.fetch("SELECT body FROM queue")]
    assert [claim["reference"] for claim in claims] == ["a/b"]


async def test_a_path_that_only_begins_like_the_proxys_is_not_it(database: Database) -> None:
    async with public(database, under("/pay")) as url, aiohttp.ClientSession() as http:
        for path in ("/payer/v1/payments", "/payer", "/pay/pay", "/pay/pay/v1/payments"):
            async with http.get(f"{url}{path}") as response:
                assert response.status == 404, path
