"""The measurement of a recovery: it kills the process that asks, and sees the outcome all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bench.recovery import recovery
from tests.bench.servers import Servers
from tests.broker import RabbitMQ
from tests.integration.benched import benched

GATEWAY_SECONDS = 0.5
LEASE_SECONDS = 30.0
"""How long a dead process was missed when its lease stood in the database."""


@pytest.fixture
async def both(broker: RabbitMQ) -> AsyncIterator[Servers]:
    async with benched(broker) as servers:
        yield servers


@pytest.mark.alone
async def test_who_asks_is_killed_and_missed_by_nobody_who_waits_for_the_event(both: Servers) -> None:
    told = await recovery(both, 1, consumers=2, kills=2, gateway_seconds=GATEWAY_SECONDS)
    assert len(told.after_kill) == 2
    assert 0 < max(told.after_kill) < LEASE_SECONDS / 2
    assert told.after_ready == ()


@pytest.mark.alone
async def test_one_alone_is_started_again_and_counted_from_when_it_is_ready(both: Servers) -> None:
    told = await recovery(both, 1, consumers=1, kills=1, gateway_seconds=GATEWAY_SECONDS)
    (kill,), (ready,) = told.after_kill, told.after_ready
    assert ready < kill < LEASE_SECONDS / 2
    assert str(told).startswith("rabbitmq, 1 of which one is killed: ")
