"""Running readers over so many cases: Hypothesis draws a round of them, and each reader reads the whole round.

Drawing costs more than reading. So all readers read the same draws, each as input of its own. Rounds are small, because
Hypothesis remembers its draws, which would look like a leak of ours. A crash is kept with its case, and the run goes
on.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import thread_time

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct, field

from tests.fuzz.mutating import Dice
from tests.fuzz.parser import Parser

ROUND = 2_000
SHORTEST, LONGEST = 24, 48  # enough for all changes; Hypothesis's default is short
KEPT = 5


class Row(Struct):
    """The results of one reader.

    `slowest` is in seconds of the processor's time, `grown` in MB after the first round. `kept` has, by the place of a
    crash, the first case that led there, in hex; `Dice(bytes.fromhex(...))` repeats it.
    """

    name: str
    cases: int = 0
    crashes: int = 0
    slowest: float = 0.0
    grown: float = 0.0
    kept: dict[str, str] = field(default_factory=dict)

    def crashed(self, error: Exception, case: str) -> None:
        self.crashes += 1
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {'/'.join(Path(last.filename).parts[-2:])}:{last.lineno}"
        if len(self.kept) < KEPT:
            self.kept.setdefault(place, case)


def resident(pid: int | str = "self") -> float:
    """MB that a process has in memory."""
    words = Path(f"/proc/{pid}/status").read_text()
    return int(words.partition("VmRSS:")[2].split()[0]) / 1024


def fuzz(parsers: Sequence[Parser], cases: int, seed: int, read: Callable[[int], None] = lambda _: None) -> list[Row]:
    """Have each reader read so many cases, the same for the same seed.

    `read` is called with the number of further cases that were read.
    """
    rows = [Row(parser.name) for parser in parsers]
    for nth, drawn in enumerate(rounds(cases, seed)):
        for parser, row in zip(parsers, rows, strict=True):
            before = resident()
            for case in drawn:
                _read(parser, case, row)
            row.grown += resident() - before if nth else 0.0
            read(len(drawn))
        gc.collect()
    return rows


def rounds(cases: int, seed: int) -> Iterator[list[bytes]]:
    left, nth = cases, 0
    while left > 0:
        drawn = _draw(min(ROUND, left), seed * 1_000_003 + nth)
        left, nth = left - len(drawn), nth + 1
        yield drawn


def _draw(many: int, seed: int) -> list[bytes]:
    drawn: list[bytes] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=many,
        phases=[Phase.generate],
        derandomize=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=SHORTEST, max_size=LONGEST))
    def draw(case: bytes) -> None:
        drawn.append(case)

    draw()
    return drawn


def _read(parser: Parser, case: bytes, row: Row) -> None:
    began = thread_time()
    try:
        parser.read(Dice(case))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        row.crashed(error, case.hex())
    row.slowest = max(row.slowest, thread_time() - began)
    row.cases += 1
