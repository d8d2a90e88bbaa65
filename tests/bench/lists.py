"""`python -m tests.bench.lists`: what a buyer who returns waits for while a shop looks at its lists.

A Postgres of its own holds `--payments` payments of one shop. `--lists` readers ask for its list without a pause, and a
payment is looked up by its id all the while. Side by side: as 0.3 read (one pool for all, and sums of all that match),
and as it is read now.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec

from consumers.ports.unavailable import DatabaseUnavailable
from schemas.requests import ListQuery
from schemas.shown import view
from tests.bench.migrations import fill
from tests.processes import directory
from worker.postgres.database import Database, connect
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.reads.read_turns import ReadTurns
from worker.postgres.reads.reading import read_page, read_payment
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

PAYMENTS, LISTS, SECONDS, PAGE = 600_000, 20, 10.0, 50
LOOK_PAUSE_SECONDS = 0.005

_PAGE = f"SELECT {PAYMENT} FROM payments p WHERE merchant = $1 ORDER BY opened_at DESC, id DESC LIMIT {PAGE + 1}"
_SUMS = """
    SELECT count(*), count(*) FILTER (WHERE status = 'completed' AND hold IS NULL),
        count(*) FILTER (WHERE status = 'failed'),
        coalesce(sum(amount) FILTER (WHERE status = 'completed' AND hold IS NULL), 0)
    FROM payments WHERE merchant = $1
"""
_INDEX = {
    "before": "CREATE INDEX payments_newest ON payments (merchant, opened_at DESC, id DESC)",
    "now": """CREATE INDEX payments_listed ON payments (merchant, opened_at DESC, id DESC)
        INCLUDE (status, hold, amount, account, provider)""",
}

Read = Callable[[], Awaitable[None]]


async def as_before(database: Database) -> None:
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(_PAGE, "shop")
        await connection.fetchrow(_SUMS, "shop")
    msgspec.json.encode([view(payment_of(row)) for row in rows])


async def as_now(turns: ReadTurns) -> None:
    found = await read_page(turns.of("shop", "list"), "shop", ListQuery(limit=PAGE), None)
    msgspec.json.encode([view(payment) for payment in found.payments])


async def measure(name: str, database: Database, read: Read | None, lists: int, seconds: float) -> None:
    """Look up payments for `seconds` beside this many readers of lists, and print how long a look-up takes."""
    took, done, refused, ended = list[float](), 0, 0, time.monotonic() + seconds

    async def reader(read: Read) -> None:
        nonlocal done, refused
        while time.monotonic() < ended:
            try:
                await read()
                done += 1
            except DatabaseUnavailable:
                refused += 1

    async def look_ups() -> None:
        while time.monotonic() < ended:
            began = time.monotonic()
            await read_payment(database, "shop", f"pay_{1:026d}")
            took.append(time.monotonic() - began)
            await asyncio.sleep(LOOK_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(look_ups())
        for _ in range(lists if read is not None else 0):
            assert read is not None
            group.create_task(reader(read))
    took.sort()
    middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
    print(
        f"{name:24} a look-up: median {middle * 1000:7.1f}, p99 {late * 1000:7.1f}, at most {took[-1] * 1000:7.1f} ms;"
        f" {done / seconds:6.1f} lists a second, {refused} refused",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lists")
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--lists", type=int, default=LISTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    words = parser.parse_args()
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            await apply_migrations(url)
            await fill(url, words.payments)
            async with AsyncExitStack() as stack:
                database = await stack.enter_async_context(connect(url))
                turns = ReadTurns(await stack.enter_async_context(database.reading()))
                print(f"{words.payments:,} payments of a shop, {words.lists} readers of its list")
                await measure("no lists", database, None, 0, words.seconds)
                reads: dict[str, Read] = {"before": lambda: as_before(database), "now": lambda: as_now(turns)}
                for name in ("before", "now", "before", "now"):
                    await _only_index(url, name)
                    await measure(name, database, reads[name], words.lists, words.seconds)


async def _only_index(url: str, name: str) -> None:
    """Leave the table with the index of this way of reading alone."""
    async with connect(url, size=1) as database:
        await database.execute("SET statement_timeout = 0")
        await database.execute("DROP INDEX IF EXISTS payments_newest, payments_listed")
        async with database.connection() as connection:
            await connection.execute(_INDEX[name], timeout=600)
            await connection.execute("VACUUM ANALYZE payments", timeout=600)


if __name__ == "__main__":
    asyncio.run(main())
