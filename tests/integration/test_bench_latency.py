"""A short measurement under all unusual conditions at once: it ends, and each condition is in its figures."""

from __future__ import annotations

import pytest

from tests.bench.bare_latency import bare_latency
from tests.bench.conditions import Under
from tests.bench.delays import Delays
from tests.bench.latency import latency
from tests.bench.serving import TWO_CONSUME
from tests.broker import RabbitMQ
from tests.integration.benched import benched

RATE, SECONDS = 10.0, 1.0
SLOW = Under(delays=Delays(least=0.3, most=0.6), standby=0.02, snapshot=True)
WORDS = "gateways that take 0.3 to 0.6 s, a standby 20 ms away, an old snapshot held"


@pytest.mark.alone
async def test_payproof_and_the_bare_limit_are_measured_under_the_same_conditions(broker: RabbitMQ) -> None:
    async with benched(broker) as both:
        ours = await latency(both, 1, per_second=RATE, seconds=SECONDS, layout=TWO_CONSUME, under=SLOW)
        bare = await bare_latency(both, 1_000_001, per_second=RATE, seconds=SECONDS, under=SLOW)
    assert ours.name == f"ingress | consume | consume | sweep,relay, {WORDS}"
    assert bare.name == f"bare ingress | bare consumer, {WORDS}"
    assert ours.stages.answered.p50 >= 300, "the gateways' time is in the stretch that waits for them"
    assert min(ours.milliseconds.p50, bare.milliseconds.p50) >= 20, "and not in the total, which the standby is"
