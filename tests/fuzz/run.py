"""Run so many cases on every reader of strangers' bytes; the results are a table.

    deploy/dev fuzz --cases 1000000 --seed 7

The run passes if no reader crashed, no request was answered with 500 or more, and neither this process nor the service
grew by more than a few MB after its first round.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from time import perf_counter, process_time

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from tests.fuzz.parsers import parsers
from tests.fuzz.running import Row, fuzz, resident
from tests.fuzz.service import Served, fuzz_service

DESCRIBED, NOISE = 100, 25  # of so many cases, one for Schemathesis, one a raw request
FLAT_MB = 16.0
SERVICE_FLAT_MB = 48.0  # it caches what it is asked, each cache bounded


class Tally(Struct, kw_only=True):
    """`memory` is this process's, as the service's is: MB after the first round and at the end."""

    rows: list[Row]
    served: Served
    memory: tuple[float, float]
    seconds: float
    processor: float
    seed: int

    @property
    def held(self) -> bool:
        flat = self.memory[1] - self.memory[0] < FLAT_MB
        service_flat = self.served.memory[1] - self.served.memory[0] < SERVICE_FLAT_MB
        return flat and service_flat and not any(row.crashes for row in [*self.rows, *self.served.rows])


def run(cases: int, seed: int, console: Console) -> Tally:
    began, spent = perf_counter(), process_time()
    readers = parsers()
    described, noise = cases // DESCRIBED, cases // NOISE
    each = -(-(cases - described - noise) // len(readers))
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(f"seed {seed}", total=each * len(readers) + described + noise)
        fuzz(readers, max(200, each // 10), seed + 1)  # caches are filled before memory is measured
        before = resident()
        rows = fuzz(readers, each, seed, lambda more: progress.advance(task, more))
        memory = (before, resident())
        served = fuzz_service(described, noise, seed, lambda more: progress.advance(task, more))
    seconds, processor = perf_counter() - began, process_time() - spent
    return Tally(rows=rows, served=served, memory=memory, seconds=seconds, processor=processor, seed=seed)


def show(tally: Tally, console: Console) -> None:
    rows = [*tally.rows, *tally.served.rows]
    total, crashes = sum(row.cases for row in rows), sum(row.crashes for row in rows)
    took = f"{tally.seconds:.0f} s, of which {tally.processor:.0f} s of the processor here"
    table = Table(title=f"seed {tally.seed}: {total:,} cases in {took}", title_justify="left")
    table.add_column("what reads them", no_wrap=True)
    for name in ("cases", "crashes", "slowest", "grew by"):
        table.add_column(name, justify="right")
    for row in rows:
        grown = f"{row.grown:.1f} MB" if row in tally.rows else ""
        table.add_row(row.name, f"{row.cases:,}", str(row.crashes), f"{row.slowest * 1000:.1f} ms", grown)
    for name, memory in (("the readers' process", tally.memory), ("the service", tally.served.memory)):
        table.add_row(name, "", "", "", f"{memory[0]:.0f} to {memory[1]:.0f} MB")
    table.add_row("all", f"{total:,}", str(crashes), "", "")
    console.print(table)
    for row in rows:
        for place, case in row.kept.items():
            console.print(f"{row.name}: {place}: {case}", markup=False, highlight=False)
    console.print("it held" if tally.held else "IT DID NOT HOLD")


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/dev fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000, help="number of cases, over all readers")
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same cases")
    given = parser.parse_args()
    seed = secrets.randbits(32) if given.seed is None else given.seed
    tally = run(given.cases, seed, Console(stderr=True))
    show(tally, Console())
    return 0 if tally.held else 1


if __name__ == "__main__":
    sys.exit(main())
