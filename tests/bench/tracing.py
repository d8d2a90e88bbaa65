"""`python -m tests.bench.tracing`: what tracing costs a payment; almost nothing while it is off.

It runs every place at which a payment is traced, from the callback to the webhook, without any work in between.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from schemas.callbacks import Claim
from schemas.words import Authenticity, Source
from worker.telemetry.tracing import OFF, Tracing, traced, traceparent_of
from worker.telemetry.tracing.telemetry import Telemetry

PAYMENTS = 20_000
CLAIM = Claim(
    id="c1",
    account="shop-ipay",
    provider="ipay",
    source=Source.RETURN,
    authenticity=Authenticity.UNSIGNED,
    received_at=datetime(2026, 11, 21, tzinfo=UTC),
)
EVENT = json.dumps({"id": "pay_1.2", "type": "payment.completed", "data": {f"field_{n}": "value" for n in range(25)}})


def payment(tracing: Tracing) -> None:
    """Run every traced place, in the order in which a payment meets them."""
    claim = CLAIM
    if tracing.on:
        with (
            tracing.begin("callback", account="a") as callback,
            tracing.follow("publish", callback.traceparent) as span,
        ):
            claim = traced(claim, span.traceparent)
    with tracing.follow_all("take", [claim.traceparent]) as traces:
        claim = traced(claim, traces[0])
    with tracing.follow("ask", claim.traceparent, payment_id="p", account="a", kind="status", host="h") as span:
        span.note(outcome="completed", calls=1)
    with tracing.follow_all("record", [span.traceparent]) as traces:
        pass
    with tracing.follow("event", traces[0], event_id="e", type="t"):
        pass
    event = EVENT.encode()
    with tracing.follow_all("relay", [traceparent_of(event)]):
        pass
    with tracing.follow("deliver", traceparent_of(event), endpoint="e", event_id="e", attempt=1) as span:
        span.note(status=204)


def microseconds(work: Callable[[], None]) -> float:
    """The best of five, for one payment, since other work on the machine only adds time."""
    times = []
    for _ in range(5):
        began = perf_counter()
        for _ in range(PAYMENTS // 5):
            work()
        times.append((perf_counter() - began) / (PAYMENTS // 5) * 1e6)
    return min(times)


def main() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    on = Telemetry(provider)
    off = microseconds(lambda: payment(OFF))
    print(f"off: {off:.1f} microseconds a payment, from its callback to its webhook")
    print(f"on:  {microseconds(lambda: payment(on)):.1f} microseconds, and what the exporter's thread does")


if __name__ == "__main__":
    main()
