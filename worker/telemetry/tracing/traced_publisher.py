"""Publishing claims while traces are on: the trace of each claim begins here.

Each claim begins a new trace. A trace that a request names is never continued, or strangers would steer our traces. A
refused callback is not published, and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime

from consumers.ports.bus import ClaimPublisher
from schemas.callbacks import Claim
from schemas.words import Source
from worker.telemetry.tracing import Stage, Tracing, traced

_OWN_STAGES: Mapping[Source, Stage] = {Source.SWEEP: "sweep", Source.OPERATOR: "verify"}
"""Claims that we make ourselves begin with the stage that made them, all others with `callback`."""


class TracedPublisher:
    """See consumers.ports.bus.ClaimPublisher. `now` is the clock of `Claim.received_at`."""

    def __init__(self, publisher: ClaimPublisher, tracing: Tracing, now: Callable[[], datetime]) -> None:
        self._publisher, self._tracing, self._now = publisher, tracing, now

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        with ExitStack() as spans:
            claims = [traced(claim, self._begin(claim, spans)) for claim in claims]
            await self._publisher.publish(claims, low_priority=low_priority)

    async def depths(self) -> dict[str, int]:
        return await self._publisher.depths()

    def _begin(self, claim: Claim, spans: ExitStack) -> str | None:
        """Begin spans that end when the claim is durable. Returns the trace that its next stage follows."""
        account, payment_id = claim.account, claim.payment_id
        if (stage := _OWN_STAGES.get(claim.source)) is not None:
            return spans.enter_context(self._tracing.begin(stage, account=account, payment_id=payment_id)).traceparent
        since, source = (self._now() - claim.received_at).total_seconds(), claim.source.value
        callback = spans.enter_context(
            self._tracing.begin("callback", seconds_ago=since, account=account, payment_id=payment_id, source=source)
        )
        publish = self._tracing.follow("publish", callback.traceparent, claim_id=claim.id)
        return spans.enter_context(publish).traceparent
