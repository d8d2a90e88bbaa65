"""Traces by OpenTelemetry: from the arrival of one callback to the webhook that it led to.

Off, unless OpenTelemetry's own variables of the environment name an exporter or a collector. While it is off, nothing
of OpenTelemetry is imported, and a stage costs a call of a function that does nothing. A context travels as the text of
a W3C `traceparent`, in claims, questions, replies and events. So the code that decides about money knows no traces.

A stranger's `traceparent` is never continued, or strangers could steer our traces; each callback that is taken begins a
new trace. No attribute holds personal data. Attributes are ids of payments, accounts, events and endpoints, gateways'
host names, and our own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol, Self

import structlog
from msgspec import Struct, structs

from schemas.callbacks import Claim
from schemas.own_json import NotOurs, read_own

Stage = Literal["callback", "sweep", "verify", "publish", "take", "ask", "record", "event", "place", "relay", "deliver"]
Attribute = str | int | None
HEADER = "traceparent"

_WHERE = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = structlog.get_logger()


class Span(Protocol):
    """One stage of a trace. `traceparent` is the context for the next stage."""

    @property
    def traceparent(self) -> str | None: ...

    def note(self, **attributes: Attribute) -> None: ...


class Tracing(Protocol):
    """`begin` makes a new trace. `follow` continues the trace of `parent`, and does nothing where there is none."""

    @property
    def on(self) -> bool: ...

    def begin(
        self, stage: Stage, *, seconds_ago: float = 0, **attributes: Attribute
    ) -> AbstractContextManager[Span]: ...

    def follow(self, stage: Stage, parent: str | None, **attributes: Attribute) -> AbstractContextManager[Span]: ...

    def follow_all(
        self, stage: Stage, parents: Sequence[str | None], *, seconds_ago: float = 0
    ) -> AbstractContextManager[Sequence[str | None]]:
        """One transaction for many traces: a span in each trace, with a link to a span of the transaction itself.

        Returns the contexts for the next stages, in the order of `parents`.
        """
        ...

    def close(self) -> None:
        """Send the spans that are left. Blocks for a few seconds at most, so call it in a thread of its own."""
        ...


class Passing(Struct, frozen=True):
    """No span: the context that came is passed on unchanged."""

    traceparent: str | None = None

    def note(self, **attributes: Attribute) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PassingAll(Struct, frozen=True):
    """The same for many contexts."""

    traceparents: Sequence[str | None]

    def __enter__(self) -> Sequence[str | None]:
        return self.traceparents

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Off:
    """No tracing in this process. A trace that another process began is passed on."""

    on = False

    def begin(self, stage: Stage, *, seconds_ago: float = 0, **attributes: Attribute) -> Passing:  # noqa: ARG002
        return _NOTHING

    def follow(self, stage: Stage, parent: str | None, **attributes: Attribute) -> Passing:  # noqa: ARG002
        return Passing(parent) if parent else _NOTHING

    def follow_all(self, stage: Stage, parents: Sequence[str | None], *, seconds_ago: float = 0) -> PassingAll:  # noqa: ARG002
        return PassingAll(parents)

    def close(self) -> None: ...


_NOTHING = Passing()
OFF = Off()


def tracing_of(environ: Mapping[str, str]) -> Tracing:
    """Tracing by OpenTelemetry's variables.

    Off unless they name an exporter or a collector, and its package is installed.
    """
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or exporters == "none" or not any(environ.get(name, "").strip() for name in _WHERE):
        return OFF
    try:
        from worker.telemetry.tracing.telemetry import exporting  # noqa: PLC0415 - nothing of it is imported where it is off
    except ModuleNotFoundError:
        log.warning("tracing.package_missing", how="pip install 'payproof[otel]'")
        return OFF
    return exporting(environ)


def traced(claim: Claim, traceparent: str | None) -> Claim:
    """The claim with the trace that its next stage continues."""
    return claim if traceparent is None else structs.replace(claim, traceparent=traceparent)


class _TracedEvent(Struct, frozen=True):
    traceparent: str | None = None


def traceparent_of(event: bytes) -> str | None:
    """The trace that an event names in its bytes; None where it names none."""
    try:
        return read_own(event, _TracedEvent).traceparent
    except NotOurs:
        return None
