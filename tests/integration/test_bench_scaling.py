"""The measurements behind the model of scaling: a slow disk is slow, and a drain of two processes has a cost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg

from tests.bench.by_role import LAYOUT, by_role
from tests.bench.scaling import checked, measured, role_table, table
from tests.bench.servers import Postgres
from tests.bench.slow_disk import slow_syncs
from tests.broker import RabbitMQ
from tests.integration.benched import benched
from tests.processes import directory

DELAY = 0.2
PAYMENTS = 600


async def test_every_commit_waits_for_a_slow_disk() -> None:
    with directory() as place:
        await asyncio.to_thread(place.chmod, 0o755)
        database = await asyncio.to_thread(_started, place)
        try:
            connection = await asyncpg.connect(database.url)
            await connection.execute("CREATE TABLE slow (n int)")
            began = time.monotonic()
            await connection.execute("INSERT INTO slow VALUES (1)")
            assert time.monotonic() - began >= DELAY
            await connection.close()
        finally:
            await asyncio.to_thread(database.stop)


async def test_a_drain_of_one_and_of_two_processes_is_measured_and_predicted(broker: RabbitMQ) -> None:
    async with benched(broker) as both:
        found = [await measured(both, consumers, 0.0, PAYMENTS, consumers) for consumers in (1, 2)]
    assert [one.consumers for one in found] == [1, 2]
    for one in found:
        assert min(one.per_second, one.cores, one.cost.processor, one.cost.syncs, one.cost.wal) > 0
    assert found[1].connections > found[0].connections
    assert len(checked(found)) == 2
    print(table(found))


async def test_each_role_has_its_cost(broker: RabbitMQ) -> None:
    async with benched(broker) as both:
        found = await by_role(both, 1, rate=10.0, seconds=1.0)
    assert set(found.seconds) == {*LAYOUT, "PostgreSQL", "RabbitMQ"}
    assert found.connections >= len(LAYOUT)
    assert found.broker_connections > 0
    print(role_table(found, 10.0))


def _started(place: Path) -> Postgres:
    database = Postgres(place / "postgres", slow_syncs(place, DELAY))
    database.start()
    return database
