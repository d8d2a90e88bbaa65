"""One trace from the callback to the webhook, over each bus, in the SDK's exporter in memory; and nothing when off."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import aio_pika
import aiohttp
import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from msgspec import Struct
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from schemas.callbacks import Claim
from schemas.words import Source
from tests.broker import RabbitMQ
from tests.contract import check_event
from tests.e2e.buyers import GATEWAYS
from tests.harness import Scene, Stage, System, staged
from tests.integration.endpoints import SECRET, Hook, hooking
from tests.integration.rabbit import emptied
from tests.processes import directory, until
from worker.amqp.messages import claim_message
from worker.config import load
from worker.postgres.database import connect
from worker.process import ROLES, run_roles
from worker.telemetry.tracing import OFF, traced, tracing_of
from worker.telemetry.tracing.telemetry import Telemetry
from worker.telemetry.tracing.traced_publisher import TracedPublisher
from worker.verify.own_claims import own_claim

WEBHOOK = """
[[merchants.webhooks]]
url = "{url}"
secret = "{secret}"
events = ["payment.completed"]
"""
STRANGERS = "00-" + "f" * 32 + "-" + "f" * 16 + "-01"
STAGES = ["callback", "publish", "take", "ask", "record", "event"]


class Traced(Struct):
    """An installation whose spans can be read as they end."""

    stage: Stage
    hook: Hook
    spans: InMemorySpanExporter

    async def trace_of(self, payment_id: str, *last: str) -> dict[str, ReadableSpan]:
        """The spans of the trace in which the payment was completed, by name, once those in `last` are among them."""

        async def look() -> dict[str, ReadableSpan] | None:
            ended = self.spans.get_finished_spans()
            told = [one for one in ended if _about(one).get("event_id") == f"{payment_id}.2" and one.name == "event"]
            if not told:
                return None
            trace = {one.name: one for one in ended if _trace(one) == _trace(told[0])}
            return trace if set(last) <= trace.keys() else None

        return await until(look, what=f"the trace of {payment_id} with {', '.join(last)}")


def _about(span: ReadableSpan) -> dict[str, object]:
    return {name.removeprefix("payproof."): value for name, value in (span.attributes or {}).items()}


def _trace(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def _named(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


@asynccontextmanager
async def installed(dsn: str, amqp_url: str = "") -> AsyncIterator[Traced]:
    """Every role in this process, the simulated gateways in another."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with directory() as place:
        async with hooking(Hook()) as hook, connect(dsn) as database:
            system = System(place, merchants=WEBHOOK.format(url=hook.url, secret=SECRET))
            system.configure()
            system.sandbox.start()
            stop = asyncio.Event()
            environ = system.settings | {"PAYPROOF_DATABASE_URL": dsn, "PAYPROOF_AMQP_URL": amqp_url}
            running = asyncio.create_task(run_roles(load(environ), ROLES, database, stop, Telemetry(provider)))
            try:
                await asyncio.to_thread(system.sandbox.wait_for, f"{system.sandbox_url}/_control/troubles", seconds=60)
                await until(lambda: ready(f"{system.ops_url}/readyz"), what="the service is ready")
                async with staged(system) as stage:
                    yield Traced(stage, hook, exporter)
            finally:
                system.sandbox.stop()
                stop.set()
                await asyncio.wait_for(running, 60)


async def ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def completed(at: Traced, gateway: str = "ipay") -> str:
    scene = Scene(at.stage, GATEWAYS[gateway], 1)
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")
    payment_id: str = scene.payment["payment_id"]
    return payment_id


def assert_one_chain(trace: dict[str, ReadableSpan]) -> None:
    """Each stage follows the stage before it, and the first has no parent."""
    assert trace["callback"].parent is None
    assert trace["callback"].kind is SpanKind.SERVER
    for earlier, later in pairwise(STAGES):
        parent, context = trace[later].parent, trace[earlier].get_span_context()
        assert parent is not None
        assert context is not None
        assert parent.span_id == context.span_id, f"{later} follows {earlier}"
    assert _about(trace["ask"])["host"] == "127.0.0.1"
    assert _about(trace["ask"])["outcome"] == "completed"


def assert_no_personal_data(at: Traced) -> None:
    told = json.dumps([json.loads(span.to_json()) for span in at.spans.get_finished_spans()])
    for never in ("Demo Buyer", "buyer@example.com", "01700000000", "sandbox-ipay-key", "Demo order"):
        assert never not in told


async def heard_by_hook(at: Traced) -> tuple[bytes, ReadableSpan] | None:
    """The body of the request and its span, once it has ended. The demo shop's endpoint gets the event as well."""
    ended = {_named(one): one for one in at.spans.get_finished_spans() if one.name == "deliver"}
    for headers, body in at.hook.requests:
        if headers["traceparent"] in ended:
            return body, ended[headers["traceparent"]]
    return None


async def test_one_trace_leads_from_the_callback_to_the_webhook_over_postgres(dsn: str) -> None:
    async with installed(dsn) as at:
        payment_id = await completed(at)
        trace = await at.trace_of(payment_id, *STAGES, "place", "deliver")
        assert_one_chain(trace)
        body, delivered = await until(lambda: heard_by_hook(at), what="the delivery to the hook has ended")
        event = json.loads(body)
        check_event(event)
        read = from_http_event(HTTPMessage({"content-type": "application/cloudevents+json"}, body))
        assert read.get_extension("traceparent") == event["traceparent"]
        assert event["traceparent"] == _named(trace["record"]), "the event names the span that wrote it"
        assert len(at.hook.requests) == 1
        assert (_trace(delivered), _about(delivered)["status"]) == (_trace(trace["callback"]), 204)
        assert_no_personal_data(at)


async def test_one_trace_leads_from_the_callback_to_the_subscriber_over_rabbitmq(dsn: str, broker: RabbitMQ) -> None:
    await emptied(broker)
    async with installed(dsn, broker.url) as at, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("payproof.events", "payment.completed.#")
        payment_id = await completed(at)
        trace = await at.trace_of(payment_id, *STAGES, "place", "relay", "deliver")
        assert_one_chain(trace)

        async def heard() -> aio_pika.abc.AbstractIncomingMessage | None:
            return await queue.get(fail=False, no_ack=True)

        message = await until(heard, what="the event over RabbitMQ")
        assert message.headers["traceparent"] == _named(trace["relay"])
        assert json.loads(message.body)["traceparent"] == _named(trace["record"])
        assert_no_personal_data(at)


async def test_a_strangers_traceparent_steers_nothing(dsn: str) -> None:
    async with installed(dsn) as at:
        scene = Scene(at.stage, GATEWAYS["ipay"], 1)
        await scene.open()
        await scene.at_gateway("pay")
        async with at.stage.shop._http.get(
            f"{at.stage.url}/return/shop-ipay/{scene.payment['payment_id']}",
            headers={"traceparent": STRANGERS, "tracestate": "a=b"},
            allow_redirects=False,
        ):
            await scene.until("opened", "completed")
        trace = await at.trace_of(scene.payment["payment_id"], *STAGES)
        assert_one_chain(trace)
        assert all(f"{_trace(span):032x}" != "f" * 32 for span in at.spans.get_finished_spans())


async def test_what_the_clock_finds_has_a_trace_too(dsn: str) -> None:
    async with installed(dsn) as at:
        scene = Scene(at.stage, GATEWAYS["ipay"], 1)
        await scene.open()
        await scene.at_gateway("pay")
        await scene.until("opened", "completed")
        trace = await at.trace_of(scene.payment["payment_id"], "sweep", "take", "ask", "record", "event", "deliver")
        assert trace["sweep"].parent is None


def telemetry() -> tuple[Telemetry, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Telemetry(provider), exporter


def test_one_transaction_for_many_is_linked_to_by_all_and_parent_to_none() -> None:
    tracing, exporter = telemetry()
    with (
        tracing.begin("callback") as one,
        tracing.begin("callback") as other,
        tracing.follow_all("record", [one.traceparent, None, other.traceparent]) as following,
    ):
        pass
    whole = next(span for span in exporter.get_finished_spans() if span.name == "record batch")
    spans = [span for span in exporter.get_finished_spans() if span.name == "record"]
    assert [_named(span) for span in spans] == [following[0], following[2]]
    assert following[1] is None, "a claim without a trace gets none"
    assert [f"{_trace(span):032x}" for span in spans] == [
        str(parent.traceparent).split("-")[1] for parent in (one, other)
    ]
    assert {link.context.span_id for span in spans for link in span.links} == {int(_named(whole).split("-")[2], 16)}
    assert _trace(whole) not in map(_trace, spans)


class Published:
    """A bus that keeps the published messages."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        assert not low_priority
        self.claims += claims

    async def depths(self) -> dict[str, int]:
        return {"ipay": len(self.claims)}


async def test_each_claim_begins_a_trace_of_its_own_named_after_what_made_it() -> None:
    tracing, exporter = telemetry()
    bus, now = Published(), datetime(2026, 11, 21, tzinfo=UTC)
    publisher = TracedPublisher(bus, tracing, lambda: now)
    sources = (Source.SWEEP, Source.OPERATOR, Source.IPN)
    await publisher.publish([own_claim(source, "pay_1", "shop-ipay", "ipay", now) for source in sources])
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert spans.keys() == {"sweep", "verify", "callback", "publish"}
    assert [claim.traceparent for claim in bus.claims] == [_named(spans[one]) for one in ("sweep", "verify", "publish")]
    assert [spans[one].parent for one in ("sweep", "verify", "callback")] == [None] * 3
    assert all(_about(spans[one])["payment_id"] == "pay_1" for one in ("sweep", "verify", "callback"))
    assert await publisher.depths() == {"ipay": 3}


def test_a_claim_carries_its_trace_in_its_body_and_in_the_headers_of_its_message() -> None:
    claim = own_claim(Source.SWEEP, "pay_1", "shop-ipay", "ipay", datetime(2026, 11, 21, tzinfo=UTC))
    assert traced(claim, None) is claim
    assert claim_message(claim).properties.headers == {}
    post = claim_message(traced(claim, STRANGERS))
    assert post.properties.headers == {"traceparent": STRANGERS}
    assert msgspec.json.decode(post.body, type=Claim).traceparent == STRANGERS


def test_a_claim_of_a_release_that_knew_no_traces_is_read() -> None:
    claim = own_claim(Source.SWEEP, "pay_1", "shop-ipay", "ipay", datetime(2026, 11, 21, tzinfo=UTC))
    older = msgspec.json.decode(msgspec.json.encode(claim))
    del older["traceparent"]
    assert msgspec.json.decode(msgspec.json.encode(older), type=Claim) == claim


def test_of_an_error_only_the_type_is_told() -> None:
    tracing, exporter = telemetry()
    with pytest.raises(ValueError, match="Rahim"), tracing.begin("callback"):
        raise ValueError("Rahim, 01700000000")
    (span,) = exporter.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "Rahim" not in span.to_json()


@pytest.mark.parametrize(
    "wrong", ["", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff" + STRANGERS[2:], "x" * 99]
)
def test_what_is_no_traceparent_is_followed_by_nothing(wrong: str) -> None:
    tracing, exporter = telemetry()
    with tracing.follow("ask", wrong) as span:
        span.note(outcome="completed")
    assert span.traceparent is None
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"OTEL_SERVICE_NAME": "payproof"},
    ],
)
def test_it_is_off_unless_the_variables_say_where_traces_go(environ: dict[str, str]) -> None:
    assert tracing_of(environ) is OFF


def test_nothing_of_opentelemetry_is_imported_while_it_is_off() -> None:
    program = (
        "import sys, worker.process, worker.cli; from worker.telemetry.tracing import tracing_of; tracing_of({}); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


EXPORTS = """
import os, sys
from worker.telemetry.tracing import tracing_of
tracing = tracing_of(os.environ)
with tracing.begin("callback", account="shop-ipay") as callback:
    with tracing.follow("publish", callback.traceparent): pass
tracing.close()
"""


def exported(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", EXPORTS], capture_output=True, text=True, check=True, timeout=60, env=environ
    )


@pytest.mark.parametrize(
    ("named", "service"), [({}, "payproof"), ({"OTEL_SERVICE_NAME": "till"}, "till")], ids=["default", "named"]
)
def test_the_standard_variables_choose_exporter_and_name(named: dict[str, str], service: str) -> None:
    out = exported(OTEL_TRACES_EXPORTER="console", **named).stdout
    assert re.findall(r'"name": "(\w+)"', out) == ["publish", "callback"]
    assert f'"service.name": "{service}"' in out


def test_spans_arrive_at_a_collector() -> None:
    heard: list[tuple[str, str]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers["Content-Type"]))
            self.send_response(200 if body else 400)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        exported(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}")
        collector.shutdown()
    assert heard == [("/v1/traces", "application/x-protobuf")]


def test_a_collector_that_is_away_keeps_nobody() -> None:
    ended = exported(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert ended.returncode == 0


def test_an_exporter_that_is_not_there_is_told_and_traces_stay_off() -> None:
    ended = exported(OTEL_TRACES_EXPORTER="zipkin")
    assert "tracing.exporter_missing" in ended.stdout + ended.stderr
