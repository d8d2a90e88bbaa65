"""What the sweep takes and what it leaves: a gateway that works nothing off, a payment that somebody keeps locked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from consumers.opening import Created
from tests.integration.conformance_ledger import a_payment
from worker.metrics import Metrics
from worker.postgres.bus import PostgresBus
from worker.postgres.database import Database
from worker.postgres.due import MOST_WAITING, take_due
from worker.postgres.ledger import PostgresLedger
from worker.sweep import Sweep


class Counting(Database):
    queries = 0

    async def fetch(self, sql: str, *values: Any) -> Any:
        self.queries += 1
        return await super().fetch(sql, *values)


async def due(database: Database, provider: str) -> str:
    now = database.clock.now()
    row = a_payment(provider=provider, opened_at=now, next_check_at=now - timedelta(seconds=1))
    made = await PostgresLedger(database).create(row, {}, timedelta(0))
    assert isinstance(made, Created)
    return made.payment.id


async def test_a_gateway_whose_claims_pile_up_gets_no_more_of_them(database: Database) -> None:
    await due(database, "stuck")
    quick = await due(database, "quick")
    await database.execute(
        "INSERT INTO queue (claim_id, provider, body) SELECT n::text, 'stuck', '' FROM generate_series(1, $1) n",
        MOST_WAITING,
    )
    bus = PostgresBus(database)
    assert [one for one, *_ in await take_due(database, 100, await bus.waiting())] == [quick]
    await database.execute("DELETE FROM queue WHERE claim_id = '1'")
    assert [provider for *_, provider in await take_due(database, 100, await bus.waiting())] == ["stuck"]


async def test_a_payment_that_is_due_and_locked_is_not_looked_at_without_pause(database: Database) -> None:
    payment_id = await due(database, "ipay")
    counting = Counting(database._pool, database._dsn, database.clock)
    bus = PostgresBus(database)
    sweep = Sweep(counting, bus, Metrics())
    async with database.connection() as locking:
        async with locking.transaction():
            await locking.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
            sweeping = asyncio.create_task(sweep.run())
            await asyncio.sleep(1)
            assert counting.queries <= 20
        claims = await asyncio.wait_for(bus.receive("ipay", 10), 5)
    assert [delivery.claim.payment_id for delivery in claims] == [payment_id]
    sweeping.cancel()
    await asyncio.wait({sweeping})
