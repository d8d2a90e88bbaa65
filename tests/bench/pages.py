"""`python -m tests.bench.pages`: how long a page of a shop's list takes, with its sums, among a million payments.

A Postgres of its own holds `--payments` payments of one shop, opened over a year. Most are completed, a tenth failed,
one in a thousand is held, and an account has few. Each list is read `--times` times, and each look-up by an id too.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import msgspec

from schemas.payments import view
from schemas.requests import ListQuery
from tests.processes import directory
from worker.postgres.database import Database, connect
from worker.postgres.reads.find import FindScope, find
from worker.postgres.reads.reading import read_page
from worker.postgres.reads.work_list import read_work
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations
from worker.runtime.contacts import ContactKeys

PAYMENTS, TIMES, CHUNK, PAGE = 1_000_000, 20, 50_000, 50
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE, KEYS = FindScope(("shop",), frozenset({"shop-ipay", "shop-rare"})), ContactKeys([b"k" * 32])

_ID = "'pay_' || lpad(n::text, 26, '0')"
_ACCOUNT = "CASE WHEN n % 100000 = 0 THEN 'shop-rare' ELSE 'shop-ipay' END"
_AT = "$3::timestamptz + n * interval '31 s'"
_FILL = (
    f"""INSERT INTO sessions SELECT {_ACCOUNT}, 'S-' || n, {_ID}
    FROM generate_series($1::int, $2::int) AS n WHERE $3::timestamptz IS NOT NULL""",
    f"""INSERT INTO transactions SELECT 'shop-ipay', 'TX' || n, {_ID}
    FROM generate_series($1::int, $2::int) AS n WHERE n % 10 > 1 AND $3::timestamptz IS NOT NULL""",
    f"""INSERT INTO payments (id, merchant, account, provider, reference, order_ref, amount, currency, description,
        metadata, status, holds, version, late, amount_verified, refunded_amount, aliases, transaction_id, session_id,
        opened_at, expires_at, completed_at, opened, completed_told, closing_told, hint_asks, step, execute_tries,
        execute_unanswered, candidates, candidate_dropped)
    SELECT {_ID}, 'shop', {_ACCOUNT}, 'ipay',
        'Order-' || n || '-A1', 'Order-' || n, 100 + n % 5000, 'BDT', 'Two saris', '{{"cart": "c-1"}}',
        CASE WHEN n % 10 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'expired' ELSE 'completed' END,
        CASE WHEN n % 1000 = 7 THEN array['duplicate_for_order'] ELSE '{{}}' END, 2, false, true, 0, '{{}}',
        CASE WHEN n % 10 > 1 THEN 'TX' || n END, 'S-' || n, {_AT}, {_AT} + interval '30 min',
        CASE WHEN n % 10 > 1 THEN {_AT} END,
        true, true, false, '{{}}', 0, 0, false, '[]', false
    FROM generate_series($1::int, $2::int) AS n""",
    f"""INSERT INTO contacts SELECT {_ID}, sha256((n % 200000)::text::bytea)
    FROM generate_series($1::int, $2::int) AS n WHERE $3::timestamptz IS NOT NULL""",
)

Read = Callable[[], Awaitable[object]]


async def fill(url: str, payments: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for first in range(1, payments + 1, CHUNK):
            for sql in _FILL:
                values = first, min(first + CHUNK - 1, payments), BEGINNING
                await connection.execute(sql, *values, timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)
    finally:
        await connection.close()


async def measure(name: str, read: Read, times: int) -> None:
    took = []
    for _ in range(times):
        began = time.monotonic()
        await read()
        took.append((time.monotonic() - began) * 1000)
    first, rest = took[0], sorted(took)
    middle, late = rest[len(rest) // 2], rest[-1]
    print(f"{name:34} first {first:7.1f}, median {middle:7.1f}, at most {late:7.1f} ms", flush=True)


def listing(database: Database, query: ListQuery) -> Read:
    async def read() -> None:
        page = await read_page(database, "shop", query, None)
        msgspec.json.encode([view(payment) for payment in page.payments])

    return read


def finding(database: Database, typed: str) -> Read:
    async def read() -> None:
        await find(database, typed, SCOPE, KEYS)

    return read


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages")
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--times", type=int, default=TIMES)
    words = parser.parse_args()
    some = words.payments // 2
    half_a_day = BEGINNING + timedelta(seconds=31 * some)
    lists = {
        "all": ListQuery(limit=PAGE),
        "completed": ListQuery(limit=PAGE, status="completed"),
        "failed": ListQuery(limit=PAGE, status="failed"),
        "pending (none)": ListQuery(limit=PAGE, status="pending"),
        "held (one in 1,000)": ListQuery(limit=PAGE, hold="any"),
        "another reason (none)": ListQuery(limit=PAGE, hold="unexpected"),
        "a rare account": ListQuery(limit=PAGE, account="shop-rare"),
        "a day": ListQuery(limit=PAGE, since=half_a_day, until=half_a_day + timedelta(days=1)),
        "half a year": ListQuery(limit=PAGE, since=half_a_day),
        "large amounts (one in 5,000)": ListQuery(limit=PAGE, amount_min=Decimal(5099)),
        "a reference": ListQuery(limit=PAGE, reference=f"Order-{some}-A1"),
        "q, another case": ListQuery(limit=PAGE, q=f"ORDER-{some}-a1"),
        "transaction_id": ListQuery(limit=PAGE, transaction_id=f"TX{some - 1}"),
    }
    found = (f"pay_{some:026d}", f"order-{some}", f"s-{some}", f"tx{some - 1}", "01712345678", "nothing of this name")
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            await apply_migrations(url)
            await fill(url, words.payments)
            async with connect(url) as database, database.reading() as reading:
                print(f"{words.payments:,} payments of a shop; a page of {PAGE} with its sums:", flush=True)
                for name, query in lists.items():
                    await measure(name, listing(reading, query), words.times)

                async def work() -> None:
                    await read_work(reading, "shop", ListQuery(limit=PAGE, hold="any"))

                await measure("the work list", work, words.times)
                print("find, by any id in any case:")
                for typed in found:
                    await measure(typed, finding(reading, typed), words.times)


if __name__ == "__main__":
    asyncio.run(main())
