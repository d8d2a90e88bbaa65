"""What the sweep takes and what it leaves: a gateway that processes nothing, a payment that stays locked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.commands.reopen import ReadyToOpen
from consumers.pacing import TokenBucket
from consumers.ports.writes import Write
from schemas.changes import Change
from tests.fakes.providers import PLAIN, account
from tests.integration.backlog import RATES, fill, look, unindexed, wrong
from tests.integration.conformance_ledger import a_payment, keys
from tests.refills import BURST_SECONDS, REFILLS, Refill
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.due import MOST_WAITING, PROBING, SHARE, sweep_bucket, take_due
from worker.postgres.watermark import START
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics
from worker.verify.sweep import Sweep

PLAIN_CAPABILITIES = PLAIN.provider.capabilities


class Counting(Database):
    queries = 0

    async def fetch(self, sql: str, *values: Any) -> Any:
        self.queries += 1
        return await super().fetch(sql, *values)


async def due(database: Database, account: str, *, ago: float = 1) -> str:
    now = database.clock.now()
    row = a_payment(account=account, opened_at=now, next_check_at=now - timedelta(seconds=ago))
    made = await PostgresLedger(database).create(row, {}, timedelta(0))
    assert isinstance(made, ReadyToOpen)
    return made.payment.id


async def taken(database: Database, accounts: dict[str, float | None], most: int = 100) -> list[str]:
    return sorted(one for one, *_ in await take_due(database, most, accounts))


async def test_a_gateway_whose_claims_pile_up_gets_no_more_of_them(database: Database) -> None:
    await due(database, "shop-a")
    await database.execute(
        "INSERT INTO queue (claim_id, provider, body) SELECT n::text, 'fake', '' FROM generate_series(1, $1) n",
        MOST_WAITING,
    )
    sweep = Sweep(database, PostgresBus(database), {"shop-a": account("shop-a", PLAIN_CAPABILITIES)}, Metrics())
    assert await sweep._sweep() == 0
    await database.execute("DELETE FROM queue WHERE claim_id = '1'")
    assert await sweep._sweep() == 1


@pytest.mark.parametrize("case", REFILLS, ids=lambda case: case.what)
async def test_the_sweeps_share_of_a_budget_refills_by_the_rule_of_every_token_bucket(
    database: Database, case: Refill
) -> None:
    rate = case.rate / SHARE
    assert sweep_bucket(rate) == TokenBucket.of_seconds(case.rate, BURST_SECONDS)
    [before] = await database.fetch(
        """INSERT INTO allowances (account, sweep_calls, swept_at)
           VALUES ('shop-a', $1, clock_timestamp() - make_interval(secs => $2)) RETURNING swept_at""",
        case.tokens,
        case.seconds,
    )
    await take_due(database, 1, {"shop-a": rate})
    [after] = await database.fetch("SELECT sweep_calls, swept_at FROM allowances")
    seconds = (after["swept_at"] - before["swept_at"]).total_seconds()
    assert case.seconds <= seconds
    within = case.rate * (seconds - case.seconds) + 0.01
    assert after["sweep_calls"] == pytest.approx(sweep_bucket(rate).refill(case.tokens, seconds), abs=0.01)
    assert after["sweep_calls"] == pytest.approx(case.become, abs=within)


async def test_the_longest_waiting_are_taken_first_and_nobody_elses(database: Database) -> None:
    payments = [await due(database, "shop-a", ago=seconds) for seconds in (1, 30, 10)]
    await due(database, "no-longer-configured")
    assert await taken(database, {"shop-a": None}, most=2) == sorted([payments[1], payments[2]])
    assert await taken(database, {"shop-a": None}, most=2) == [payments[0]]
    assert await taken(database, {"shop-a": None}) == []


async def test_an_account_with_a_budget_gets_three_quarters_of_two_seconds_and_then_as_time_brings(
    database: Database,
) -> None:
    for _ in range(60):
        await due(database, "shop-a")
    assert len(await taken(database, {"shop-a": 20.0})) == 30
    assert len(await taken(database, {"shop-a": 20.0})) <= 2
    await database.execute("UPDATE allowances SET swept_at = swept_at - interval '1 second'")
    assert 15 <= len(await taken(database, {"shop-a": 20.0})) <= 17


async def test_an_account_that_is_shut_is_left_alone_until_it_may_be_probed(database: Database) -> None:
    for _ in range(PROBING + 5):
        await due(database, "silent")
    for _ in range(5):
        await due(database, "well")
    await database.execute(
        """INSERT INTO allowances (account, troubles, shut_until)
           VALUES ('silent', 10, clock_timestamp() + interval '30 seconds'), ('well', 9, NULL)"""
    )
    both: dict[str, float | None] = {"silent": None, "well": None}
    assert len(await taken(database, both)) == 5, "no payment of the account with an open breaker is taken or postponed"
    await database.execute(
        "UPDATE allowances SET shut_until = clock_timestamp() - interval '1 s' WHERE account = 'silent'"
    )
    assert len(await taken(database, both)) == PROBING
    await database.execute("UPDATE allowances SET troubles = 0, shut_until = NULL WHERE account = 'silent'")
    assert len(await taken(database, both)) == 5, "and all that is due once it answered"


async def test_one_account_over_its_budget_holds_up_no_other(database: Database) -> None:
    for _ in range(5):
        await due(database, "slow", ago=100)
        await due(database, "free", ago=1)
    assert len(await taken(database, {"slow": 0.1, "free": None})) == 1 + 5


async def test_two_sweeps_at_once_take_nothing_twice_and_share_one_budget(database: Database) -> None:
    for _ in range(100):
        await due(database, "shop-a")
        await due(database, "shop-b")
    budgets = {"shop-a": 20.0, "shop-b": None}
    rounds = await asyncio.gather(*(take_due(database, 40, budgets) for _ in range(6)))
    both = [one for swept in rounds for one in swept]
    assert len({payment_id for payment_id, *_ in both}) == len(both)
    of_a = [one for one in both if one[1] == "shop-a"]
    assert len(of_a) <= 32
    assert len(both) - len(of_a) == 100


async def test_a_payment_that_is_due_and_locked_is_not_looked_at_without_pause(database: Database) -> None:
    payment_id = await due(database, "shop-a")
    counting = Counting(database._pool, database._dsn, database.primary)
    counting.clock = database.clock
    bus = PostgresBus(database)
    sweep = Sweep(counting, bus, {"shop-a": account("shop-a", PLAIN_CAPABILITIES)}, Metrics())
    async with database.connection() as locking:
        async with locking.transaction():
            await locking.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
            sweeping = asyncio.create_task(sweep.run())
            await asyncio.sleep(1)
            assert counting.queries <= 20
        claims = await asyncio.wait_for(bus.receive("fake", 10), 5)
    assert [delivery.claim.payment_id for delivery in claims] == [payment_id]
    await end_one(sweeping)


async def test_a_payment_that_becomes_due_at_a_time_long_past_is_found_at_once(database: Database) -> None:
    """As after an Execute that hung. It keeps its place among those that wait."""
    payments = [await due(database, "shop-a", ago=seconds) for seconds in (60, 1)]
    sweep = Sweep(database, PostgresBus(database), {"shop-a": account("shop-a", PLAIN_CAPABILITIES)}, Metrics())
    assert (await sweep._sweep(), await sweep._sweep()) == (2, 0)
    ledger, at = PostgresLedger(database), database.clock.now() - timedelta(seconds=60)
    database._wakeups.on_wakeup = lambda wakeup: sweep.wake_if_due(wakeup.look_at)
    reading = (await ledger.look([], payments[:1])).readings[payments[0]]
    before = reading.case.payment
    change = Change(payment=replace(before, next_check_at=at))
    assert (await ledger.write([Write(reading=reading, change=change, keys=keys(before))])).done == {payments[0]}
    assert sweep._wake.is_set()
    assert await sweep._sweep() == 1


async def test_who_may_have_missed_a_wakeup_looks_from_the_start(database: Database) -> None:
    payment_id = await due(database, "shop-a", ago=60)
    sweep = Sweep(database, PostgresBus(database), {"shop-a": account("shop-a", PLAIN_CAPABILITIES)}, Metrics())
    assert (await sweep._sweep(), await sweep._sweep()) == (1, 0)
    await database.execute("UPDATE payments SET next_check_at = now() - interval '1 minute' WHERE id = $1", payment_id)
    assert await sweep._sweep() == 0
    sweep.wake_if_due(START)
    assert await sweep._sweep() == 1


async def test_a_backlog_is_taken_by_its_index_within_the_budgets_the_longest_waiting_first(database: Database) -> None:
    """The small version of `python -m tests.integration.backlog`, which does the same with a million."""
    payments, seconds = 20_000, 2.0
    await fill(database, payments, list(RATES))
    looks = await look(database, seconds)
    assert wrong(looks, payments, seconds) == []
    assert await unindexed(database) == []
