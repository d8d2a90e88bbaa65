"""What a payment costs in PostgreSQL when it comes alone, in counts, which are the same on every machine.

At 200 a second a machine that keeps up has about the same counts, and a slower machine works in larger batches and
counts a fraction. So the benchmark judges the cost at a rate, and here payments share nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bench.cost import Cost, alone_cost, table
from tests.bench.goals import GOALS, HELD_TO
from tests.broker import RabbitMQ
from tests.integration.benched import benched


@pytest.fixture
async def cost(broker: RabbitMQ) -> AsyncIterator[Cost]:
    settings = {"wal_writer_delay": "10s"}  # asynchronous writes then go along with synchronous ones
    async with benched(broker, **settings) as servers:
        yield await alone_cost(servers, 1)


@pytest.mark.alone
async def test_a_payment_costs_no_more_than_it_did(cost: Cost) -> None:
    counted = {"statements": cost.statements, "syncs": cost.wal_syncs, "wal": cost.wal_bytes / 1000}
    print(table(cost))
    assert {name: figure for name, figure in counted.items() if figure > HELD_TO[name]} == {}


def test_what_ci_holds_a_payment_to_is_never_below_the_goal() -> None:
    goals = {goal.name: goal.bound for goal in GOALS}
    assert {name: bound for name, bound in HELD_TO.items() if bound < goals[name]} == {}
