"""`python -m tests.bench.growth`: does a payment cost more when millions lie in the tables, or when many are due?

The same drain runs over clusters of several sizes, alternated, with one RabbitMQ. The statements that do more work in
the largest cluster are listed. In the largest cluster the drain also runs with an old snapshot held, and with payments
due in the sweep. Every cluster is warmed by a drain that is not counted, since a cold cache would hide the difference.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from tests.bench.conditions import Under
from tests.bench.contenders import PAYPROOF
from tests.bench.cost import Cost, cost
from tests.bench.drain import drain
from tests.bench.history import COPIED, history, next_run
from tests.bench.servers import Servers
from tests.bench.swept import Swept, swept
from tests.broker import rabbitmq
from tests.processes import directory

SIZES = (10_000, 1_000_000, 10_000_000)
DUE = 100_000
PAYMENTS = 6_000
RUNS = 3
GROWS = 1.5
MOST = 100
"""A limit that is higher than the number of payproof's statements on a payment's path."""

WIDTH = 100


class Grown(Struct, frozen=True, kw_only=True):
    """Payments a second of each run with so many completed payments in the tables; `ratios` are to the smallest size's.

    `held` are the rates of the same rounds while an old snapshot of the database is held, in the largest cluster alone.
    """

    settled: int
    rates: Sequence[float]
    ratios: Sequence[float]
    held: Sequence[float] = ()

    @property
    def per_second(self) -> float:
        return median(self.rates)

    @property
    def ratio(self) -> float:
        return median(self.ratios)


class Growing(Struct, frozen=True, kw_only=True):
    """A statement, and its blocks and milliseconds for one payment: in the smallest cluster and in the largest."""

    text: str
    blocks: tuple[float, float]
    milliseconds: tuple[float, float]


class Growth(Struct, frozen=True, kw_only=True):
    """`sizes` from the smallest on; `growing` starts with the statement that grows most.

    `quiet` and `due` are the same work without and with payments due in the sweep.
    """

    payments: int
    sizes: Sequence[Grown]
    growing: Sequence[Growing]
    quiet: Swept | None
    due: Swept | None


async def growth(
    place: Path,
    sizes: Sequence[int] = SIZES,
    *,
    payments: int = PAYMENTS,
    runs: int = RUNS,
    due: int = DUE,
) -> Growth:
    """Drain so many payments in each cluster, in each of `runs` rounds.

    `place` is an empty directory. Without `due` the sweep is not measured.
    """
    sizes = sorted(sizes)
    ends = sizes[0], sizes[-1]
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(rabbitmq())
        clusters = {}
        for size in sizes:
            database = await stack.enter_async_context(history(size, place))
            clusters[size] = Servers(place, database, broker)
        # One run number for all clusters, which none of them has used.
        run = max([await next_run(both.database.url) for both in clusters.values()])
        rates: dict[int, list[float]] = {size: [] for size in sizes}
        held: list[float] = []
        for nth in range(runs + 1):
            for size in sizes if nth % 2 else reversed(sizes):
                drained = await drain(clusters[size], PAYPROOF, payments, run)
                if nth:
                    rates[size].append(drained.per_second)
                words = f"run {nth}" if nth else "warm-up"
                _say(f"{size:12,} settled, {words}: {drained.per_second:,.0f} payments a second")
            run += 1
            if nth:
                told = await drain(clusters[ends[1]], PAYPROOF, payments, run, Under(snapshot=True))
                held.append(told.per_second)
                _say(f"{ends[1]:12,} settled, an old snapshot held: {held[-1]:,.0f} payments a second")
                run += 1
        small, large = [await cost(clusters[size], payments, run + nth, top=MOST) for nth, size in enumerate(ends)]
        run += len(ends)
        quiet = busy = None
        if due:
            both = clusters[max((size for size in sizes if size < COPIED), default=sizes[0])]
            quiet = await swept(both, payments, due=0, run=run)
            _say(f"none due: {quiet}")
            busy = await swept(both, payments, due=due, run=run + 1)
            _say(f"{due:,} due: {busy}")
    smallest = rates[sizes[0]]
    grown = tuple(
        Grown(
            settled=size,
            rates=tuple(rates[size]),
            ratios=tuple(one / other for one, other in zip(rates[size], smallest, strict=True)),
            held=tuple(held) if size == ends[1] else (),
        )
        for size in sizes
    )
    return Growth(payments=payments, sizes=grown, growing=growing(small, large), quiet=quiet, due=busy)


def growing(small: Cost, large: Cost) -> list[Growing]:
    """The statements that touch visibly more blocks for a payment, or take visibly longer, by the factor GROWS."""
    before = {one.text: one for one in small.top}
    found = []
    for after in large.top:
        if (one := before.get(after.text)) is not None:
            blocks = one.blocks * one.calls_per_payment, after.blocks * after.calls_per_payment
            milliseconds = one.milliseconds * one.calls_per_payment, after.milliseconds * after.calls_per_payment
            if blocks[1] > blocks[0] * GROWS + 1 or milliseconds[1] > milliseconds[0] * GROWS + 0.01:
                found.append(Growing(text=after.text, blocks=blocks, milliseconds=milliseconds))
    return sorted(found, key=lambda one: one.milliseconds[0] - one.milliseconds[1])


def table(found: Growth) -> str:
    lines = [f"{'settled':>12} {'a second':>9} {'of the smallest':>16}  runs"]
    lines += [
        f"{one.settled:12,} {one.per_second:9,.0f} {one.ratio:16.2f}  {' '.join(f'{rate:.0f}' for rate in one.rates)}"
        for one in found.sizes
    ]
    lines += [
        f"{one.settled:12,} {median(one.held):9,.0f} {'':16}  an old snapshot held: "
        + " ".join(f"{rate:.0f}" for rate in one.held)
        for one in found.sizes
        if one.held
    ]
    lines += [
        f"grows: {one.blocks[0]:.1f} to {one.blocks[1]:.1f} blocks, {one.milliseconds[0]:.3f} to "
        f"{one.milliseconds[1]:.3f} ms of a payment: {one.text[:WIDTH]}"
        for one in found.growing
    ]
    lines += [str(one) for one in (found.quiet, found.due) if one is not None]
    return "\n".join(lines)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="numbers of completed payments in the tables"
    )
    parser.add_argument("--payments", type=int, default=PAYMENTS, help="number of payments of each drain")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--due", type=int, default=DUE, help="payments due in the sweep; 0: do not measure the sweep")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with directory() as place:
        found = await growth(place, words.sizes, payments=words.payments, runs=words.runs, due=words.due)
    print(msgspec.json.encode(found).decode() if words.json else table(found))


if __name__ == "__main__":
    asyncio.run(main())
