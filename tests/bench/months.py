"""`python -m tests.bench.months`: whether the log gains by a partition for each month: read, written and deleted.

An embedded server is filled with events of the usual size, two of each payment: in one table with the columns and the
indexes of `events`, and in tables of so many months. The ids, statements and random choices are the same each time. A
unique index of a partitioned table must include the month. So there it guarantees only once in a month what `events`
guarantees for ever: an id, a version, a place, a completion.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import asyncpg
import msgspec

from tests.bench.spread import Spread, spread
from tests.processes import directory
from worker.postgres.events.event_log import READ
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

EVENTS, MONTHS, SEED = 1_000_000, (24, 36), 15
READS, PAGES, PAGE = 2_000, 50, 1_000
BATCHES, BATCH = 50, 100
FORGOTTEN = 1_000
"""Payments whose events go in one statement, since retention lets whole payments go."""

_CHUNK, _SECONDS = 50_000, 300
_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_PLAIN = "CREATE TABLE {table} (LIKE events INCLUDING INDEXES)"
_PARTITIONED = """
    CREATE TABLE {table} (LIKE events) PARTITION BY RANGE (time);
    CREATE UNIQUE INDEX ON {table} (id, time);
    CREATE UNIQUE INDEX ON {table} (payment_id, version, time);
    CREATE UNIQUE INDEX ON {table} (payment_id, time) WHERE type = 'payment.completed';
    CREATE UNIQUE INDEX ON {table} (place, time);
    CREATE INDEX ON {table} (merchant, place) WHERE place IS NOT NULL;
    CREATE INDEX ON {table} (time) WHERE place IS NULL;
"""
_MONTH = "CREATE TABLE {table}_{n} PARTITION OF {table} FOR VALUES FROM ('{since}') TO ('{until}')"
_ID = "('pay_' || left(md5($1::text || ':' || n), 26))"
# Payments $4 to $5, nine in ten of one shop, spread over $2 months by their number of $3; later payments are in the
# last month.
_FILL = f"""
    INSERT INTO {{table}} (id, payment_id, version, type, merchant, account, time, body, place)
    SELECT {_ID} || '.' || v, {_ID}, v, CASE v WHEN 1 THEN 'payment.opened' ELSE 'payment.completed' END,
        CASE n % 10 WHEN 0 THEN 'other' ELSE 'shop' END, 'shop-ipay',
        timestamptz '2024-01-01 UTC' + least(n, $3) * ($2::int * interval '30.44 days' / $3::bigint),
        convert_to('{{{{"id":"' || n || '","filling":"' || repeat(md5(n::text), 24) || '"}}}}', 'UTF8'), 2 * n + v
    FROM generate_series($4::bigint, $5::bigint) AS n, generate_series(1, 2) AS v ORDER BY 2 * n + v
"""
_OF_PAYMENT = "SELECT body FROM {table} WHERE payment_id = $1 ORDER BY version"
_OF_FIRST_MONTH = "SELECT payment_id FROM {table} WHERE time < timestamptz '2024-02-01 UTC' AND version = 1"
_FORGET = "DELETE FROM {table} WHERE payment_id = ANY($1::text[])"


class _Table:
    """One table of so many payments over so many months: as `events` is, or `partitioned`."""

    def __init__(self, connection: _Connection, seed: int, payments: int, months: int, *, partitioned: bool) -> None:
        self.name = f"months_{months}" if partitioned else "one_table"
        self._connection, self._payments, self._partitions = connection, payments, months if partitioned else 0
        self._spread, self._draw = (str(seed), months, payments), random.Random(seed)

    async def figures(self) -> Mapping[str, str]:
        """The figures of each operation. The table is made for this call, and dropped afterwards."""
        await self._make()
        found = await self._read() | await self._write() | await self._forget()
        await self._connection.execute(f"DROP TABLE {self.name}")
        return found

    async def _make(self) -> None:
        await self._connection.execute((_PARTITIONED if self._partitions else _PLAIN).format(table=self.name))
        for n in range(self._partitions):
            since, until = (f"{2024 + m // 12}-{m % 12 + 1:02d}-01 UTC" for m in (n, n + 1))
            await self._connection.execute(_MONTH.format(table=self.name, n=n, since=since, until=until))
        for n in range(0, self._payments, _CHUNK):
            await self._timed(_FILL, [(*self._spread, n, min(n + _CHUNK, self._payments) - 1)])
        await self._connection.execute(f"VACUUM ANALYZE {self.name}", timeout=_SECONDS)

    async def _read(self) -> dict[str, str]:
        drawn = [self._draw.randrange(self._payments) for _ in range(READS)]
        ids = await self._connection.fetch(f"SELECT {_ID} AS id FROM unnest($2::bigint[]) AS n", self._spread[0], drawn)
        one = await self._timed(_OF_PAYMENT, [tuple(row) for row in ids])
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + _OF_PAYMENT.format(table=self.name)
        root = msgspec.json.decode(await self._connection.fetchval(explain, ids[0]["id"]))[0]["Plan"]
        afters = [("shop", self._draw.randrange(2 * self._payments), PAGE) for _ in range(PAGES)]
        page = await self._timed(READ.replace("FROM events", "FROM {table}"), afters)
        return {
            "a payment's events, ms": _shown(one),
            "  blocks looked into": f"{root['Shared Hit Blocks'] + root['Shared Read Blocks']}",
            f"a page of {PAGE:,} of a shop's log, ms": _shown(page),
        }

    async def _write(self) -> dict[str, str]:
        firsts = range(self._payments, self._payments + BATCHES * BATCH // 2, BATCH // 2)
        before = await self._checkpoint()
        batch = await self._timed(_FILL, [(*self._spread, first, first + BATCH // 2 - 1) for first in firsts])
        wal = (await self._wal() - before) / (BATCHES * BATCH)
        return {f"a batch of {BATCH} written, ms": _shown(batch), "  WAL of an event, bytes": f"{wal:,.0f}"}

    async def _forget(self) -> dict[str, str]:
        gone = [row["payment_id"] for row in await self._connection.fetch(_OF_FIRST_MONTH.format(table=self.name))]
        self._draw.shuffle(gone)
        before, began = await self._checkpoint(), time.perf_counter()
        if self._partitions:
            await self._connection.execute(f"DROP TABLE {self.name}_0")
            vacuum = time.perf_counter()
        else:
            await self._timed(_FORGET, [(gone[n : n + FORGOTTEN],) for n in range(0, len(gone), FORGOTTEN)])
            vacuum = time.perf_counter()
            await self._connection.execute(f"VACUUM {self.name}", timeout=_SECONDS)
        return {
            "payments of the first month": f"{len(gone):,}",
            "  forgotten in s": f"{vacuum - began:.2f}",
            "  VACUUM after it, s": f"{time.perf_counter() - vacuum:.2f}",
            "  WAL of both, MB": f"{(await self._wal() - before) / 1e6:.1f}",
        }

    async def _timed(self, query: str, calls: Sequence[tuple[object, ...]]) -> Spread:
        """Milliseconds of each call, prepared once, as payproof's own statements are."""
        milliseconds = []
        for values in calls:
            began = time.perf_counter()
            await self._connection.fetch(query.format(table=self.name), *values, timeout=_SECONDS)
            milliseconds.append((time.perf_counter() - began) * 1000)
        return spread(milliseconds)

    async def _checkpoint(self) -> int:
        await self._connection.execute("CHECKPOINT", timeout=_SECONDS)
        return await self._wal()

    async def _wal(self) -> int:
        return int(await self._connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def _shown(found: Spread) -> str:
    return f"{found.p50:.2f} / {found.p99:.2f}"


async def main(events: int, seed: int) -> None:
    began = time.monotonic()
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            await apply_migrations(url)
            connection = await asyncpg.connect(url)
            try:
                plain = _Table(connection, seed, events // 2, MONTHS[0], partitioned=False)
                others = [_Table(connection, seed, events // 2, months, partitioned=True) for months in MONTHS]
                found = {table.name: await table.figures() for table in (plain, *others)}
            finally:
                await connection.close()
    print(f"{events:,} events, seed {seed}, in {time.monotonic() - began:.0f} s; times are p50 / p99")
    print(f"{'':38}" + "".join(f"{name:>18}" for name in found))
    for what in next(iter(found.values())):
        print(f"{what:38}" + "".join(f"{figures[what]:>18}" for figures in found.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.months")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--seed", type=int, default=SEED)
    words = parser.parse_args()
    asyncio.run(main(words.events, words.seed))
