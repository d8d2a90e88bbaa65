"""`python -m tests.bench.scaling`: the model of how payproof scales, its predictions beside what is measured here.

The cost of a payment is measured once, with one consume process and the disk as it is. The number of syncs of a payment
is counted with the slow disk, as commits gather while a sync lasts. Everything else is predicted from these: two
processes, and each of them on the slow disk. Four processes are only predicted.

A machine that also does other work gives fewer cores than it has. So `cores` is what all programs of a run got, in
seconds of processor time for a second. The test of the model is the cost of a payment, that it stays the same, and the
limit that it names.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.bench.by_role import RoleCost, by_role, connections
from tests.bench.cost import counted
from tests.bench.drain import WARM, Listener, load, per_second
from tests.bench.installation import open_payments, service, simulated_gateways
from tests.bench.scaling_model import Limit, PaymentCost, predicted
from tests.bench.servers import Postgres, Servers
from tests.bench.slow_disk import slow_syncs
from tests.bench.spent import cpu_seconds, family
from tests.broker import RabbitMQ, rabbitmq
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations

PAYMENTS = 3_000
SLOW = (0.02, 0.1)
CONSUMERS = (1, 2)
MODELLED = (1, 2, 4)
ROLES = "consume", "consume,relay"
"""The last process also relays; every other one only consumes."""
WARMED = 3
"""A third as many payments are drained first and not counted: a new cluster makes its files of WAL then."""
SECONDS = 300.0
RATE, RATE_SECONDS = 50.0, 15.0


class Measured(Struct, frozen=True, kw_only=True):
    """One drain: `sync_seconds` were added to each sync, and `cores` is what all programs together got."""

    consumers: int
    sync_seconds: float
    per_second: float
    cores: float
    cost: PaymentCost
    connections: int


class Checked(Struct, frozen=True, kw_only=True):
    """A measured rate beside the predicted one. `error` is a share of the measured rate."""

    measured: Measured
    predicted: Limit

    @property
    def error(self) -> float:
        return self.predicted.per_second / self.measured.per_second - 1


async def measured(both: Servers, consumers: int, sync_seconds: float, payments: int, run: int) -> Measured:
    """Drain payments that wait in RabbitMQ with so many consume processes."""
    first = run * 10_000_000 + 1
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, first, first + payments - 1)
    await load(both.broker.url, first, first + payments - 1)
    async with counted(both) as counting, Listener(both.broker.url) as listener:
        with simulated_gateways(both) as gateways, ExitStack() as started:
            children = [service(both, gateways.url, ROLES[n == 0]) for n in range(consumers)]
            for child in children:
                child.start()
                started.callback(child.stop)
            await listener.heard(int(payments * WARM), SECONDS)
            warm, began, programs = len(listener.at), time.perf_counter(), counting.cpu(*children)
            everything = _all_seconds()
            await listener.heard(payments, SECONDS)
            seconds = time.perf_counter() - began
            programs = [end - begin for begin, end in zip(programs, counting.cpu(*children), strict=True)]
            everything = _all_seconds() - everything
            opened = await connections(both)
        counts = await counting.counts()
    told = payments - warm
    consume, postgres, broker = (used / told for used in programs)
    return Measured(
        consumers=consumers,
        sync_seconds=sync_seconds,
        per_second=per_second(listener.at),
        cores=everything / seconds,
        connections=opened,
        cost=PaymentCost(
            consume=consume,
            postgres=postgres,
            rabbitmq=broker,
            rest=max(0.0, everything / told - consume - postgres - broker),
            syncs=counts.database["syncs"] / payments,
            wal=counts.database["wal"] / payments,
        ),
    )


async def scaling(
    place: Path, broker: RabbitMQ, *, payments: int = PAYMENTS, slow: Sequence[float] = SLOW
) -> list[Measured]:
    """Every number of processes with every disk. `place` is an empty directory that other users may enter."""
    found, run = list[Measured](), 0
    for seconds in (0.0, *slow):
        database = Postgres(place / f"postgres-{seconds:g}", slow_syncs(place, seconds) if seconds else None)
        database.start()
        both = Servers(place, database, broker)
        try:
            await measured(both, 1, seconds, payments // WARMED, run := run + 1)
            for consumers in CONSUMERS:
                run += 1
                found.append(await measured(both, consumers, seconds, payments, run))
                print(_line(found[-1]), file=sys.stderr, flush=True)
        finally:
            database.stop()
    return found


def checked(found: Sequence[Measured]) -> list[Checked]:
    """The predictions from the cost with one process and the usual disk, and from the syncs on that disk."""
    base = next(one for one in found if one.consumers == 1 and not one.sync_seconds)
    syncs = {one.sync_seconds: one.cost.syncs for one in found if one.consumers == 1}
    return [
        Checked(
            measured=one,
            predicted=predicted(
                msgspec.structs.replace(base.cost, syncs=syncs[one.sync_seconds]),
                cores=one.cores if not one.sync_seconds else base.cores,
                consumers=one.consumers,
                sync_seconds=one.sync_seconds,
            ),
        )
        for one in found
    ]


def table(found: Sequence[Measured]) -> str:
    lines = ["consume  sync added  measured  predicted  error  limit        cores  CPU of one  syncs of one"]
    for one in checked(found):
        real = one.measured
        lines.append(
            f"{real.consumers:>7}  {real.sync_seconds * 1000:>7g} ms  {real.per_second:>6.0f} /s  "
            f"{one.predicted.per_second:>7.0f} /s  {one.error:>+5.0%}  {one.predicted.name:<11}  {real.cores:>5.2f}  "
            f"{real.cost.processor * 1000:>7.2f} ms  {real.cost.syncs:>12.3f}"
        )
    cost = next(one.cost for one in found if one.consumers == 1 and not one.sync_seconds)
    parts = {"consume": cost.consume, "PostgreSQL": cost.postgres, "RabbitMQ": cost.rabbitmq, "the rest": cost.rest}
    spent = ", ".join(f"{name} {seconds * 1000:.2f} ms" for name, seconds in parts.items())
    lines += [
        f"of one payment: {spent}, {cost.wal / 1000:.1f} kB of WAL",
        f"connections to PostgreSQL: {', '.join(f'{one.consumers}: {one.connections}' for one in found[:2])}",
        "only predicted, PostgreSQL and RabbitMQ on machines of their own with enough cores, 0.1 ms a sync:",
    ]
    apart = msgspec.structs.replace(cost, postgres=0.0, rabbitmq=0.0, rest=0.0)
    for consumers in MODELLED:
        limit = predicted(apart, cores=consumers, consumers=consumers, sync_seconds=0.0001)
        busy = limit.per_second * cost.postgres
        lines.append(
            f"{consumers:>7}  {limit.per_second:>6.0f} /s by {limit.name}; PostgreSQL is busy with {busy:.1f} cores "
            f"and writes {limit.per_second * cost.wal / 1e6:.1f} MB of WAL a second"
        )
    return "\n".join(lines)


def role_table(found: RoleCost, rate: float) -> str:
    spent = "\n".join(f"  {name:<12} {seconds * 1000:6.2f} ms" for name, seconds in found.seconds.items())
    told = f"{found.connections} connections to PostgreSQL, {found.broker_connections} to RabbitMQ"
    return f"processor time of a payment, {rate:g} a second, each role in a process of its own:\n{spent}\n  {told}"


def _line(one: Measured) -> str:
    return f"{one.consumers} consume, {one.sync_seconds * 1000:g} ms: {one.per_second:.0f} payments a second"


def _all_seconds() -> float:
    """The processor seconds of this process and of all that it started: servers, gateways and payproof."""
    return cpu_seconds(family(os.getpid()))


async def _roles(place: Path, broker: RabbitMQ, rate: float) -> RoleCost:
    database = Postgres(place / "postgres-roles")
    database.start()
    try:
        return await by_role(Servers(place, database, broker), 1, rate=rate, seconds=RATE_SECONDS)
    finally:
        database.stop()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling")
    parser.add_argument("--payments", type=int, default=PAYMENTS, help="payments of each drain")
    parser.add_argument(
        "--slow", type=float, nargs="*", default=[1000 * one for one in SLOW], help="milliseconds added to each sync"
    )
    parser.add_argument("--rate", type=float, default=RATE, help="payments a second for the cost of each role")
    words = parser.parse_args()
    with directory() as place, rabbitmq() as broker:
        place.chmod(0o755)
        slow = [one / 1000 for one in words.slow]
        found = await scaling(place, broker, payments=words.payments, slow=slow)
        roles = await _roles(place, broker, words.rate)
    print(table(found))
    print(role_table(roles, words.rate))


if __name__ == "__main__":
    asyncio.run(main())
