"""`python -m tests.bench.drain`: how many claims a second, waiting in RabbitMQ, become verified, confirmed events.

All claims wait before the contender starts. The clock runs from the first tenth of the events to the last, so that
neither starting up nor publishing the load is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median
from typing import Self

import aio_pika
import asyncpg
from msgspec import Struct

from tests.bench.conditions import USUAL, Under, add_options, under
from tests.bench.contenders import BARE, CONTENDERS, PAYPROOF, PAYPROOF_TWICE, Contender, load
from tests.bench.delays import AT_ONCE
from tests.bench.installation import simulated_gateways
from tests.bench.servers import Servers
from tests.bench.spent import cpu_seconds, family, rss_bytes
from tests.harness import Child
from tests.processes import directory
from worker.amqp.topology import EVENTS

__all__ = ["WARM", "DrainError", "Drained", "Listener", "drain", "load", "per_second"]

WARM = 0.1
SECONDS = 120.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.2
LAST_LINES = 15


class DrainError(Exception):
    """A contender ended, was too slow, or verified fewer payments than it published.

    The message has its log's last lines.
    """


class Drained(Struct, frozen=True, kw_only=True):
    """The figures of a drain.

    `cpu_seconds` are those of the contender's processes from the first tenth of the events to the last; `rss_bytes` is
    theirs at the end.
    """

    contender: str
    payments: int
    per_second: float
    cpu_seconds: float
    rss_bytes: int

    @property
    def cpu_seconds_per_thousand(self) -> float:
        return self.cpu_seconds / (self.payments - warm(self.payments)) * 1000


class Listener:
    """A subscriber to `payment.completed.#` that notes when the nth event came."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.at: list[float] = []
        self._awaited: dict[int, asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url)
        channel = await self._connection.channel()
        exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "payment.completed.#")
        underlay = await channel.get_underlay_channel()
        await underlay.basic_consume(queue.name, self._hear, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _hear(self, _: object) -> None:
        self.at.append(time.perf_counter())
        if (awaited := self._awaited.get(len(self.at))) is not None:
            awaited.set()

    async def heard(self, events: int, seconds: float = SECONDS) -> None:
        """Return when so many events came. Raises TimeoutError."""
        awaited = self._awaited.setdefault(events, asyncio.Event())
        if len(self.at) >= events:
            return
        async with asyncio.timeout(seconds):
            await awaited.wait()


def warm(events: int) -> int:
    """How many of the events come before the clock runs."""
    return max(1, int(events * WARM))


def per_second(at: Sequence[float]) -> float:
    first = warm(len(at))
    return (len(at) - first) / (at[-1] - at[first - 1])


async def drain(both: Servers, contender: Contender, payments: int, run: int = 1, under: Under = USUAL) -> Drained:
    """Have the contender drain so many claims. No earlier drain here may have used `run`. Raises DrainError."""
    first = run * 10_000_000 + 1
    last = first + payments - 1
    await contender.prepare(both, first, last)
    with simulated_gateways(both, under.delays or AT_ONCE) as gateways:
        children = contender.children(both, gateways.url)
        async with under.upon(both.database.url), Listener(both.broker.url) as listener:
            try:
                for child in children:
                    child.start()
                await _heard(children, listener, warm(payments))
                before = cpu_seconds(_pids(children))
                await _heard(children, listener, payments)
                spent, rss = cpu_seconds(_pids(children)) - before, rss_bytes(_pids(children))
            finally:
                for child in children:
                    _end(child)
    verified = await _count(both, contender.verified, first, last)
    if verified != payments or len(listener.at) != payments:
        told = f"{contender.name} told of {len(listener.at)} and verified {verified} of {payments}"
        raise DrainError(told + _log(children[0]))
    return Drained(
        contender=contender.name,
        payments=payments,
        per_second=per_second(listener.at),
        cpu_seconds=spent,
        rss_bytes=rss,
    )


def _pids(children: Sequence[Child]) -> tuple[int, ...]:
    return tuple(pid for child in children for pid in family(child.pid))


async def _heard(children: Sequence[Child], listener: Listener, events: int) -> None:
    hearing = asyncio.ensure_future(listener.heard(events))
    try:
        while not (await asyncio.wait({hearing}, timeout=LOOK_SECONDS))[0]:
            for child in children:
                if not child.running:
                    raise DrainError(f"{child.name} ended after {len(listener.at)} events{_log(child)}")
        if isinstance(hearing.exception(), TimeoutError):
            slow = f"{children[0].name}: {len(listener.at)} of {events} events in {SECONDS:g} s"
            raise DrainError(slow + _log(children[0]))
        hearing.result()
    finally:
        hearing.cancel()


def _end(child: Child) -> None:
    """End the whole process group of the child, so that no process that it started outlives it."""
    if child.stop(STOP_SECONDS) is not None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _log(child: Child) -> str:
    lines = child.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "; its log ends:\n" + "\n".join(lines[-LAST_LINES:])


async def _count(both: Servers, statement: str, first: int, last: int) -> int:
    connection = await asyncpg.connect(both.database.url)
    try:
        return int(await connection.fetchval(statement, first, last))
    finally:
        await connection.close()


def summary(drained: Sequence[Drained]) -> str:
    """A line for each contender: medians, and the ratio of payproof to the bare limit."""
    by: dict[str, list[Drained]] = {}
    for one in drained:
        by.setdefault(one.contender, []).append(one)
    rates = {name: median(one.per_second for one in runs) for name, runs in by.items()}
    lines = [
        f"{'median of':<24} {'per s':>7} {'CPU s/1000':>11} {'MB':>6}  of the bare limit; payproof is as many times"
    ]
    for name, runs in by.items():
        cpu = median(one.cpu_seconds_per_thousand for one in runs)
        megabytes = median(one.rss_bytes for one in runs) / 2**20
        ratios = f"{_ratio(rates, name, BARE.name):>17}  {_ratio(rates, PAYPROOF.name, name):>25}"
        lines.append(f"{name:<24} {rates[name]:>7,.0f} {cpu:>11.2f} {megabytes:>6.0f}  {ratios}")
    return "\n".join(lines)


def _ratio(rates: Mapping[str, float], one: str, other: str) -> str:
    return f"{rates[one] / rates[other]:.2f}" if {one, other} <= rates.keys() else "-"


async def main() -> None:
    from tests.bench.history import lived_in  # it imports this module

    known = {contender.name: contender for contender in (*CONTENDERS, PAYPROOF_TWICE)}
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drain")
    parser.add_argument(
        "--contender",
        action="append",
        choices=known,
        help="may be repeated; default: all but payproof in two processes",
    )
    parser.add_argument("--payments", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=2)
    add_options(parser)
    words = parser.parse_args()
    put = under(parser, words)
    drained: list[Drained] = []
    with directory() as place, lived_in(place) as both:
        for run in range(1, words.runs + 1):
            for name in words.contender or [one.name for one in CONTENDERS]:
                one = await drain(both, known[name], words.payments, len(drained) + 1, put)
                drained.append(one)
                print(
                    f"{run} {name:<24} {one.per_second:7,.0f} a second, {one.cpu_seconds_per_thousand:.2f} CPU s "
                    f"of a thousand, {one.rss_bytes / 2**20:.0f} MB",
                    flush=True,
                )
    print(summary(drained))


if __name__ == "__main__":
    asyncio.run(main())
