"""A password that a gateway takes in its URLs is in no log, table, message, trace, metric or finding of ours.

Every role runs in this process, and aamarPay is a small server that repeats the password in every way that it can.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus

import aio_pika
import aiohttp
import structlog
from aiohttp import web
from msgspec import Struct
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.broker import RabbitMQ
from tests.harness import free_ports
from tests.integration.rabbit import emptied
from tests.processes import directory, until
from worker.config import Config, load
from worker.ops.doctor.gateway_check import examine_gateway
from worker.postgres.database import Database, connect
from worker.postgres.tokens import PostgresTokens
from worker.process import ROLES, run_roles
from worker.telemetry import logs
from worker.telemetry.tracing.telemetry import Telemetry
from worker.verify.gateways import gateways

PASSWORD = "zebra/quartz vow+1"
NEVER = ("zebra", PASSWORD, quote(PASSWORD, safe=""), quote_plus(PASSWORD))
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
WORDS = {
    "paid": "completed",
    "waits": "pending",
    "fails": "server_error",
    "cuts": "no_reply",
    "silent": "no_reply",
    "elsewhere": "unreadable",
    "page": "unreadable",
    "keyless": "key_refused",
}
"""How the gateway behaves by the beginning of a reference, and how the timeline tells the answer."""


class Simulated(Struct):
    """aamarPay. `asked` are the queries that it got."""

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
                paid = {"pay_status": "Successful", "status_code": "2", "pg_txnid": "AAM1", "currency": "BDT"}
                return web.json_response(paid | {"mer_txnid": request.query["request_id"], "amount": "1500.50"})
            case "waits":
                return web.json_response([{"pay_status": "Open", "mer_txnid": request.query["request_id"]}])
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
async def installed(dsn: str, broker: RabbitMQ, gateway_url: str) -> AsyncIterator[Told]:
    """Every role in this process, over RabbitMQ, with tracing."""
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
            "PAYPROOF_AMQP_URL": broker.url,
        }
        config, stop = load(environ), asyncio.Event()
        async with aiohttp.ClientSession() as http, connect(dsn) as database:
            told = Told(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{ops}", http, log, spans, config, database)
            running = asyncio.create_task(run_roles(config, ROLES, database, stop, Telemetry(provider)))
            try:
                await until(lambda: ready(told), what="the service is ready")
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


@asynccontextmanager
async def overheard(broker: RabbitMQ, told: Told) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A copy of every claim, event and dead letter."""
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("payproof.claims", "aamarpay")
        await queue.bind("payproof.events", "#")
        await queue.bind("payproof.dead")

        async def read() -> None:
            while (message := await queue.get(fail=False, no_ack=True)) is not None:
                told.messages.append(message.body.decode() + repr(message.headers))

        yield read


async def answered(told: Told, payment_id: str, word: str) -> bool:
    _, timeline = await told.shop("GET", f"/v1/payments/{payment_id}/timeline")
    return any(word in json.dumps(entry) for entry in timeline["entries"] if entry["kind"] == "answer")


async def every_row(told: Told) -> str:
    """All tables as text; bytes are read as text too."""
    tables = await told.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = []
    for (table,) in tables:
        for row in await told.database.fetch(f'SELECT * FROM "{table}"'):
            rows += [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in row.values()]
    return "\n".join(rows)


async def test_a_password_in_urls_is_told_to_nobody_but_the_gateway(dsn: str, broker: RabbitMQ) -> None:
    await emptied(broker)
    async with simulated() as (gateway, url), installed(dsn, broker, url) as told, overheard(broker, told) as read:
        status, refusal = await told.open("refused-1")
        assert (status, refusal["code"]) == (422, "gateway_refused")
        assert "no store has the key ***" in json.dumps(refusal)
        assert (await told.open("away-1", "shop-away"))[0] in (502, 504)
        opened = {}
        for reference in WORDS:
            status, payment = await told.open(f"{reference}-1")
            assert (status, payment["session_id"]) == (201, None), payment
            assert payment["checkout_url"] == f"{url}/paynow.php?track=AAM1"
            opened[reference] = payment["payment_id"]
        for reference, payment_id in opened.items():
            form = {"mer_txnid": f"{reference}-1", "pay_status": "Successful", "pg_txnid": "AAM1"}
            status, _ = await told.call("POST", f"/return/shop-aamarpay/{payment_id}/success", data=form)
            assert status in (200, 303)
            assert (await told.call("POST", "/ipn/shop-aamarpay", data=form))[0] == 200
        for reference, payment_id in opened.items():
            word = WORDS[reference]
            await until(lambda of=payment_id, word=word: answered(told, of, word), what=f"{reference}: {word}")

        async with gateways(PostgresTokens(told.database)) as asking:
            findings = [
                repr(found)
                for account in told.config.accounts
                for found in await examine_gateway(asking, account, lambda: datetime.now(UTC))
            ]
        async with told.http.get(f"{told.ops}/metrics") as response:
            metrics = await response.text()
        await read()
        rows = await every_row(told)
        spans = [span.to_json() for span in told.spans.get_finished_spans()]
    assert {query["signature_key"] for query in gateway.asked} == {PASSWORD}
    assert {query["request_id"].partition("-")[0] for query in gateway.asked} >= set(WORDS)
    places = {
        "log": told.log.getvalue(),
        "table": rows,
        "message": "\n".join(told.messages),
        "span": "\n".join(spans),
        "metric": metrics,
        "answer": "\n".join(told.answers),
        "finding": "\n".join(findings),
        "repr": repr(told.config),
    }
    assert [name for name, text in places.items() if any(one in text for one in NEVER)] == []
    known = {"log": "process.stopped", "metric": "payproof_questions", "finding": "shop-away", "repr": "***"}
    missing = [name for name, text in places.items() if known.get(name, "aamarpay") not in text]
    assert missing == [], "each place was read"
