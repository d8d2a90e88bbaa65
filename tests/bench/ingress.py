"""`python -m tests.bench.ingress`: callbacks made durable a second, beside a bare ingress; returns and webhooks apart.

One process takes them, 32 open connections send them, and RabbitMQ stores them. Returns are answered at once with the
confirming page (`return_wait` of nothing): the wait for the outcome belongs to the gateway and the workers, and what is
measured ends when the claim is durable.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import aio_pika
import msgspec
from msgspec import Struct

from tests.bench.history import lived_in
from tests.bench.hits import Kind, numbers
from tests.bench.http_load import Answered, Load, ready
from tests.bench.installation import open_payments, simulated_gateways
from tests.bench.peers.bare_ingress import QUEUE
from tests.bench.servers import Servers
from tests.bench.serving import serving
from tests.bench.spent import cpu_seconds
from tests.bench.spread import Spread
from tests.harness import Child, free_ports
from tests.processes import directory
from worker.amqp.topology import claims_queue
from worker.postgres.server.migrate import apply_migrations

Contender = Literal["payproof", "bare"]
CONNECTIONS = 32
COUNT = 12_000
SECONDS = 120.0
CLAIMS = tuple(claims_queue(gateway) for gateway in ("shadhinpay", "moneybag", "ipay"))


class Accepted(Struct, frozen=True, kw_only=True):
    """The figures of one run.

    `bytes` is the size of each message. `cpu_milliseconds` is the processor time that the ingress process used for
    each; on a busy machine it tells the two contenders apart.
    """

    contender: Contender
    kind: Kind
    per_second: float
    milliseconds: Spread
    cpu_milliseconds: float
    bytes: int


async def ingress(servers: Servers, kind: Kind, first: int, count: int = COUNT) -> Accepted:
    """Measure payproof's ingress with payments from number `first` on; half as many again are used up."""
    await apply_migrations(servers.database.url)
    await open_payments(servers.database.url, first, numbers(kind, first, count)[-1])
    with simulated_gateways(servers) as gateways, serving(servers, gateways, ["ingress"], return_wait="0s") as payproof:
        answered, cpu = await _saturated(payproof.port, payproof.pids, kind, first, count)
    return _accepted("payproof", kind, answered, cpu, await _take_away(servers, CLAIMS, count))


async def bare(servers: Servers, kind: Kind, first: int, count: int = COUNT, size: int = 1000) -> Accepted:
    """Measure the bare ingress with the same requests; its messages have `size` bytes."""
    with _bare(servers, size) as (port, pid):
        answered, cpu = await _saturated(port, (pid,), kind, first, count)
    return _accepted("bare", kind, answered, cpu, await _take_away(servers, [QUEUE], count))


async def _saturated(port: int, pids: tuple[int, ...], kind: Kind, first: int, count: int) -> tuple[Answered, float]:
    """The answers, and the processor milliseconds of each. Raises when a request was not accepted."""
    load = Load(port=port, kind=kind, first=first, count=count, connections=CONNECTIONS)
    async with ready(load) as running:
        used = cpu_seconds(pids)
        running.go()
        answered = await running.answered(SECONDS)
        cpu = (cpu_seconds(pids) - used) / count * 1000
    if answered.statuses != {"200": count}:
        raise AssertionError(f"not every callback was accepted: {answered.statuses}")
    return answered, cpu


def _accepted(contender: Contender, kind: Kind, answered: Answered, cpu: float, size: int) -> Accepted:
    return Accepted(
        contender=contender,
        kind=kind,
        per_second=answered.per_second,
        milliseconds=answered.milliseconds,
        cpu_milliseconds=cpu,
        bytes=size,
    )


@contextmanager
def _bare(servers: Servers, size: int) -> Iterator[tuple[int, int]]:
    (port,) = free_ports(1)
    child = Child(
        "bare ingress",
        *("tests.bench.peers.bare_ingress", str(port), servers.broker.url, str(size)),
        log=servers.place / "bare.log",
        settings={},
    )
    child.start()
    try:
        child.wait_for(f"http://127.0.0.1:{port}/", seconds=SECONDS)
        yield port, child.pid
    finally:
        child.kill()


async def _take_away(servers: Servers, queues: Sequence[str], at_least: int) -> int:
    """Empty the queues, so that every run begins alike. Returns the size of one message.

    Raises when any was not durable.
    """
    kept, size = 0, 0
    async with await aio_pika.connect(servers.broker.url) as connection, connection.channel() as channel:
        for name in queues:
            queue = await channel.get_queue(name)
            kept += queue.declaration_result.message_count or 0
            if (message := await queue.get(fail=False)) is not None:
                size = size or len(message.body)
                await message.reject(requeue=True)
            await queue.purge()
    if kept < at_least:
        raise AssertionError(f"{at_least} callbacks were accepted, and {kept} are at the broker")
    return size


def ratio(runs: Sequence[Accepted]) -> float:
    """Payproof's median rate to the bare one's."""
    ours, bares = ([run.per_second for run in runs if run.contender == who] for who in ("payproof", "bare"))
    return statistics.median(ours) / statistics.median(bares)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hits", type=int, default=COUNT)
    parser.add_argument("--runs", type=int, default=3)
    words = parser.parse_args()
    kinds: tuple[Kind, ...] = ("webhooks", "returns")
    with directory() as place, lived_in(place) as both:
        for number, kind in enumerate(kinds):
            runs: list[Accepted] = []
            for nth in range(words.runs):
                first = (number * words.runs + nth) * 1_000_000 + 1
                runs.append(await ingress(both, kind, first, words.hits))
                runs.append(await bare(both, kind, first, words.hits, runs[-1].bytes))
                print(*(msgspec.json.encode(run).decode() for run in runs[-2:]), sep="\n", flush=True)
            for contender in ("payproof", "bare"):
                own = [run for run in runs if run.contender == contender]
                median = sorted(own, key=lambda run: run.per_second)[len(own) // 2]
                print(f"{kind}, {contender}: {median.per_second:.0f} a second, {median.milliseconds} (milliseconds)")
            print(f"{kind}: {ratio(runs):.2f} of the bare limit", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
