"""A shop's dashboard delays nobody: its lists look at few blocks, and wait for each other, not buyers for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import msgspec
import pytest
from asyncpg.connection import LoggedQuery

from consumers.ports.unavailable import DatabaseUnavailable
from schemas.requests import ListQuery
from schemas.words import Status
from tests.integration.shops import Got, Shops, serving
from worker.postgres import pools
from worker.postgres.database import Database, connect
from worker.postgres.pools import READ_CONNECTIONS
from worker.postgres.reads.read_turns import ReadTurns
from worker.postgres.reads.reading import read_page

SECONDS = 60
"""A deadline for what happens at once, or never."""
MANY, SUMMED, PAGE = 20_000, 1_000, 50
PAYMENTS = """
    INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata, status,
        holds, version, late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened, completed_told,
        closing_told, hint_asks, step, execute_tries, execute_unanswered, candidates, candidate_dropped)
    SELECT 'pay_' || lpad(n::text, 26, '0'), 'shop',
        CASE WHEN n % 5000 = 0 THEN 'shop-ipay' ELSE 'shop-one' END, 'ipay', 'ref-' || n,
        10, 'BDT', '', jsonb_build_object('wide', repeat(md5(n::text), 30)),
        CASE WHEN n % 5000 = 1 THEN 'failed' ELSE 'pending' END, '{}', 1, false, false, 0, '{}',
        '2026-01-01T00:00Z'::timestamptz + n * interval '1 s', now(), true, false, false, '{}', 0, 0, false, '[]', false
    FROM generate_series(1, $1::int) AS n
"""


async def blocks(dsn: str, query: ListQuery) -> int:
    """How many blocks of tables and indexes the statements of this list look at."""
    said: list[LoggedQuery] = []
    async with connect(dsn, size=1) as database:
        async with database.connection() as connection:
            connection.add_query_logger(said.append)
        await read_page(database, "shop", query, None, most_summed=SUMMED)
        async with database.connection() as connection:
            connection.remove_query_logger(said.append)
            found = 0
            for one in said:
                if "FROM payments" in one.query:
                    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {one.query}"
                    (explained,) = msgspec.json.decode(await connection.fetchval(explain, *one.args))
                    found += explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
    return found


async def test_a_list_looks_at_few_blocks_however_many_payments_there_are(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("ALTER TABLE payments SET (autovacuum_enabled = off)")
        await connection.execute(PAYMENTS, MANY)
        await connection.execute("VACUUM ANALYZE payments")
        pages = "SELECT pg_relation_size($1::text::regclass) / 8192"
        table, index = [await connection.fetchval(pages, name) for name in ("payments", "payments_listed")]
    finally:
        await connection.close()
    page = 6 * (PAGE + 1)  # a payment is found by its key, in a small tree and the table
    some = SUMMED * index // MANY + 10
    assert table > 5 * index
    assert await blocks(dsn, ListQuery(limit=PAGE)) < page + some
    assert await blocks(dsn, ListQuery(limit=PAGE, status=Status.PENDING, hold="none")) < page + some
    assert await blocks(dsn, ListQuery(limit=PAGE, account="shop-ipay")) < page + 2 * index + 10
    for status in (Status.FAILED, Status.REFUNDED):
        assert await blocks(dsn, ListQuery(limit=PAGE, status=status)) < 60
    assert await blocks(dsn, ListQuery(limit=PAGE, reference="ref-7")) < 60
    one = f"pay_{7:026d}"
    for query in (ListQuery(q=one), ListQuery(q="REF-7"), ListQuery(session_id="s"), ListQuery(transaction_id="t")):
        assert await blocks(dsn, query) < 80
    assert await blocks(dsn, ListQuery(q="ref-7", status=Status.PENDING, hold="none", account="shop-one")) < 80


async def test_sums_end_at_a_number_and_say_so(shops: Shops) -> None:
    for nth in range(3):
        await shops.opened(reference=f"r{nth}")
    for most, count, capped in ((2, 2, True), (3, 3, True), (4, 3, False)):
        found = await read_page(shops.database, "shop", ListQuery(limit=1), None, most_summed=most)
        assert (found.summary.count, found.summary.capped) == (count, capped)


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[tuple[Shops, ReadTurns, str]]:
    """The API with its pool for reading, its turns, and the path of a payment."""
    async with database.reading() as pool:
        turns = ReadTurns(pool, wait=SECONDS)
        async with serving(database, reads=turns) as shops:
            payment = await shops.opened()
            yield shops, turns, f"/v1/payments/{payment['payment_id']}"


async def refused_list(shops: Shops, turns: ReadTurns) -> Got:
    """The answer to a list that has no turn for a moment."""
    turns.wait = 0.05
    got = await shops.get("/v1/payments")
    turns.wait = SECONDS
    return got


async def test_lists_of_a_shop_wait_for_each_other_and_nobody_waits_for_them(database: Database) -> None:
    async with reading(database) as (shops, turns, payment), turns.of("shop", "list").connection():
        refused = await refused_list(shops, turns)
        assert refused.problem == (503, "unavailable", None)
        assert refused.headers["Retry-After"] == "5"
        assert (await shops.get("/v1/payments", shop="other")).status == 200
        assert (await shops.get("/v1/events")).status == 200
        assert (await shops.get(f"{payment}/timeline")).status == 200
        assert (await shops.get(payment)).status == 200
    assert await database.fetch("SELECT 1") != []


async def test_the_lists_of_all_shops_leave_room_for_events(database: Database) -> None:
    async with reading(database) as (shops, turns, _), AsyncExitStack() as stack:
        for nth in range(READ_CONNECTIONS - 1):
            await stack.enter_async_context(turns.of(f"shop {nth}", "list").connection())
        assert (await refused_list(shops, turns)).status == 503
        assert (await shops.get("/v1/events")).status == 200


async def test_a_list_has_its_turn_after_the_one_before_it(database: Database) -> None:
    async with reading(database) as (shops, turns, _):
        async with turns.of("shop", "list").connection():
            waiting = asyncio.create_task(shops.get("/v1/payments"))
            assert (await shops.get("/v1/payments", shop="other")).status == 200
            assert not waiting.done()
        assert (await waiting).status == 200


async def test_reads_that_hang_delay_no_look_up(database: Database, dsn: str) -> None:
    """Every connection for reading waits for a table that is locked; a payment is looked up all the same."""
    locking = await asyncpg.connect(dsn)
    try:
        async with reading(database) as (shops, turns, payment), AsyncExitStack() as stack:
            for nth in range(READ_CONNECTIONS - 1):
                await stack.enter_async_context(turns.of(f"shop {nth}", "list").connection())
            async with locking.transaction():
                await locking.execute("LOCK TABLE events")
                hanging = [asyncio.create_task(shops.get("/v1/events")) for _ in range(20)]
                async with asyncio.timeout(SECONDS):
                    while not await locking.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                        pass
                    assert (await shops.get(payment)).status == 200
            assert {(await one).status for one in hanging} <= {200, 503}
    finally:
        await locking.close()


async def test_a_list_that_takes_too_long_is_ended_by_the_server(
    database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "READ_SECONDS", 0.1)
    locking = await asyncpg.connect(dsn)
    try:
        async with reading(database) as (shops, _, _):
            async with locking.transaction():
                await locking.execute("LOCK TABLE payments")
                got = await shops.get("/v1/payments")
            assert (got.status, got.headers["Retry-After"]) == (503, "5")
            assert "`from` and `to`" in got.body["detail"]
            assert (await shops.get("/v1/payments")).status == 200
    finally:
        await locking.close()


async def test_the_pool_for_reading_writes_nothing_and_connects_when_it_is_used(database: Database) -> None:
    ours = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
    before = (await database.fetch(ours))[0]["n"]
    async with database.reading() as pool:
        assert (await database.fetch(ours))[0]["n"] == before
        assert (await pool.fetch(ours))[0]["n"] == before + 1
        with pytest.raises(DatabaseUnavailable):
            await pool.execute("DELETE FROM tokens")
