"""Traces by OpenTelemetry's SDK, set up by its standard variables: exporter, sampler, service's name, batches.

One transaction records parts of many traces, and none of these is the parent of the others. So each trace gets a span
of its own, with a link to the transaction's span.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from worker.telemetry.tracing import OFF, Attribute, Passing, Stage, Tracing

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_KINDS: Mapping[Stage, SpanKind] = {
    "callback": SpanKind.SERVER,
    "publish": SpanKind.PRODUCER,
    "take": SpanKind.CONSUMER,
    "ask": SpanKind.CLIENT,
    "relay": SpanKind.PRODUCER,
    "deliver": SpanKind.CLIENT,
}
_ROOT = Context()  # never the ambient context: only a context that we hand on decides the trace
_NANOSECONDS = 1e9
CLOSE_SECONDS = 5

log = structlog.get_logger()


class Noted:
    """See worker.telemetry.tracing.Span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        context = span.get_span_context()
        flags = context.trace_flags & TraceFlags.SAMPLED
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"

    def note(self, **attributes: Attribute) -> None:
        self._span.set_attributes(_named(attributes))


class Telemetry:
    """See worker.telemetry.tracing.Tracing."""

    on = True

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("payproof", version("payproof"))

    @contextmanager
    def begin(self, stage: Stage, *, seconds_ago: float = 0, **attributes: Attribute) -> Iterator[Noted]:
        with self._within([self._start(stage, _ROOT, seconds_ago, attributes)]) as (noted,):
            yield noted

    @contextmanager
    def follow(self, stage: Stage, parent: str | None, **attributes: Attribute) -> Iterator[Noted | Passing]:
        context = _context(parent)
        if context is None:
            yield Passing()
            return
        with self._within([self._start(stage, context, 0, attributes)]) as (noted,):
            yield noted

    @contextmanager
    def follow_all(
        self, stage: Stage, parents: Sequence[str | None], *, seconds_ago: float = 0
    ) -> Iterator[Sequence[str | None]]:
        contexts = [_context(parent) for parent in parents]
        known = [context for context in contexts if context is not None]
        if not known:
            yield parents
            return
        whole, links = [], []
        if len(parents) > 1:
            of_all = self._tracer.start_span(
                f"{stage} batch",
                context=_ROOT,
                attributes={"payproof.size": len(parents)},
                start_time=_ago(seconds_ago),
            )
            whole, links = [of_all], [Link(of_all.get_span_context())]
        spans = [self._start(stage, context, seconds_ago, {}, links) for context in known]
        with self._within([*spans, *whole]) as noted:
            following = iter(noted)
            yield [None if context is None else next(following).traceparent for context in contexts]

    def close(self) -> None:
        """In a thread that may be left behind: a collector that is away keeps the SDK waiting for half a minute."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _start(
        self,
        stage: Stage,
        context: Context,
        seconds_ago: float,
        attributes: Mapping[str, Attribute],
        links: Sequence[Link] = (),
    ) -> Span:
        return self._tracer.start_span(
            stage,
            context=context,
            kind=_KINDS.get(stage, SpanKind.INTERNAL),
            attributes=_named(attributes),
            links=links,
            start_time=_ago(seconds_ago),
        )

    @contextmanager
    def _within(self, spans: Sequence[Span]) -> Iterator[Sequence[Noted]]:
        """End the spans, also after an error. Only an error's type is recorded: its words may hold a buyer's data."""
        try:
            yield [Noted(span) for span in spans]
        except BaseException as error:
            for span in spans:
                span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            for span in spans:
                span.end()


def exporting(environ: Mapping[str, str]) -> Tracing:
    """Tracing that sends spans in batches, from a thread of the SDK. Off where no exporter is installed."""
    names = [name.strip() for name in (environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp").lower().split(",")]
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    by_grpc = protocol.strip().lower() == "grpc"
    resource = Resource.create({"service.version": version("payproof")})
    if not environ.get(OTEL_SERVICE_NAME) and "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        resource = resource.merge(Resource({"service.name": "payproof"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    working = False
    for name in names:
        wanted = ("otlp_proto_grpc" if by_grpc else "otlp_proto_http") if name == "otlp" else name
        found = next(iter(entry_points(group="opentelemetry_traces_exporter", name=wanted)), None)
        if found is None:
            log.warning("tracing.exporter_missing", exporter=wanted)
            continue
        provider.add_span_processor(BatchSpanProcessor(found.load()()))
        working = True
    log.info("tracing.on" if working else "tracing.off", exporters=names)
    return Telemetry(provider) if working else OFF


def _context(traceparent: str | None) -> Context | None:
    """The context of a `traceparent`; None for other text, which no span continues."""
    parts = _TRACEPARENT.fullmatch(traceparent or "")
    if parts is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in parts.groups())
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(parent), _ROOT) if parent.is_valid else None


def _ago(seconds: float) -> int | None:
    return time.time_ns() - int(seconds * _NANOSECONDS) if seconds > 0 else None


def _named(attributes: Mapping[str, Attribute]) -> dict[str, str | int]:
    return {f"payproof.{name}": value for name, value in attributes.items() if value is not None}
