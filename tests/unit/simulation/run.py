"""The long run: `python -m tests.unit.simulation.run --payments 100000 --seed 1`, in worlds of some thousand payments.

It prints its progress, what the judge found by kind and in words, and the time it took; it exits 1 on any finding. Each
world is a process of its own, so that its memory is freed before the next begins.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.unit.simulation.findings import KINDS, Finding
from tests.unit.simulation.world import judged

WORLD = 2000
SHOWN = 5  # findings of a world in words


def worlds(payments: int, seed: int, seeds: int) -> Iterator[tuple[int, int]]:
    """Seeds and sizes of the worlds: one seed has so many payments, and seeds are a thousand apart."""
    for one in range(seed, seed + seeds):
        for number, done in enumerate(range(0, payments, WORLD)):
            yield one * 1000 + number, min(WORLD, payments - done)


def run(payments: int, seed: int, seeds: int, processes: int) -> int:
    began, found, done, planned = time.monotonic(), Counter[str](), 0, list(worlds(payments, seed, seeds))
    with ProcessPoolExecutor(processes, max_tasks_per_child=1) as pool:
        running = {pool.submit(judged, one, size): (one, size) for one, size in planned}
        for finished in as_completed(running):
            one, size = running[finished]
            findings: list[Finding] = finished.result()
            found.update(finding.kind for finding in findings)
            done += size
            print(f"world {one}: {size} payments, {len(findings)} findings; {done} of {payments * seeds}", flush=True)
            for finding in findings[:SHOWN]:
                print(f"  {finding}", flush=True)
            if findings:
                print(f"  again: PAYPROOF_SIMULATION_SEED={one} PAYPROOF_SIMULATION_PAYMENTS={size}", flush=True)
    zeros = ", ".join(f"{kind} {found[kind]}" for kind in KINDS)
    print(f"{done} payments, seed {seed}, {seeds} seed(s): {zeros}; {time.monotonic() - began:.0f} s")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.unit.simulation.run", description=__doc__)
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    return run(given.payments, given.seed, given.seeds, given.processes)


if __name__ == "__main__":
    sys.exit(main())
