"""`python -m tests.bench.retention`: what statements cost as the tables grow, what retention costs, and what it leaves.

In clusters of several sizes (`tests.bench.history`) each statement of a payment's path, of its readers and of retention
runs with other values each time: its milliseconds, and the blocks that it looks into. Statements of retention run in a
transaction that is rolled back. So does what makes the oldest payments old enough, which is not counted.

`--narrow` fills `past_payments`, which nothing ever leaves, with so many rows, and shows its size and a look's cost.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, TypeAlias

import asyncpg
import msgspec

from tests.bench.history import SETTLED, history
from tests.bench.numbered import OLDEST, hashed_sql
from tests.processes import directory
from worker.postgres import archive, idempotency_keys, past_payments
from worker.postgres.events import event_log, old_events, publish_cursor
from worker.postgres.ledger import failures, find_payments, kept_claims, look, postgres_ledger
from worker.postgres.queue import due
from worker.postgres.reads import account_state, installation_state
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

SIZES, NARROW, CALLS, SEED = (SETTLED, 1_000_000, 3_000_000), 100_000_000, 100, 15
OLD, BATCH = 1_000, 5_000
"""Payments that a statement of retention deletes, and rows of each other statement of retention."""

_SECONDS = 3600
_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_DRAW = f"""
    SELECT p.id, p.account, p.merchant, p.reference, p.session_id, p.transaction_id
    FROM unnest($1::bigint[]) AS n JOIN payments p
        ON p.id = 'pay_' || {hashed_sql("payment")} || lpad(n::text, 10, '0')
"""
_AGED = """
    UPDATE payments SET opened_at = opened_at - interval '800 days', checked_at = checked_at - interval '800 days',
        asked_at = asked_at - interval '800 days', completed_at = completed_at - interval '800 days', lease_until = NULL
    WHERE id = ANY($1)
"""
_AGED_EVENTS = "UPDATE events SET time = time - interval '800 days' WHERE payment_id = ANY($1)"
_OLDEST = "SELECT id FROM payments WHERE merchant = $1 ORDER BY opened_at, id LIMIT $2"
_NARROW = f"""
    INSERT INTO past_payments (id, merchant, account, reference)
    SELECT 'pay_' || {hashed_sql("payment")} || lpad(n::text, 10, '0'), 'shop', 'shop-ipay',
        {hashed_sql("reference")} || lpad(n::text, 10, '0')
    FROM generate_series($1::bigint, $2::bigint) AS n
"""


class _Measured:
    """Statements on one connection: milliseconds of each call, and the blocks of a few calls."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.found: dict[str, str] = {}

    async def run(self, name: str, sql: str, calls: Sequence[Sequence[Any]]) -> None:
        """Run the statement once for each of `calls`. The median of its milliseconds and blocks is noted."""
        prepared = await self._connection.prepare(sql)
        milliseconds = []
        for values in calls:
            began = time.perf_counter()
            await prepared.fetch(*values, timeout=_SECONDS)
            milliseconds.append((time.perf_counter() - began) * 1000)
        blocks = [(await self._explain(sql, values))[1] for values in calls[:10]]
        self.found[name] = f"{median(milliseconds):.2f} / {median(blocks):,.0f}"

    async def undone(self, name: str, sql: str, *values: Any, before: Sequence[tuple[str, Any]] = ()) -> None:
        """Run a statement that writes, once, after those of `before`. All of it is undone."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            for statement, value in before:
                await self._connection.execute(statement, value, timeout=_SECONDS)
            milliseconds, blocks = await self._explain(sql, values)
        finally:
            await transaction.rollback()
        self.found[name] = f"{milliseconds:.2f} / {blocks:,.0f}"

    async def _explain(self, sql: str, values: Sequence[Any]) -> tuple[float, int]:
        text = await self._connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *values, timeout=_SECONDS
        )
        (told,) = text if isinstance(text, list) else msgspec.json.decode(text)
        root = told["Plan"]
        return told["Execution Time"], root["Shared Hit Blocks"] + root["Shared Read Blocks"]


async def statements(connection: _Connection, size: int, seed: int) -> Mapping[str, str]:
    """Milliseconds and blocks of each statement, in a cluster of so many payments."""
    draw = random.Random(seed)
    numbers = [OLDEST + draw.randrange(size) for _ in range(CALLS)]
    rows = await connection.fetch(_DRAW, numbers)
    places = [draw.randrange(2 * size) for _ in range(CALLS)]
    merchant, accounts = rows[0]["merchant"], sorted({row["account"] for row in rows})
    measured = _Measured(connection)
    await _path(measured, rows)
    await _readers(measured, rows, merchant, accounts, places)
    await _retention(measured, connection, merchant)
    return measured.found


async def _path(measured: _Measured, rows: Sequence[asyncpg.Record]) -> None:
    """What a callback, a return and a new payment look up."""

    def claims(**named: str) -> list[list[Any]]:
        kinds = ("id", "session_id", "transaction_id", "reference")
        return [
            [["c"], [row["account"]], *([row[kind] if kind in named.values() else None] for kind in kinds)]
            for row in rows
        ]

    for kind in ("session_id", "transaction_id", "reference"):
        calls = claims(by=kind)
        await measured.run(f"look by {kind}", look._LOOK, [[*call, [None], []] for call in calls])
    await measured.run("find by reference", find_payments.FIND, claims(by="reference"))
    await measured.run("peek", postgres_ledger._PEEK, [[[row["id"]]] for row in rows])
    await measured.run(
        "past reference", past_payments._REFERENCE, [[row["account"], row["reference"] + "x"] for row in rows]
    )


async def _readers(
    measured: _Measured, rows: Sequence[asyncpg.Record], merchant: str, accounts: list[str], places: Sequence[int]
) -> None:
    """What the API, the relay, the sweep, webhooks and Prometheus read."""
    page = "SELECT * FROM payments WHERE merchant = $1 ORDER BY opened_at DESC, id DESC LIMIT 20"
    await measured.run("newest 20 of a merchant", page, [[merchant]] * CALLS)
    await measured.run(
        "timeline", "SELECT * FROM entries WHERE payment_id = $1 ORDER BY seq", [[r["id"]] for r in rows]
    )
    await measured.run("events, a page of 100", event_log.READ, [[merchant, place, 100] for place in places])
    await measured.run("events, the floor", old_events._FLOOR, [[merchant]] * CALLS)
    await measured.run("relay, 100 events", publish_cursor._NEXT.format(most=100), [[place] for place in places])
    recent = [datetime.now(UTC)] * len(accounts)  # the watermark of a sweep that runs
    await measured.run("due payments", due._DUE, [[accounts, [100] * len(accounts), recent]] * CALLS)
    for name in ("_HELD", "_LOG", "_STOPPED", "_RETENTION"):
        values = [publish_cursor.BROKER] if name == "_LOG" else []
        await measured.run(f"metrics {name[1:].lower()}", getattr(installation_state, name), [values] * CALLS)
    await measured.run("metrics accounts", account_state._ACCOUNTS, [[accounts, recent, recent]] * CALLS)


async def _retention(measured: _Measured, connection: _Connection, merchant: str) -> None:
    """A batch of each task, or a look that finds nothing to delete."""
    day, year = timedelta(days=1), timedelta(days=400)
    for name, sql in (
        ("requests", archive._FORGET),
        ("personal requests", archive._FORGET_PERSONAL),
        ("idempotency keys", idempotency_keys._FORGET),
        ("kept claims", kept_claims._FORGET),
    ):
        await measured.undone(f"retention: {name}", sql, day, BATCH)
    await measured.undone("retention: failures", failures._HEALED, BATCH)
    ids = [row["id"] for row in await connection.fetch(_OLDEST, merchant, OLD)]
    walked = ("UPDATE relays SET place = $1 WHERE name = 'rabbitmq'", 2**62)
    old = [(_AGED, ids), (_AGED_EVENTS, ids), walked]
    events = "SELECT delete_old_events($1, $2, '{}')"
    await measured.undone(f"retention: events of {OLD:,} payments", events, year, BATCH, before=old)
    begun = ("INSERT INTO relays (name, place) VALUES ('retention', $1) ON CONFLICT (name) DO NOTHING", 2**62)
    payments = "SELECT * FROM delete_old_payments($1, $2, $3, '-infinity', '')"
    await measured.undone(f"retention: {OLD:,} payments", payments, merchant, year, OLD, before=[*old, begun])


async def narrow(connection: _Connection, rows: int, seed: int) -> Mapping[str, str]:
    """The size of `past_payments` with so many rows, and the cost of a look in it."""
    began, chunk = time.monotonic(), 1_000_000
    index = await connection.fetchval("SELECT pg_get_indexdef('past_payments_reference'::regclass)")
    await connection.execute("DROP INDEX past_payments_reference")
    await connection.execute("ALTER TABLE past_payments DROP CONSTRAINT past_payments_pkey")
    for start in range(0, rows, chunk):
        await connection.execute(_NARROW, OLDEST + start, OLDEST + min(start + chunk, rows) - 1, timeout=_SECONDS)
    await connection.execute("ALTER TABLE past_payments ADD PRIMARY KEY (id)", timeout=_SECONDS)
    await connection.execute(index, timeout=_SECONDS)
    await connection.execute("VACUUM (ANALYZE) past_payments", timeout=_SECONDS)
    made = time.monotonic() - began
    draw = random.Random(seed)
    numbers = [OLDEST + draw.randrange(rows) for _ in range(CALLS)]
    there = await connection.fetch(
        f"SELECT {hashed_sql('reference')} || lpad(n::text, 10, '0') AS reference FROM unnest($1::bigint[]) AS n",
        numbers,
    )
    measured = _Measured(connection)
    references = [row["reference"] for row in there]
    await measured.run(
        "a reference that is there", past_payments._REFERENCE, [["shop-ipay", one] for one in references]
    )
    await measured.run("a new reference", past_payments._REFERENCE, [["shop-ipay", one[::-1]] for one in references])
    sizes = await connection.fetchrow(
        "SELECT pg_table_size('past_payments') AS heap, pg_indexes_size('past_payments') AS indexes"
    )
    assert sizes is not None, "the table is there"
    bytes_of_one = (sizes["heap"] + sizes["indexes"]) / rows
    return {
        "rows": f"{rows:,} in {made:.0f} s",
        "bytes of a row, with its indexes": f"{bytes_of_one:.0f}",
        **measured.found,
    }


async def _sizes(connection: _Connection, payments: int) -> str:
    """Bytes of a payment by table, with indexes, the largest first."""
    rows = await connection.fetch(
        """SELECT relname AS name, pg_total_relation_size(oid) AS bytes FROM pg_class
           WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 2 DESC LIMIT 10"""
    )
    return ", ".join(f"{row['name']} {row['bytes'] / payments:.0f}" for row in rows if row["bytes"] > payments)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[_Connection]:
    connection = await asyncpg.connect(url, command_timeout=_SECONDS)
    try:
        await connection.execute("SET jit = off")  # as payproof's own connections have it
        yield connection
    finally:
        await connection.close()


async def main(sizes: Sequence[int], rows: int, seed: int) -> None:
    found = {}
    with directory() as place:
        place.chmod(0o755)  # the server's own user must get through
        for size in sizes:
            async with history(size, place) as database, _connected(database.url) as connection:
                found[f"{size:,}"] = await statements(connection, size, seed)
                print(f"{size:,} payments, bytes of each: {await _sizes(connection, size)}", flush=True)
        if rows:
            with embedded_here(place / "narrow") as url:
                await apply_migrations(url)
                async with _connected(url) as connection:
                    for what, figure in (await narrow(connection, rows, seed)).items():
                        print(f"past_payments: {what}: {figure}", flush=True)
    print(f"median ms / blocks of {CALLS} calls, seed {seed}; statements of retention: one call")
    print(f"{'':38}" + "".join(f"{name:>20}" for name in found))
    for what in next(iter(found.values()), {}):
        print(f"{what:38}" + "".join(f"{figures[what]:>20}" for figures in found.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retention")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=SIZES, help="numbers of completed payments in the tables"
    )
    parser.add_argument("--narrow", type=int, default=NARROW, help="rows of past_payments; 0: leave it out")
    parser.add_argument("--seed", type=int, default=SEED)
    words = parser.parse_args()
    asyncio.run(main(words.sizes, words.narrow, words.seed))
