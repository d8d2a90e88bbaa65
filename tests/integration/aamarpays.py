"""An installation with accounts at aamarPay: every role in this process, and aamarPay as a small server.

The server repeats the account's password in every way that it can.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from msgspec import Struct
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.harness import free_ports
from tests.processes import directory, until
from worker.config import Config, load
from worker.postgres.database import Database, connect
from worker.process import ROLES, run_roles
from worker.telemetry import logs
from worker.telemetry.tracing.telemetry import Telemetry

PASSWORD = "zebra/quartz vow+1"
KEY = "shop-key-of-the-test-of-secrets"
CONFIG = """
return_wait = "100ms"

[checks]
claimed = ["1s", "5s"]

[[merchants]]
id = "shop"
api_keys = ["{key}"]

[[merchants.accounts]]
id = "shop-aamarpay"
provider = "aamarpay"
base_url = "{url}"
store_id = "a-store"
signature_key = "{password}"

[[merchants.accounts]]
id = "shop-away"
provider = "aamarpay"
base_url = "http://127.0.0.1:{nobody}"
store_id = "a-store"
signature_key = "{password}"
"""
ORDER = {
    "amount": "1500.50",
    "currency": "BDT",
    "description": "Order",
    "return_url": "https://shop.example/thanks",
    "customer": {
        "name": "A Buyer",
        "email": "buyer@example.com",
        "phone": "01700000000",
        "address": "House 7",
        "city": "Dhaka",
        "country": "Bangladesh",
    },
}


class Simulated(Struct):
    """aamarPay, which behaves by the beginning of a reference. `asked` are the queries that it got."""

    asked: list[dict[str, str]] = []

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["signature_key"] == PASSWORD
        if body["tran_id"].startswith("refused"):
            return web.json_response({"result": f"no store has the key {PASSWORD}"})
        return web.json_response({"result": "true", "payment_url": "paynow.php?track=AAM1"})

    async def search(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        match request.query["request_id"].partition("-")[0]:
            case "paid":
                paid = {"pay_status": "Successful", "status_code": "2", "amount": "1500.50", "currency": "BDT"}
                ids = {"mer_txnid": request.query["request_id"], "pg_txnid": f"AAM-{request.query['request_id']}"}
                return web.json_response(paid | ids)
            case "waits":
                return web.json_response([{"pay_status": "Open", "mer_txnid": request.query["request_id"]}])
            case "words":
                words = f"no key {PASSWORD} for {request.raw_path}"
                return web.json_response({"pay_status": words, "mer_txnid": request.query["request_id"]})
            case "cuts":
                assert request.transport is not None
                request.transport.abort()
            case "silent":
                await asyncio.sleep(60)
            case "elsewhere":
                return web.Response(status=302, headers={"Location": str(request.url)})
            case "page":
                return web.Response(text=f"<h1>{request.url} {PASSWORD}</h1>", content_type="text/html")
            case "keyless":
                return web.json_response({"msg": str(request.url)}, status=403, headers={"X-Asked": str(request.url)})
        return web.json_response({"msg": f"{request.url} {PASSWORD}"}, status=500)


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[Simulated, str]]:
    gateway = Simulated()
    app = web.Application()
    app.add_routes([web.post("/jsonpost.php", gateway.create), web.get("/api/v1/trxcheck/request.php", gateway.search)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield gateway, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Told(Struct):
    """All that the installation told anybody."""

    url: str
    ops: str
    http: aiohttp.ClientSession
    log: io.StringIO
    spans: InMemorySpanExporter
    config: Config
    database: Database
    messages: list[str] = []
    answers: list[str] = []

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.http.request(method, self.url + path, allow_redirects=False, **more) as response:
            text = await response.text()
            self.answers += [text, repr(response.headers)]
            return response.status, json.loads(text) if response.content_type.endswith("json") else text

    async def shop(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        return await self.call(method, path, headers={"Authorization": f"Bearer {KEY}"}, **more)

    async def open(self, reference: str, account: str = "shop-aamarpay") -> tuple[int, Any]:
        return await self.shop("POST", "/v1/payments", json={**ORDER, "account": account, "reference": reference})


@contextmanager
def logged() -> Iterator[io.StringIO]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level, stream = root.handlers[:], root.level, io.StringIO()
    logs.configure("json", stream=stream)
    try:
        yield stream
    finally:
        structlog.reset_defaults()
        logging.basicConfig(handlers=handlers, level=level, force=True)
        sys.excepthook = hook


@asynccontextmanager
async def installed(dsn: str, gateway_url: str, amqp_url: str = "") -> AsyncIterator[Told]:
    """Every role in this process, with tracing."""
    public, ops, nobody = free_ports(3)
    spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with directory() as place, logged() as log:
        path = place / "payproof.toml"
        path.write_text(CONFIG.format(key=KEY, url=gateway_url, password=PASSWORD, nobody=nobody))
        environ = {
            "PAYPROOF_CONFIG": str(path),
            "PAYPROOF_DATA_DIR": str(place / "data"),
            "PAYPROOF_LISTEN": f"127.0.0.1:{public}",
            "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
            "PAYPROOF_LOG": "json",
            "PAYPROOF_DATABASE_URL": dsn,
            "PAYPROOF_AMQP_URL": amqp_url,
        }
        config, stop = load(environ), asyncio.Event()
        async with aiohttp.ClientSession() as http, connect(dsn) as database:
            told = Told(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{ops}", http, log, spans, config, database)
            running = asyncio.create_task(run_roles(config, ROLES, database, stop, Telemetry(provider)))
            try:
                await until(lambda: ready(told), what="the service is ready", seconds=60)
                yield told
            finally:
                stop.set()
                await asyncio.wait_for(running, 60)


async def ready(told: Told) -> bool:
    try:
        async with told.http.get(f"{told.ops}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
