"""`python -m tests.bench.cost`: what one payment costs: processor time, memory, statements, WAL, messages.

The one thing to get wrong: what else is counted. Processor time is counted between the first tenth of the events and
the last of them, so starting up is not in it. All else is counted from before the start to after the stop, because
PostgreSQL's processes tell their counts when they end; that adds a few dozen statements to those of thousands of
payments. The load and the listener are ours, and are taken out. A checkpoint comes before, so that the first touch of
each page writes it whole into the WAL, as it does after every checkpoint; `wal_bytes` has these pages in it.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping

import asyncpg
import msgspec
from msgspec import Struct

from tests.bench.drain import WARM, Listener, load, per_second
from tests.bench.history import lived_in
from tests.bench.installation import open_payments, service, simulated_gateways
from tests.bench.servers import Servers
from tests.bench.spent import cpu_seconds, family, rss_bytes
from tests.processes import directory
from worker.postgres.migrate import migrate

TOP = 10
ROLES = "consume,relay"
_COUNTS = """
    SELECT xact_commit + xact_rollback AS transactions, pg_current_wal_lsn() - '0/0'::pg_lsn AS wal,
        (SELECT wal_fpi FROM pg_stat_wal) AS pages
    FROM pg_stat_database WHERE datname = current_database()
"""
_STATEMENTS = """
    SELECT query, sum(calls)::bigint AS calls, sum(rows)::bigint AS rows, sum(total_exec_time)::float8 AS ms,
        sum(shared_blks_hit + shared_blks_read)::bigint AS blocks, sum(wal_bytes)::bigint AS wal
    FROM pg_stat_statements JOIN pg_database ON oid = dbid
    WHERE datname = current_database() AND toplevel AND query !~ 'pg_stat'
    GROUP BY query ORDER BY ms DESC
"""


class Statement(Struct, frozen=True, kw_only=True):
    """One statement of payproof's. Milliseconds, blocks (of 8 kB, read or found) and WAL bytes are of one call."""

    text: str
    calls_per_payment: float
    rows_per_call: float
    milliseconds: float
    total_seconds: float
    blocks: float
    wal_bytes: float


class Cost(Struct, frozen=True, kw_only=True):
    """What a payment costs. `*_cpu_seconds` are of a thousand payments, `rss_bytes` is at the end, all else of one."""

    payments: int
    per_second: float
    cpu_seconds: float
    postgres_cpu_seconds: float
    rabbitmq_cpu_seconds: float
    rss_bytes: int
    transactions: float
    wal_bytes: float
    wal_pages: float
    statements: float
    published: float
    delivered: float
    acknowledged: float
    top: tuple[Statement, ...]


async def cost(both: Servers, payments: int, run: int = 1, roles: str = ROLES, top: int = TOP) -> Cost:
    """What `payments` payments cost that wait in RabbitMQ, in run number `run`, which has numbers of its own."""
    await migrate(both.database.url)
    first = run * 10_000_000 + 1
    await open_payments(both.database.url, first, first + payments - 1)
    await load(both.broker.url, first, first + payments - 1)
    postmaster = int((both.database.home / "postmaster.pid").read_text().split()[0])
    programs = postmaster, int(both.broker.ctl("eval", "os:getpid().").strip().strip('"'))
    database = await asyncpg.connect(both.database.url)
    try:
        with simulated_gateways(both) as gateways:
            async with Listener(both.broker.url) as listener:
                await database.execute("SELECT pg_stat_statements_reset()")
                before, messages = await _counts(database), _messages(both)
                child = service(both, gateways.url, roles)
                child.start()
                try:
                    parents = (child.pid, *programs)
                    await listener.heard(int(payments * WARM))
                    warm, began = len(listener.at), [cpu_seconds(family(pid)) for pid in parents]
                    await listener.heard(payments)
                    ended, rss = [cpu_seconds(family(pid)) for pid in parents], rss_bytes(family(child.pid))
                finally:
                    child.stop()
                spent = {name: value - before[name] for name, value in (await _counts(database)).items()}
                sent = {name: value - messages.get(name, 0) for name, value in _messages(both).items()}
                rows = await database.fetch(_STATEMENTS)
    finally:
        await database.close()
    cpu = [(end - begin) / (payments - warm) * 1000 for begin, end in zip(began, ended, strict=True)]
    return Cost(
        payments=payments,
        per_second=per_second(listener.at),
        cpu_seconds=cpu[0],
        postgres_cpu_seconds=cpu[1],
        rabbitmq_cpu_seconds=cpu[2],
        rss_bytes=rss,
        transactions=spent["transactions"] / payments,
        wal_bytes=spent["wal"] / payments,
        wal_pages=spent["pages"] / payments,
        statements=sum(row["calls"] for row in rows) / payments,
        published=sent["messages_received_total"] / payments,
        delivered=(sent["messages_delivered_total"] - len(listener.at)) / payments,
        acknowledged=sent["messages_acknowledged_total"] / payments,
        top=tuple(_statement(row, payments) for row in rows[:top]),
    )


async def _counts(database: asyncpg.Connection[asyncpg.Record]) -> Mapping[str, int]:
    row = await database.fetchrow(_COUNTS)
    assert row is not None, "the database is there"
    return {name: int(value) for name, value in row.items()}


def _messages(both: Servers) -> Mapping[str, int]:
    """RabbitMQ's counters since it started, over all kinds of queue; 3.10 does not tell kinds of delivery apart."""
    counted: dict[str, int] = {}
    for name, value in re.findall(
        r"(messages_\w+_total) => (\d+)", both.broker.ctl("eval", "rabbit_global_counters:overview().")
    ):
        counted[name] = counted.get(name, 0) + int(value)
    return counted


def _statement(row: asyncpg.Record, payments: int) -> Statement:
    return Statement(
        text=" ".join(row["query"].split()),
        calls_per_payment=row["calls"] / payments,
        rows_per_call=row["rows"] / row["calls"],
        milliseconds=row["ms"] / row["calls"],
        total_seconds=row["ms"] / 1000,
        blocks=row["blocks"] / row["calls"],
        wal_bytes=row["wal"] / row["calls"],
    )


def table(found: Cost, width: int = 100) -> str:
    cpu = f"payproof {found.cpu_seconds:.2f}, PostgreSQL {found.postgres_cpu_seconds:.2f}"
    wal = f"{found.wal_bytes:,.0f} bytes of WAL with {found.wal_pages:.2f} whole pages"
    sent = f"{found.published:.2f} published, {found.delivered:.2f} delivered, {found.acknowledged:.2f} acknowledged"
    lines = [
        f"{found.payments:,} payments at {found.per_second:,.0f} a second",
        f"processor seconds of a thousand   {cpu}, RabbitMQ {found.rabbitmq_cpu_seconds:.2f}",
        f"memory of payproof at the end     {found.rss_bytes / 2**20:.0f} MB",
        f"of one, in PostgreSQL             {found.transactions:.2f} transactions, {found.statements:.2f} statements",
        f"                                  {wal}",
        f"of one, in RabbitMQ               {sent}",
        "",
        "calls are of one payment, the rest of one call:",
        f"{'calls':>7} {'rows':>7} {'ms':>8} {'total s':>8} {'blocks':>8} {'WAL':>8}  statement",
    ]
    lines += [
        f"{one.calls_per_payment:7.3f} {one.rows_per_call:7.1f} {one.milliseconds:8.3f} {one.total_seconds:8.2f} "
        f"{one.blocks:8.0f} {one.wal_bytes:8.0f}  {one.text[:width]}"
        for one in found.top
    ]
    return "\n".join(lines)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cost")
    parser.add_argument("--payments", type=int, default=6000)
    parser.add_argument("--roles", default=ROLES)
    parser.add_argument("--top", type=int, default=TOP)
    parser.add_argument("--width", type=int, default=100, help="how many characters of a statement are shown")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with directory() as place, lived_in(place) as both:
        found = await cost(both, words.payments, roles=words.roles, top=words.top)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if words.json else table(found, words.width) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
