"""`python -m tests.bench.cost`: what one payment costs: processor time, memory, statements, WAL, messages.

By default the claims wait in RabbitMQ, and so are processed in the largest batches. With `--rate 200` payments come at
that rate over HTTP to one process with every role. A machine that keeps up shows their real cost; a slower machine
makes larger batches and shows less. With `--alone` payments come one at a time, each after the event of the last. No
payment shares anything with another then, so these counts are the same on every machine.

Processor time is counted from the first tenth of the events to the last event, or at a rate from the first callback on,
so starting up is not in it. All other counts run from before the start to after the stop, because PostgreSQL's
processes report their counts when they end. That adds a few dozen statements to those of thousands of payments. The
load and the listener are the benchmark's own and are subtracted.

A checkpoint comes first, so the first touch of each page writes the whole page into the WAL, as after every checkpoint.
`wal_bytes` includes these pages and `wal_page_bytes` is their part of it: it grows with fuller tables and shorter runs.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec
from msgspec import Struct

from tests.bench.conditions import USUAL, Under, add_options, under
from tests.bench.delays import AT_ONCE
from tests.bench.drain import WARM, Listener, load, per_second
from tests.bench.hearing import Hearing, hearing
from tests.bench.history import lived_in
from tests.bench.hits import hit
from tests.bench.installation import open_payments, service, simulated_gateways
from tests.bench.latency import DELAY, OVER_SECONDS, count, pace
from tests.bench.servers import Servers
from tests.bench.serving import serving
from tests.bench.spent import cpu_seconds, family, rss_bytes
from tests.harness import Child
from tests.processes import directory, until
from worker.postgres.server.migrate import apply_migrations

TOP = 10
SECONDS = 10.0
ENDED_SECONDS = 30.0
ALONE, WARM_ALONE = 100, 10
ROLES = "consume,relay"
_COUNTS = """
    SELECT xact_commit + xact_rollback AS transactions, pg_current_wal_lsn() - '0/0'::pg_lsn AS wal,
        (SELECT wal_fpi FROM pg_stat_wal) AS pages, ({syncs}) AS syncs
    FROM pg_stat_database WHERE datname = current_database()
"""
_SYNCS, _SYNCS_18 = "SELECT wal_sync FROM pg_stat_wal", "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
_ALONE = """
    SELECT count(*) = 0 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_STATEMENTS = """
    SELECT query, sum(calls)::bigint AS calls, sum(rows)::bigint AS rows, sum(total_exec_time)::float8 AS ms,
        sum(shared_blks_hit + shared_blks_read)::bigint AS blocks, sum(wal_bytes)::bigint AS wal
    FROM pg_stat_statements JOIN pg_database ON oid = dbid
    WHERE datname = current_database() AND toplevel AND query !~ 'pg_stat'
    GROUP BY query ORDER BY ms DESC
"""


class Statement(Struct, frozen=True, kw_only=True):
    """One of payproof's statements. Milliseconds, blocks (of 8 kB, read or found) and WAL bytes are for one call."""

    text: str
    calls_per_payment: float
    rows_per_call: float
    milliseconds: float
    total_seconds: float
    blocks: float
    wal_bytes: float


class Cost(Struct, frozen=True, kw_only=True):
    """What a payment costs.

    `*_cpu_seconds` are for a thousand payments, `rss_bytes` is at the end, all other figures are for one payment.
    `wal_syncs` counts the waits for the disk that the WAL took; transactions that commit together share a wait. `rate`
    is payments a second; None where all of them waited or came one at a time.
    """

    payments: int
    per_second: float
    cpu_seconds: float
    postgres_cpu_seconds: float
    rabbitmq_cpu_seconds: float
    rss_bytes: int
    transactions: float
    wal_bytes: float
    wal_pages: float
    wal_page_bytes: float
    wal_syncs: float
    statements: float
    published: float
    delivered: float
    acknowledged: float
    top: tuple[Statement, ...]
    rate: float | None = None
    alone: bool = False


async def cost(
    both: Servers, payments: int, run: int = 1, roles: str = ROLES, top: int = TOP, under: Under = USUAL
) -> Cost:
    """The cost of `payments` payments that wait in RabbitMQ. Each `run` has payment numbers of its own."""
    await apply_migrations(both.database.url)
    first = run * 10_000_000 + 1
    await open_payments(both.database.url, first, first + payments - 1)
    await load(both.broker.url, first, first + payments - 1)
    async with under.upon(both.database.url), counted(both) as counting:
        with simulated_gateways(both, under.delays or AT_ONCE) as gateways:
            async with Listener(both.broker.url) as listener:
                child = service(both, gateways.url, roles)
                child.start()
                try:
                    await listener.heard(int(payments * WARM))
                    warm, began = len(listener.at), counting.cpu(child)
                    await listener.heard(payments)
                    ended, rss = counting.cpu(child), rss_bytes(family(child.pid))
                finally:
                    child.stop()
                counts = await counting.counts()
    cpu = [(end - begin) / (payments - warm) for begin, end in zip(began, ended, strict=True)]
    return _cost(counts, payments, per_second(listener.at), cpu, rss, len(listener.at), top)


async def paced_cost(
    both: Servers,
    first: int,
    *,
    rate: float = 200.0,
    seconds: float = SECONDS,
    top: int = TOP,
    under: Under = USUAL,
) -> Cost:
    """The cost of payments that come at a rate, from number `first` on, to one process with every role.

    The warm-up is counted with the rest, except the processor time of starting up. Raises AssertionError when an event
    does not come.
    """
    payments = count(rate, seconds)
    numbers = range(first, first + payments)
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, numbers[0], numbers[-1])
    async with under.upon(both.database.url), counted(both) as counting:
        with simulated_gateways(both, under.delays or DELAY) as gateways, serving(both, gateways) as payproof:
            (child,) = payproof.processes
            async with hearing(both.broker.url) as heard:
                began = counting.cpu(child)
                await pace(payproof.port, first, rate, seconds)
                await heard.all_of(numbers, OVER_SECONDS)
                ended, rss = counting.cpu(child), rss_bytes(family(child.pid))
                child.stop()
                counts = await counting.counts()
    cpu = [(end - begin) / payments for begin, end in zip(began, ended, strict=True)]
    told = msgspec.structs.replace(
        _cost(counts, payments, per_second(sorted(heard.at.values())), cpu, rss, payments, top), rate=rate
    )
    assert isinstance(told, Cost)
    return told


async def alone_cost(both: Servers, first: int, payments: int = ALONE, *, top: int = TOP) -> Cost:
    """The cost of payments that come one at a time, from number `first` on, to one process with every role.

    WARM_ALONE more are used up first. Raises AssertionError when an event does not come.
    """
    numbers = range(first, first + WARM_ALONE + payments)
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, numbers[0], numbers[-1])
    with simulated_gateways(both) as gateways, serving(both, gateways) as payproof:
        (child,) = payproof.processes
        async with hearing(both.broker.url) as heard:
            for n in numbers[:WARM_ALONE]:
                await _told(payproof.port, n, heard)
            async with counted(both) as counting:
                began = counting.cpu(child)
                for n in numbers[WARM_ALONE:]:
                    await _told(payproof.port, n, heard)
                ended, rss = counting.cpu(child), rss_bytes(family(child.pid))
                child.stop()
                counts = await counting.counts()
    cpu = [(end - begin) / payments for begin, end in zip(began, ended, strict=True)]
    at = [heard.at[n] for n in numbers[WARM_ALONE:]]
    told = msgspec.structs.replace(_cost(counts, payments, per_second(at), cpu, rss, payments, top), alone=True)
    assert isinstance(told, Cost)
    return told


async def _told(port: int, n: int, heard: Hearing) -> None:
    """Send the callback of payment n, and wait for its event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(hit("mixed", n, int(time.time())))
        await heard.all_of([n], OVER_SECONDS)
        status = (await reader.readline()).split()[1]
        assert status in (b"200", b"303"), f"the callback was answered {status.decode()}"
    finally:
        writer.close()
        await writer.wait_closed()


class _Counts(Struct, frozen=True):
    """The counters of the servers, and payproof's statements."""

    database: Mapping[str, int]
    messages: Mapping[str, int]
    statements: Sequence[asyncpg.Record]
    page_bytes: int


class Counting:
    """Measures the time from its creation in `counted`."""

    def __init__(
        self,
        both: Servers,
        database: asyncpg.Connection[asyncpg.Record],
        before: Mapping[str, int],
        messages: Mapping[str, int],
        since: str,
    ) -> None:
        self._both, self._database, self._before, self._messages = both, database, before, messages
        self._since = since
        postmaster = int((both.database.home / "postmaster.pid").read_text().split()[0])
        self._programs = postmaster, int(both.broker.ctl("eval", "os:getpid().").strip().strip('"'))

    def cpu(self, *children: Child) -> list[float]:
        """Seconds until now: of payproof's processes together, of PostgreSQL and of RabbitMQ."""
        ours = sum(cpu_seconds(family(child.pid)) for child in children)
        return [ours, *(cpu_seconds(family(pid)) for pid in self._programs)]

    async def counts(self) -> _Counts:
        """The counters, once payproof has ended."""
        await until(self._alone, what="PostgreSQL's processes have told their counts", seconds=ENDED_SECONDS)
        after, messages = await _counts(self._database), _messages(self._both)
        return _Counts(
            {name: value - self._before[name] for name, value in after.items()},
            {name: value - self._messages.get(name, 0) for name, value in messages.items()},
            await self._database.fetch(_STATEMENTS),
            await asyncio.to_thread(self._both.database.page_bytes, self._since, await _place(self._database)),
        )

    async def _alone(self) -> bool:
        return bool(await self._database.fetchval(_ALONE))


@asynccontextmanager
async def counted(both: Servers) -> AsyncIterator[Counting]:
    database = await asyncpg.connect(both.database.url)
    try:
        await database.execute("SELECT pg_stat_statements_reset()")
        yield Counting(both, database, await _counts(database), _messages(both), await _place(database))
    finally:
        await database.close()


def _cost(counts: _Counts, payments: int, rate: float, cpu: Sequence[float], rss: int, events: int, top: int) -> Cost:
    """`cpu` is for one payment. `events` were delivered to the listener, which is the benchmark's own."""
    spent, sent, rows = counts.database, counts.messages, counts.statements
    return Cost(
        payments=payments,
        per_second=rate,
        cpu_seconds=cpu[0] * 1000,
        postgres_cpu_seconds=cpu[1] * 1000,
        rabbitmq_cpu_seconds=cpu[2] * 1000,
        rss_bytes=rss,
        transactions=spent["transactions"] / payments,
        wal_bytes=spent["wal"] / payments,
        wal_pages=spent["pages"] / payments,
        wal_page_bytes=counts.page_bytes / payments,
        wal_syncs=spent["syncs"] / payments,
        statements=sum(row["calls"] for row in rows) / payments,
        published=sent["messages_received_total"] / payments,
        delivered=(sent["messages_delivered_total"] - events) / payments,
        acknowledged=sent["messages_acknowledged_total"] / payments,
        top=tuple(_statement(row, payments) for row in rows[:top]),
    )


async def _place(database: asyncpg.Connection[asyncpg.Record]) -> str:
    """The position to which the WAL is written to the disk."""
    return str(await database.fetchval("SELECT pg_current_wal_flush_lsn()::text"))


async def _counts(database: asyncpg.Connection[asyncpg.Record]) -> Mapping[str, int]:
    syncs = _SYNCS if database.get_server_version().major < 18 else _SYNCS_18
    row = await database.fetchrow(_COUNTS.format(syncs=syncs))
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


def _came(found: Cost) -> str:
    if found.alone:
        return "one by one"
    return "which waited" if found.rate is None else f"{found.rate:g} came a second"


def table(found: Cost, width: int = 100) -> str:
    cpu = f"payproof {found.cpu_seconds:.2f}, PostgreSQL {found.postgres_cpu_seconds:.2f}"
    wal = (
        f"{found.wal_bytes:,.0f} bytes of WAL, {found.wal_page_bytes:,.0f} of them in {found.wal_pages:.2f} whole pages"
    )
    sent = f"{found.published:.2f} published, {found.delivered:.2f} delivered, {found.acknowledged:.2f} acknowledged"
    lines = [
        f"{found.payments:,} payments, " + _came(found) + f"; {found.per_second:,.0f} told a second",
        f"processor seconds of a thousand   {cpu}, RabbitMQ {found.rabbitmq_cpu_seconds:.2f}",
        f"memory of payproof at the end     {found.rss_bytes / 2**20:.0f} MB",
        f"of one, in PostgreSQL             {found.transactions:.2f} transactions, {found.statements:.2f} statements",
        f"                                  {found.wal_syncs:.2f} waits of the WAL for the disk",
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
    parser.add_argument("--payments", type=int, default=6000, help="number of payments that wait")
    parser.add_argument("--rate", type=float, help="payments a second, which come instead of waiting")
    parser.add_argument("--alone", action="store_true", help="one payment at a time, each after the last event")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long payments come, after the warm-up")
    parser.add_argument("--roles", default=ROLES)
    parser.add_argument("--top", type=int, default=TOP)
    parser.add_argument("--width", type=int, default=100, help="characters shown of a statement")
    parser.add_argument("--json", action="store_true")
    add_options(parser)
    words = parser.parse_args()
    put = under(parser, words)
    with directory() as place, lived_in(place) as both:
        if words.alone:
            found = await alone_cost(both, 1, top=words.top)
        elif words.rate is None:
            found = await cost(both, words.payments, roles=words.roles, top=words.top, under=put)
        else:
            found = await paced_cost(both, 1, rate=words.rate, seconds=words.seconds, top=words.top, under=put)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if words.json else table(found, words.width) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
