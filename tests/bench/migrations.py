"""`python -m tests.bench.migrations`: how long writers wait while each migration runs on full tables.

A Postgres of its own gets the schema of `--since`, and `--payments` payments with an entry and an event each. A writer
for each of these tables writes without a pause while the later migrations run, one after the other. The longest time
between a writer's commits is told for each, beside the longest while nothing was migrated. With `--in-transaction`
indexes are built as before 0.4, while the writers wait.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import Struct, field

from tests.contract import ROOT
from tests.processes import directory
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

PAYMENTS, SINCE = 1_000_000, "0024"
CHUNK = 50_000
QUIET_SECONDS = 3.0
WRITE_SECONDS = 60.0

_ID = "'pay_' || lpad(n::text, 26, '0')"
_FILL = (
    f"""INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata,
        status, holds, version, late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened,
        completed_told, closing_told, hint_asks, step, execute_tries, execute_unanswered, candidates, candidate_dropped)
    SELECT {_ID}, 'shop', 'shop-ipay', 'ipay', 'order-' || n, 10, 'BDT', '', '{{}}', 'pending', '{{}}', 1, false, false,
        0, '{{}}', now(), now(), true, false, false, '{{}}', 0, 0, false, '[]', false
    FROM generate_series($1::int, $2::int) AS n""",
    f"""INSERT INTO events (id, payment_id, version, type, merchant, account, time, body, place)
    SELECT {_ID} || '.1', {_ID}, 1, 'payment.opened', 'shop', 'shop-ipay', now(),
        convert_to(repeat(md5(n::text), 20), 'UTF8'), n
    FROM generate_series($1::int, $2::int) AS n""",
    f"""INSERT INTO entries (payment_id, at, kind, data)
    SELECT {_ID}, now(), 'event', jsonb_build_object('type', 'payment.opened', 'nth', n)
    FROM generate_series($1::int, $2::int) AS n""",
)
WRITES = {
    "payments": "UPDATE payments SET step = step + 1 WHERE id = 'pay_' || lpad($1::int::text, 26, '0')",
    "events": """INSERT INTO events (id, payment_id, version, type, merchant, account, time, body)
        SELECT p || '.' || $1::int, p, $1::int, 'payment.pending', 'shop', 'shop-ipay', now(), '{}'
        FROM (SELECT 'pay_' || lpad('1', 26, '0') AS p) AS one""",
    "entries": """INSERT INTO entries (payment_id, at, kind, data)
        VALUES ('pay_' || lpad($1::int::text, 26, '0'), now(), 'claim', '{}')""",
    "queue": "INSERT INTO queue (claim_id, provider, body) VALUES ('c' || $1::int, 'ipay', '')",
}


class Pauses(Struct):
    """The longest time between two commits of each table's writer since `begin`, in seconds."""

    longest: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    written: int = 0

    def begin(self) -> None:
        now = time.monotonic()
        self.longest, self.last = dict.fromkeys(WRITES, 0.0), dict.fromkeys(WRITES, now)

    def commit(self, table: str) -> None:
        now = time.monotonic()
        self.longest[table] = max(self.longest[table], now - self.last[table])
        self.last[table] = now
        self.written += 1

    def end(self) -> dict[str, float]:
        now = time.monotonic()
        return {table: max(longest, now - self.last[table]) for table, longest in self.longest.items()}


async def fill(url: str, payments: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for first in range(1, payments + 1, CHUNK):
            for sql in _FILL:
                await connection.execute(sql, first, min(first + CHUNK - 1, payments))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


@asynccontextmanager
async def writers(url: str, payments: int) -> AsyncIterator[Pauses]:
    """A writer for each table until the block ends. A write that fails, or lasts for WRITE_SECONDS, is raised."""
    pauses, ended = Pauses(), asyncio.Event()
    pauses.begin()

    async def write(table: str) -> None:
        connection = await asyncpg.connect(url, command_timeout=WRITE_SECONDS, statement_cache_size=0)
        try:
            for nth in itertools.count(2):
                if ended.is_set():
                    return
                await connection.execute(WRITES[table], nth if table in {"events", "queue"} else nth % payments + 1)
                pauses.commit(table)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        for table in WRITES:
            group.create_task(write(table))
        try:
            yield pauses
        finally:
            ended.set()


async def paused(
    url: str,
    since: str,
    payments: int,
    tell: Callable[[str, dict[str, float]], None],
    *,
    concurrent: bool = True,
) -> int:
    """Fill the schema of migration `since`, and tell the pauses for each later one. Returns the number of writes."""
    files = sorted((ROOT / "schemas/sql").glob("*.sql"))
    with directory() as place:
        for file in files:
            if _version(file) <= since:
                shutil.copy(file, place)
        await apply_migrations(url, directory=place)
        await fill(url, payments)
        async with writers(url, payments) as pauses:
            await asyncio.sleep(QUIET_SECONDS)
            tell("nothing", pauses.end())
            for file in files:
                if _version(file) > since:
                    text = file.read_text("utf-8")
                    if not concurrent:
                        text = text.replace(" transaction:false", "").replace(" concurrently", "")
                    (place / file.name).write_text(text, "utf-8")
                    pauses.begin()
                    await apply_migrations(url, directory=place)
                    tell(file.stem, pauses.end())
        return pauses.written


def _version(file: Path) -> str:
    return file.name.partition("_")[0]


def _show(migration: str, pauses: dict[str, float]) -> None:
    each = "  ".join(f"{table} {seconds * 1000:7.0f}" for table, seconds in pauses.items())
    print(f"{migration:28} {max(pauses.values()) * 1000:7.0f} ms at most: {each}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.migrations")
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument(
        "--since", default=SINCE, help="the last migration that is applied before the tables are filled"
    )
    parser.add_argument("--in-transaction", action="store_true", help="build and drop indexes while the writers wait")
    words = parser.parse_args()
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            print(f"{words.payments:,} payments on the schema of {words.since}; the longest pause of a writer:")
            concurrent = not words.in_transaction
            written = await paused(url, words.since, words.payments, _show, concurrent=concurrent)
            print(f"{written:,} writes, none failed")


if __name__ == "__main__":
    asyncio.run(main())
