"""`python -m tests.integration.backlog --payments 1000000`: the real sweep with so many payments, all of them due.

Prints how long each look takes, how many payments of each account it takes and may take, and the memory of the process.
However many payments are due, a look must read only those that it takes, the longest waiting first.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.commands.reopen import ReadyToOpen
from schemas.callbacks import Claim
from tests.fakes.providers import PLAIN
from tests.integration.conformance_ledger import a_payment
from tests.processes import directory
from worker.postgres.database import Database, connect
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.due import _DUE, _TAKE, SHARE, SWEEP_BURST_SECONDS
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations
from worker.postgres.watermark import START
from worker.telemetry.metrics import Metrics
from worker.verify.sweep import BATCH, Sweep

CHUNK = 50_000
SECONDS = 10.0
SHUT = "shut"
RATES: Mapping[str, float | None] = {"free": None, "other": None, "fast": 20.0, "slow": 0.5, SHUT: None}
ACCOUNTS = {name: replace(PLAIN, id=name, calls_per_second=rate) for name, rate in RATES.items()}


class Looked(Struct, frozen=True, kw_only=True):
    """One look of the sweep: how long it took, and the payments it took by account."""

    seconds: float
    taken: Mapping[str, Sequence[int]]


class Counting(PostgresBus):
    """Its queue is always empty, as with workers that keep up; it records what is published."""

    published: Sequence[Claim] = ()

    async def waiting(self) -> Mapping[str, int]:
        return {}

    async def publish(self, claims: Sequence[Claim]) -> None:
        self.published = claims


class Watched(Sweep):
    """The real one, with its looks timed."""

    def __init__(self, database: Database, accounts: Mapping[str, Account]) -> None:
        self._counting, self.looks = Counting(database), list[Looked]()
        super().__init__(database, self._counting, accounts, Metrics())

    async def _sweep(self) -> int:
        self._counting.published, began = (), time.perf_counter()
        swept = await super()._sweep()
        seconds, taken = time.perf_counter() - began, defaultdict[str, list[int]](list)
        for claim in self._counting.published:
            assert claim.payment_id is not None, "the sweep names the payment"
            taken[claim.account].append(int(claim.payment_id.removeprefix("pay_").lstrip("x")))
        self.looks.append(Looked(seconds=seconds, taken=taken))
        return swept


async def fill(database: Database, payments: int, accounts: Sequence[str]) -> None:
    """So many payments that are due, the accounts in turn; a payment with a higher number has been due for longer."""
    now = database.clock.now()
    row = a_payment(account="none", opened_at=now, next_check_at=None)
    made = await PostgresLedger(database).create(row, {}, timedelta(0))
    assert isinstance(made, ReadyToOpen)
    names = await database.fetch(
        """SELECT string_agg(quote_ident(attname), ', ') AS names FROM pg_attribute
           WHERE attrelid = 'payments'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
               AND attname NOT IN ('id', 'reference', 'account', 'next_check_at')"""
    )
    columns = names[0]["names"]
    for start in range(1, payments + 1, CHUNK):
        await database.execute(
            f"""INSERT INTO payments (id, reference, account, next_check_at, {columns})
                SELECT 'pay_' || lpad(n::text, 26, 'x'), 'backlog-' || n, ($4::text[])[n % $5::int + 1],
                    $6::timestamptz - n * interval '1 ms', {columns}
                FROM payments, generate_series($2::int, $3::int) n WHERE id = $1""",
            made.payment.id,
            start,
            min(payments, start + CHUNK - 1),
            list(accounts),
            len(accounts),
            now,
        )
    await database.execute("ANALYZE payments")


async def look(database: Database, seconds: float) -> list[Looked]:
    """Run the sweep for so long, with the gateway of one account silent."""
    await database.execute(
        """INSERT INTO allowances (account, troubles, shut_until)
           VALUES ($1, 12, clock_timestamp() + interval '1 hour')""",
        SHUT,
    )
    sweep = Watched(database, ACCOUNTS)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sweep.run()
    return sweep.looks


def wrong(looks: Sequence[Looked], payments: int, seconds: float) -> list[str]:
    """The faults of the looks, in words: over a budget, a silent gateway asked, or the younger payments taken first."""
    found = []
    for place, (account, rate) in enumerate(RATES.items()):
        taken = [number for one in looks for number in one.taken.get(account, ())]
        may = (
            len(looks) * BATCH
            if rate is None
            else max(1.0, rate * SHARE * SWEEP_BURST_SECONDS) + rate * SHARE * seconds
        )
        if len(taken) > (0 if account == SHUT else may):
            found.append(f"{account}: {len(taken)} were taken of {may:.0f}")
        due = range(payments - (payments - place) % len(RATES), 0, -len(RATES))
        if sorted(taken, reverse=True) != list(due[: len(taken)]):
            found.append(f"{account}: not the longest waiting were taken")
        if not taken and account != SHUT:
            found.append(f"{account}: nothing was taken")
    return found


async def unindexed(database: Database) -> list[str]:
    """The steps of the sweep's plans that read the whole table."""
    async with database.connection() as connection:
        plans = [
            *await connection.fetch(f"EXPLAIN {_DUE}", list(RATES), [BATCH] * len(RATES), [START] * len(RATES)),
            *await connection.fetch(f"EXPLAIN {_TAKE}", [f"pay_{n:x>26}" for n in range(1, BATCH)]),
        ]
    assert any("payments_due" in row[0] for row in plans), plans
    return [row[0] for row in plans if "Seq Scan on payments" in row[0]]


def _rss() -> float:
    """The resident memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _shown(looks: Sequence[Looked], seconds: float) -> str:
    times = sorted(one.seconds * 1000 for one in looks)
    lines = [f"{len(looks)} looks: median {median(times):.1f} ms, longest {times[-1]:.1f} ms"]
    for account, rate in RATES.items():
        taken = [len(one.taken.get(account, ())) for one in looks]
        share = "no budget" if rate is None else f"{rate * SHARE:g} a second of {rate:g} are the sweep's"
        share = "its gateway is silent" if account == SHUT else share
        lines.append(f"  {account:5}: {sum(taken)} in {seconds:g} s, at most {max(taken)} a look; {share}")
    return "\n".join(lines)


async def measure(url: str, payments: int, seconds: float) -> list[str]:
    await apply_migrations(url)
    async with connect(url) as database:
        began = time.perf_counter()
        await fill(database, payments, list(RATES))
        print(f"{payments:,} payments due over {len(RATES)} accounts, {date.today()}", end=" ")
        print(f"(filled in {time.perf_counter() - began:.0f} s)")
        before = _rss()
        looks = await look(database, seconds)
        print(_shown(looks, seconds))
        print(f"memory of the process: {before:.0f} MB before, {_rss():.0f} MB after")
        return [*wrong(looks, payments, seconds), *await unindexed(database)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            found = asyncio.run(measure(url, given.payments, given.seconds))
    print("\n".join(found) or "nothing over a budget, the longest waiting first, nothing read beside the index")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
