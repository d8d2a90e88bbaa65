"""A statement of a million rows against a million payments: how long it takes, in how much memory, and what is found.

    python -m tests.integration.reconciling --rows 1000000

Fills an embedded Postgres, writes a CSV with a known number of errors of every kind, and reconciles it in a process of
its own, whose peak memory the system reports. Ends with 1 where a count is not the known number.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

from consumers.reconciliation.verdicts import VERDICTS, Terms
from schemas.callbacks import Claim
from schemas.statements import LineOutcome, StatementMap
from tests.integration.statements import NOON, Books
from tests.processes import directory
from worker.postgres.database import Database, connect
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations
from worker.postgres.statements.judge import WORK_MEGABYTES, Staging
from worker.postgres.statements.unfollowed import to_follow
from worker.postgres.statements.verdict_sql import KEEP_LINES
from worker.reconciliation.run import StatementScope, reconcile_lines
from worker.reconciliation.statements.lines import read_lines
from worker.reconciliation.statements.open_file import open_statement

SECONDS, MEGABYTES = 90, 300
"""The limits for a million rows on two cores."""

EVERY, FEW = 1_000, 2_000
UNPAID, UNKNOWN, ABSENT, AMOUNT, FAILED, FEE, TWICE, UNREADABLE, RETURNED = range(1, 10)
"""Of each thousand, the payments with an error; UNKNOWN and UNREADABLE are no payments of ours."""

EXPECTED = {
    LineOutcome.MISSING_HERE: (UNPAID, UNKNOWN),
    LineOutcome.MISSING_THERE: (ABSENT,),
    LineOutcome.AMOUNT_DIFFERS: (AMOUNT,),
    LineOutcome.STATUS_DIFFERS: (FAILED, RETURNED),
    LineOutcome.FEE_DIFFERS: (FEE,),
    LineOutcome.DUPLICATE: (TWICE,),
    LineOutcome.UNREADABLE: (UNREADABLE,),
}
COLUMNS = StatementMap(
    amount="Amount",
    transaction_id="Trx ID",
    reference="Order",
    at="Date",
    fee="Fee",
    status="Status",
    kind="Type",
    refunds=("Refund",),
    completed=("Completed",),
    failed=("Failed",),
    refunded=("Returned",),
    fee_percent=Decimal("1.5"),
    grace=0,
)

_FILL = f"""
    INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata, status,
        holds, version, late, amount_verified, refunded_amount, fee, session_id, aliases, transaction_id, opened_at,
        expires_at, completed_at, checked_at, opened, completed_told, closing_told, hint_asks, step, execute_tries,
        execute_unanswered, candidates, candidate_dropped)
    SELECT 'pay_' || lpad(n::text, 26, '0'), 'shop', 'shop-a', 'fake', 'order-' || n, 100 + n % 900, 'BDT', '', '{{}}',
        CASE WHEN n % {EVERY} = {UNPAID} THEN 'pending' ELSE 'completed' END, '{{}}', 2, false, true, 0,
        CASE WHEN n % {EVERY} <> {UNPAID} THEN round((100 + n % 900) * 0.015, 2) END, 'session-' || n, '{{}}',
        CASE WHEN n % {EVERY} <> {UNPAID} THEN 'TX' || lpad(n::text, 10, '0') END,
        $2::timestamptz + n * interval '2 s', $2::timestamptz + n * interval '2 s' + interval '30 min',
        CASE WHEN n % {EVERY} <> {UNPAID} THEN $2::timestamptz + n * interval '2 s' + interval '1 min' END,
        $2::timestamptz + n * interval '2 s' + interval '1 min',
        true, n % {EVERY} <> {UNPAID}, false, '{{}}', 0, 0, false, '[]', false
    FROM generate_series(1, $1::int) n WHERE n % {EVERY} NOT IN ({UNKNOWN}, {UNREADABLE})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--explain", action="store_true", help="show the server's join plan")
    parser.add_argument("--child", nargs=2, metavar=("DSN", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        asyncio.run(_reconcile(*given.child, explain=given.explain))
        return
    with directory() as home:
        home.chmod(0o755)
        with embedded_here(home / "data") as dsn:
            sys.exit(_bench(dsn, home / "statement.csv", given.rows, explain=given.explain))


def _bench(dsn: str, file: Path, rows: int, *, explain: bool) -> int:
    began = time.monotonic()
    asyncio.run(_fill(dsn, rows))
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(_cells(rows))
    print(f"{rows:,} payments and {file.stat().st_size / 1e6:.0f} MB of CSV made in {time.monotonic() - began:.0f} s")
    print(f"load before: {' '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} cores")
    told = subprocess.run(
        [sys.executable, "-m", "tests.integration.reconciling", "--child", dsn, str(file), *(["--explain"] * explain)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=3_600,
    ).stdout
    if explain:
        print(told)
        return 0
    found = json.loads(told)
    print(
        f"{found['seconds']:.1f} s: read and staged {found['staged']:.1f}, judged {found['judged']:.1f}, followed up "
        f"{found['followed']:.1f}; {rows / found['seconds']:,.0f} rows/s; peak memory {found['megabytes']:.0f} MB, "
        f"{found['worked']:.0f} s of a processor beside the server's"
    )
    print(f"a statement of {FEW:,} rows against the same payments: {found['few']:.1f} s")
    print(f"load after: {' '.join(f'{one:.1f}' for one in os.getloadavg())}")
    wrong = {
        outcome: (found["counts"].get(outcome, 0), expected)
        for outcome, expected in _expected(rows).items()
        if found["counts"].get(outcome, 0) != expected
    }
    for outcome, (count, expected) in wrong.items():
        print(f"wrong: {count} {outcome}, {expected} expected")
    print("all counts are as sprinkled" if not wrong else "", found["counts"])
    slow = rows == 1_000_000 and (found["seconds"] > SECONDS or found["megabytes"] > MEGABYTES)
    print(f"over {SECONDS} s or {MEGABYTES} MB" if slow else "")
    return 1 if wrong else 0


def _expected(rows: int) -> dict[str, int]:
    kinds = Counter(n % EVERY for n in range(1, rows + 1))
    expected = {outcome.value: sum(kinds[kind] for kind in of) for outcome, of in EXPECTED.items()}
    odd = sum(kinds[kind] for kind in range(1, 10)) - kinds[TWICE] - kinds[RETURNED]
    return expected | {"matched": rows - odd}


def _cells(rows: int) -> Iterator[tuple[object, ...]]:
    yield ("Date", "Trx ID", "Order", "Type", "Amount", "Fee", "Status")
    for n in range(1, rows + 1):
        kind, amount = n % EVERY, Decimal(100 + n % 900)
        at = (NOON + timedelta(seconds=2 * n + 60)).isoformat()
        fee = (amount * Decimal("0.015")).quantize(Decimal("0.01"), "ROUND_HALF_UP") + (kind == FEE)
        shown = "1,5OO" if kind == UNREADABLE else f"{amount + (kind == AMOUNT):.2f}"
        row = (at, f"TX{n:010d}", f"order-{n}", "Payment", shown, fee, "Failed" if kind == FAILED else "Completed")
        if kind != ABSENT:
            yield row
        if kind == TWICE:
            yield row
        if kind == RETURNED:
            yield (at, f"TX{n:010d}", f"order-{n}", "Refund", "50.00", "", "Returned")


async def _fill(dsn: str, rows: int) -> None:
    await apply_migrations(dsn)
    async with connect(dsn) as database, database.connection() as connection:
        async with connection.transaction():
            await connection.execute(_FILL, rows, NOON, timeout=3_600)
            for table in ("transaction", "session"):
                await connection.execute(
                    f"""INSERT INTO {table}s SELECT account, {table}_id, id FROM payments
                        WHERE {table}_id IS NOT NULL ORDER BY 2""",
                    timeout=3_600,
                )
        await connection.execute("VACUUM ANALYZE", timeout=3_600)


class Noting(PostgresBus):
    """A bus that notes when the first claim came."""

    at: float | None = None

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        self.at = self.at or time.monotonic()
        await super().publish(claims, low_priority=low_priority)


async def _reconcile(dsn: str, file: str, *, explain: bool) -> None:
    async with connect(dsn) as database:
        if explain:
            await _explain(database, file)
            return
        books, staged = Books(database), 0.0
        books.bus = bus = Noting(database)

        def progress(_: int) -> None:
            nonlocal staged
            staged = time.monotonic()

        about = StatementScope(source=Path(file).name, sha256="a" * 64)
        began = time.monotonic()
        lines = read_lines(open_statement(Path(file)), COLUMNS)
        run = await reconcile_lines(
            *(database, books.rules, bus, books.account, lines, about, None), terms=Terms.of(COLUMNS), progress=progress
        )
        ended, worked = time.monotonic(), time.process_time()
        assert await to_follow(database, run.id, books.account.id, 0, 1) == []
        few = islice(read_lines(open_statement(Path(file)), COLUMNS), FEW)
        again = StatementScope(source="few.csv")
        await reconcile_lines(
            database, books.rules, bus, books.account, few, again, None, terms=Terms.of(COLUMNS), dry_run=True
        )
        few_ended = time.monotonic()
    reserved = bus.at or ended
    told = {
        "seconds": ended - began,
        "staged": staged - began,
        "judged": reserved - staged,
        "followed": ended - reserved,
        "few": few_ended - ended,
        "worked": worked,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "counts": {outcome.value: count for outcome, count in run.counts.items()},
    }
    print(json.dumps(told))


async def _explain(database: Database, file: str) -> None:
    """Print how the server joins the rows, and how long each step takes."""
    async with database.connection() as connection:
        staging = Staging(connection)
        assert await staging.open("shop-a")
        lines = iter(read_lines(open_statement(Path(file)), COLUMNS))
        while batch := list(islice(lines, 5_000)):
            await staging.add(batch)
        await connection.execute("ANALYZE staged")
        verdicts = [[one.value for one in VERDICTS], [m.outcome.value for m in VERDICTS.values()]]
        async with connection.transaction():
            await connection.execute(f"SET LOCAL work_mem = '{WORK_MEGABYTES}MB'")
            rows = await connection.fetch(
                f"EXPLAIN (ANALYZE, BUFFERS OFF) {KEEP_LINES}",
                *("rec_none", "shop-a", NOON, Decimal("1.5"), None, True, True, False),
                *verdicts,
                [m.step for m in VERDICTS.values()],
                timeout=3_600,
            )
        print("\n".join(row[0] for row in rows))
        await staging.close("shop-a")


if __name__ == "__main__":
    main()
