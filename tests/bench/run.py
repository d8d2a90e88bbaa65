"""`deploy/dev bench`: every figure that a goal is about, against yardsticks of the same run, and the verdicts.

A measurement that fails is named with its reason, its goal counts as missed, and the others go on. The results so far
are reported even then, and also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from tests.bench.goals import figures_shown, shown
from tests.bench.history import lived_in
from tests.bench.measuring import Group, Measurement, groups
from tests.bench.plan import planned
from tests.bench.report import show, verdicts
from tests.bench.results import Failed, Results
from tests.bench.servers import Missing, Servers
from tests.bench.versions import versions
from tests.processes import directory

LAST = Path(__file__).resolve().parents[2] / ".payproof" / "bench" / "last.json"
MOST_SECONDS = 5400.0
"""The longest time for one measurement; the longest fills tables with ten million payments the first time."""

MOST_RUNS = 30
WIDTH = 160
ENDING = (signal.SIGTERM, signal.SIGHUP)


class Progress:
    """A line on stderr as each measurement begins: the time, its number of all, and its name."""

    def __init__(self, console: Console, of: int) -> None:
        self.console, self._of, self._done, self._began = console, of, 0, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def begins(self, name: str) -> None:
        self._done += 1
        minutes, seconds = divmod(int(self.seconds), 60)
        self.console.print(f"[{minutes:2}:{seconds:02}] {self._done} of {self._of}: {name}")


async def run(work: Sequence[Group], found: Results, console: Console) -> None:
    """Measure all of it, one after the other. Raises Missing."""
    running = asyncio.current_task()
    assert running is not None, "this is a task"
    for sign in ENDING:  # Ctrl-C does this by itself; the servers must be ended after any signal
        asyncio.get_running_loop().add_signal_handler(sign, running.cancel)
    progress = Progress(console, sum(len(group.measurements) for group in work))
    for group in work:
        try:
            await _all_of(group, found, progress)
        except Missing:
            raise
        except Exception as error:  # noqa: BLE001 - servers that do not come up, or do not end, cost only their group
            goals = tuple(goal for one in group.measurements for goal in one.goals)
            found.failed.append(_failed(f"the servers for {group.measurements[0].name}, and on", goals, error))
    found.seconds = progress.seconds


async def _all_of(group: Group, found: Results, progress: Progress) -> None:
    with ExitStack() as stack:
        place = stack.enter_context(directory())
        at: Servers | Path = place
        if group.served:
            at = both = stack.enter_context(lived_in(place))
            found.versions |= both.versions()
        for one in group.measurements:
            progress.begins(one.name)
            await _measure(one, at, found, progress.console)
            found.seconds = progress.seconds


async def _measure(one: Measurement, at: Servers | Path, found: Results, console: Console) -> None:
    try:
        async with asyncio.timeout(MOST_SECONDS):
            await one.measure(at)
    except Exception as error:  # noqa: BLE001 - a contender may fail in any way, and the others go on
        failed = _failed(one.name, one.goals, error)
        found.failed.append(failed)
        console.print(f"not measured: {failed.why}", style="red")


def _failed(name: str, goals: Sequence[str], error: Exception) -> Failed:
    """A failure. The message may have a log's last lines after its first line."""
    return Failed(name=name, goals=tuple(goals), why=f"{type(error).__name__}: {error}".strip())


def write(found: Results, path: Path) -> None:
    """Write the goals as the table has them, with the figure of each round, and all other figures as measured."""
    goals = []
    for one in verdicts(found):
        figure, spread = figures_shown(one.goal, one.figure)
        told = {"what": one.goal.what, "goal": shown(one.goal), "figure": figure, "spread": spread, "met": one.met}
        goals.append({"name": one.goal.name, **told, "measured": one.figure})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode({"goals": goals, "results": found})) + b"\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="deploy/dev bench", description="The goals of speed, and the measured figures, in one table."
    )
    parser.add_argument("--quick", action="store_true", help="fewer payments, three rounds, without the growth")
    parser.add_argument("--runs", type=int, help="rounds of each measurement; default: 5, with --quick 3")
    parser.add_argument(
        "--json", type=Path, default=LAST, help="the file for the results; default: .payproof/bench/last.json"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    words = parser.parse_args(arguments)
    if words.runs is not None and not 1 <= words.runs <= MOST_RUNS:
        parser.error(f"--runs: from 1 to {MOST_RUNS}")
    plan = planned(quick=words.quick, rounds=words.runs)
    found = Results(began=datetime.now(UTC), plan=plan, versions=versions())
    ended = True
    try:
        asyncio.run(run(groups(plan, found), found, Console(stderr=True, highlight=False, markup=False)))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    except (asyncio.CancelledError, KeyboardInterrupt):
        ended = False
    path = words.json if ended else words.json.with_suffix(".interrupted.json")
    write(found, path)
    screen = Console(highlight=False, markup=False)
    if not screen.is_terminal:
        screen.width = max(screen.width, WIDTH)
    show(found, screen)
    screen.print(f"All of it is in {path}." if ended else f"Interrupted; what there is so far is in {path}.")
    if not ended:
        return 130
    return 1 if words.strict and not all(one.met for one in verdicts(found)) else 0


if __name__ == "__main__":
    sys.exit(main())
