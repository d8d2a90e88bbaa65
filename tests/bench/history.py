"""Clusters whose tables hold years of completed payments: `template(10_000_000)` makes such a cluster, or finds it.

`python -m tests.bench.history 10000 1000000` makes some ahead. Three payments, one of each gateway, are first taken
through payproof itself. Every other payment is a copy of one of the three in all tables, with its own number in each id
and its own times, so the rows are what that code left behind. Clusters are kept below `.payproof/bench/` by size,
schema, form of ids and PostgreSQL's version.

Ids of gateways and shops are random, so a new payment touches another leaf of their indexes, as in a shop's own tables.
A payment's own id begins with its week.

To fit on the disk, from FULL payments on each payment has three entries and short events and facts. The path of a
payment never reads the omitted data again, and every index has its full number of rows. Archived callbacks are left out
at any size: they are kept for 90 days, by month.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from tests.bench.drain import Listener, load
from tests.bench.installation import open_payments, service, simulated_gateways
from tests.bench.multiplied import FULL, multiply
from tests.bench.numbered import OLDEST, claim, number_in
from tests.bench.servers import Postgres, Servers, postgres_version, servers
from tests.broker import rabbitmq
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".payproof" / "bench"
SETTLED = 10_000
COPIED = 500_000
"""A cluster with fewer payments than this is copied for each use; a larger cluster is used itself."""

BYTES, SHORT_BYTES = 9_000, 5_000
"""The disk space for a payment while its cluster is made.

Afterwards it is about 7,000 bytes, and 3,300 from FULL payments on.
"""

_LOADING = {
    "fsync": "off",  # the whole disk is synchronised before the template gets its name
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "maintenance_work_mem": "1GB",
    "max_parallel_maintenance_workers": "2",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
}

_NEWEST = "SELECT payment_id FROM events WHERE place IS NOT NULL ORDER BY place DESC LIMIT 1"


class NoRoom(Exception):
    """The disk is too full for a cluster of that size. The message says how much space it takes."""


def template(payments: int) -> Path:
    """The directory of a stopped cluster with so many completed payments, numbered from OLDEST. Raises NoRoom."""
    schema = hashlib.sha256()
    for file in sorted((ROOT / "schemas" / "sql").glob("*.sql")):
        schema.update(file.read_bytes())
    schema.update(msgspec.json.encode(claim(OLDEST, datetime.fromtimestamp(0, UTC))))
    major = postgres_version().partition(".")[0]
    home = CACHE / f"{payments}-{schema.hexdigest()[:12]}-{major}"
    if not home.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        wanted, free = payments * (SHORT_BYTES if payments >= FULL else BYTES), shutil.disk_usage(CACHE).free
        if free < wanted:
            raise NoRoom(f"{payments:,} payments take {wanted / 2**30:.0f} GB to make, and {free / 2**30:.0f} are free")
        building = CACHE / f"building-{payments}-{os.getpid()}"
        began = time.monotonic()
        try:
            _build(building, payments)
            os.sync()
            building.rename(home)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) / 2**30
        _say(f"{payments:,} settled payments: {size:.1f} GB in {time.monotonic() - began:.0f} s")
    return home


@contextmanager
def lived_in(place: Path) -> Iterator[Servers]:
    """Both servers, started in `place`, with SETTLED payments in the tables.

    PostgreSQL plans for a newly filled database as if it were still empty, which would show only a shop's first minute.
    """
    with ThreadPoolExecutor(1) as aside:  # an event loop may be running here, and this code runs its own
        home = aside.submit(template, SETTLED).result()
    with servers(place, home) as both:
        yield both


@asynccontextmanager
async def history(payments: int, place: Path) -> AsyncIterator[Postgres]:
    """A running cluster with so many completed payments.

    A small cluster is a copy in `place` and is removed with it. Copying a large cluster would take minutes and twice
    the disk, so the template itself runs and keeps the new payments: some ten thousand on top of millions, whose
    numbers `next_run` does not give out again. Payments that an aborted run left due are first postponed.
    """
    home = await asyncio.to_thread(_cluster, payments, place)
    database = Postgres(home)
    try:
        database.start()
        await _put_off(database.url)
        yield database
    finally:
        database.stop()


def _cluster(payments: int, place: Path) -> Path:
    home = template(payments)
    if payments >= COPIED:
        return home
    place.chmod(0o755)  # the database's own user must get through
    subprocess.run(["cp", "-a", "--reflink=auto", home, place / home.name], check=True)
    return place / home.name


async def next_run(url: str) -> int:
    """The first run whose numbers no payment of this cluster has."""
    connection = await asyncpg.connect(url)
    try:
        newest = await connection.fetchval(_NEWEST)
        return 1 if (n := number_in(newest)) >= OLDEST else n // 10_000_000 + 1
    finally:
        await connection.close()


def _build(home: Path, payments: int) -> None:
    database = Postgres(home)
    try:
        database.start(**_LOADING)
        with directory() as place, rabbitmq() as broker:
            asyncio.run(_settle_first(Servers(place, database, broker)))
        asyncio.run(multiply(database.url, payments, _say))
    finally:
        database.stop()


async def _settle_first(both: Servers) -> None:
    """Three payments, the last before OLDEST, go through payproof."""
    first, last = OLDEST - 3, OLDEST - 1
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, first, last)
    await load(both.broker.url, first, last)
    with simulated_gateways(both) as gateways:
        async with Listener(both.broker.url) as listener:
            child = service(both, gateways.url, "consume,relay")
            child.start()
            try:
                await listener.heard(3, 60)
            finally:
                child.stop()


async def _put_off(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE payments SET next_check_at = NULL, schedule = NULL WHERE next_check_at IS NOT NULL", timeout=300
        )
    finally:
        await connection.close()


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history")
    parser.add_argument("payments", type=int, nargs="+")
    for payments in parser.parse_args().payments:
        print(template(payments))


if __name__ == "__main__":
    main()
