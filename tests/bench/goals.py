"""The goals of the benchmark and the verdict on each figure: pure functions, one table for every report.

Machines differ and are shared, so a goal is never an absolute time. It is a ratio of two figures of the same round,
measured one right after the other, or a count. The figure is the median of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from msgspec import Struct


class Is(Enum):
    """On which side of its bound a figure has to be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    UNDER = "under"


class Goal(Struct, frozen=True, kw_only=True):
    """`name` is the key of the goal's figure; `unit` is printed after every number, and is empty for a ratio."""

    name: str
    what: str
    side: Is
    bound: float
    unit: str = ""


class Measured(Struct, frozen=True, kw_only=True, tag="measured"):
    """One goal's figure for each round, at least one, in the order of the rounds."""

    rounds: Sequence[float]

    @property
    def figure(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.rounds), max(self.rounds)


class Unmeasured(Struct, frozen=True, kw_only=True, tag="unmeasured"):
    """A figure that could not be measured, and the reason in words."""

    why: str


Figure = Measured | Unmeasured


class Verdict(Struct, frozen=True, kw_only=True):
    goal: Goal
    figure: Figure
    met: bool


GOALS: Sequence[Goal] = (
    Goal(name="bare", what="end to end, against the bare limit", side=Is.AT_LEAST, bound=0.5),
    Goal(
        name="faststream",
        what="end to end, against FastStream + httpx + SQLAlchemy",
        side=Is.AT_LEAST,
        bound=8.0,
        unit=" times",
    ),
    Goal(
        name="celery",
        what="end to end, against Celery + requests + SQLAlchemy",
        side=Is.AT_LEAST,
        bound=6.5,
        unit=" times",
    ),
    Goal(name="ingress", what="ingress, against bare aiohttp + confirmed publish", side=Is.AT_LEAST, bound=0.75),
    Goal(
        name="growth",
        what="end to end with 10 million payments of random ids, against 10 thousand",
        side=Is.AT_LEAST,
        bound=0.9,
    ),
    Goal(
        name="isolation",
        what="healthy gateways' p99 with one gateway at 5 s, against all healthy",
        side=Is.AT_MOST,
        bound=1.3,
    ),
    Goal(
        name="latency",
        what="p99 of callback to event beyond the gateway's time, 200 payments a second, against the bare limit's",
        side=Is.AT_MOST,
        bound=2.5,
        unit=" times",
    ),
    Goal(
        name="statements",
        what="statements of a payment in PostgreSQL, 200 payments a second",
        side=Is.AT_MOST,
        bound=4.0,
    ),
    Goal(
        name="syncs",
        what="waits of the WAL for the disk of a payment, 200 payments a second",
        side=Is.AT_MOST,
        bound=1.0,
    ),
    Goal(
        name="wal",
        what="WAL of a payment, whole pages and all, 200 payments a second",
        side=Is.AT_MOST,
        bound=10.0,
        unit=" kB",
    ),
    Goal(
        name="recovery",
        what="known after `kill -9` of who asks, beyond the gateway's time, with a second process that consumes",
        side=Is.AT_MOST,
        bound=2.0,
        unit=" s",
    ),
    Goal(
        name="restart",
        what="the same with one alone, from when its successor is ready",
        side=Is.AT_MOST,
        bound=2.0,
        unit=" s",
    ),
    Goal(
        name="idle",
        what="idle CPU of the all-in-one process (wake-ups are shown, not judged)",
        side=Is.UNDER,
        bound=1.0,
        unit=" %",
    ),
)

HELD_TO: Mapping[str, float] = {"statements": 4.3, "syncs": 1.25, "wal": 10.0}
"""The bound that CI enforces for a payment that comes alone, by the name of a goal that is a count and is missed today.

It is the measured count and a little more. A change that makes a payment cheaper lowers it, down to the goal's own
bound; no change raises it.
"""

NEVER_RUN = Unmeasured(why="it was not run")


def judge(goal: Goal, figure: Figure) -> Verdict:
    """A figure that could not be measured counts as missed."""
    return Verdict(goal=goal, figure=figure, met=isinstance(figure, Measured) and _holds(goal, figure.figure))


def judged(figures: Mapping[str, Figure], goals: Sequence[Goal] = GOALS) -> list[Verdict]:
    """A verdict on every goal, in their order. Raises LookupError for a figure that no goal is about."""
    if strangers := figures.keys() - {goal.name for goal in goals}:
        raise LookupError(f"no goal is about {', '.join(sorted(strangers))}")
    return [judge(goal, figures.get(goal.name, NEVER_RUN)) for goal in goals]


def ratio(rounds: Iterable[tuple[float, float]]) -> Figure:
    """Ours against theirs, of the rounds that both came through."""
    ratios = [ours / theirs for ours, theirs in rounds if theirs > 0]
    return Measured(rounds=ratios) if ratios else Unmeasured(why="no round of both came to an end")


def shown(goal: Goal) -> str:
    """The goal in words: `at least 0.7`."""
    return f"{goal.side.value} {goal.bound:g}{goal.unit}"


def figures_shown(goal: Goal, figure: Figure) -> tuple[str, str]:
    """The figure and its spread over the rounds. Rounding never makes a missed goal look met."""
    match figure:
        case Measured(rounds=rounds):
            digits = _digits(goal, figure.figure)
            least, most = figure.spread
            spread = f"{least:.{digits}f} to {most:.{digits}f} of {len(rounds)}" if len(rounds) > 1 else "of one"
            return f"{figure.figure:.{digits}f}{goal.unit}", spread
        case Unmeasured(why=why):
            return "not measured", why


def _holds(goal: Goal, figure: float) -> bool:
    match goal.side:
        case Is.AT_LEAST:
            return figure >= goal.bound
        case Is.AT_MOST:
            return figure <= goal.bound
        case Is.UNDER:
            return figure < goal.bound


def _digits(goal: Goal, figure: float) -> int:
    """How many digits to print: two, or as many more as the rounded figure needs to have the same verdict."""
    return next((n for n in range(2, 8) if _holds(goal, round(figure, n)) == _holds(goal, figure)), 8)
