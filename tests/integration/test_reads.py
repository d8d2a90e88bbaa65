"""A shop's dashboard delays nobody: its lists look at few blocks, and wait for each other, not buyers for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

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
from worker.postgres.reads.reading import read_page, read_part, read_whole_page

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
        await read_page(database, "shop", query, None, most_seen=SUMMED, most_summed=SUMMED)
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
    few = {"account": "shop-ipay"}, {"amount_min": Decimal(11)}, {"status": Status.COMPLETED}, {"provider": "moneybag"}
    for given in (*few, {"hold": "none", "amount_max": Decimal(9)}):
        assert await blocks(dsn, ListQuery(limit=PAGE, **given)) < page + 3 * some
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


async def test_a_page_ends_where_so_many_were_looked_at_and_the_next_one_goes_on(shops: Shops) -> None:
    ids = [(await shops.opened(reference=f"r{nth}", amount="5.00" if nth in (0, 1, 4) else "9.00"))["payment_id"]
           for nth in range(9)]  # fmt: skip
    query, found, after, sizes = ListQuery(limit=2, amount_max=Decimal(5)), list[str](), None, list[int]()
    while True:
        page = await read_page(shops.database, "shop", query, after, most_seen=3)
        part = await read_part(shops.database, "shop", query, after, most_seen=3)
        assert (part.payments, part.next, part.looked_until) == (page.payments, page.next, page.looked_until)
        assert (page.summary.count, page.summary.capped) == (3, False)
        found += [one.id for one in page.payments]
        sizes.append(len(page.payments))
        if (after := page.next) is None:
            break
        assert page.looked_until == after[0]
    assert found == [ids[4], ids[1], ids[0]]
    assert sizes == [0, 1, 2, 0]
    whole = await read_whole_page(shops.database, "shop", query, most_seen=3)
    assert ([one.id for one in whole.payments], whole.next is not None) == ([ids[4], ids[1]], True)
    every = await read_whole_page(shops.database, "shop", ListQuery(limit=9, amount_max=Decimal(5)), most_seen=3)
    assert ([one.id for one in every.payments], every.next) == (found, None)


async def test_an_index_of_its_own_finds_at_once_whatever_was_opened_since(shops: Shops) -> None:
    old = await shops.opened(reference="old", order="o-1")
    await shops.database.execute("UPDATE payments SET status = 'failed', holds = array['unexpected']")
    for nth in range(5):
        await shops.opened(reference=f"r{nth}")
    one = old["payment_id"]
    for given in ({"hold": "any"}, {"hold": "unexpected", "status": "failed"}, {"status": "failed"}, {"q": one},
                  {"reference": "old"}, {"order": "o-1", "amount_min": Decimal(1), "account": "shop-one"}):  # fmt: skip
        page = await read_page(shops.database, "shop", ListQuery(limit=2, **given), None, most_seen=2, most_summed=2)
        assert ([found.id for found in page.payments], page.next) == ([one], None), given
        assert (page.summary.count, page.summary.capped) == (1, False)


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
