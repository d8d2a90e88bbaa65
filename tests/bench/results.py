"""All figures of one run of the benchmark, as written to the JSON, and the figures of the goals in it.

A ratio needs both of its halves from the same round. A measurement that failed is kept with its reason beside the
others.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from tests.bench.goals import Figure, Measured, Unmeasured, ratio
from tests.bench.hits import Kind
from tests.bench.plan import Plan

if TYPE_CHECKING:  # only read here; some of these modules need the peers' libraries
    from tests.bench.backlog import Backlog
    from tests.bench.bare_latency import BareLatency
    from tests.bench.cost import Cost
    from tests.bench.drain import Drained
    from tests.bench.growth import Growth
    from tests.bench.idle import Idle
    from tests.bench.ingress import Accepted
    from tests.bench.isolation import Isolation
    from tests.bench.latency import Latency, Saturated
    from tests.bench.recovery import Recovery

PAYPROOF, BARE = "payproof", "bare"
YARDSTICKS: Final = (BARE, "faststream", "celery")
"""Contenders by name; each is also the name of the goal that compares payproof with it."""

KINDS: Final[Sequence[Kind]] = ("returns", "webhooks")


class Failed(Struct, frozen=True, kw_only=True):
    """A measurement that failed, its goals, and the reason."""

    name: str
    goals: tuple[str, ...]
    why: str


class Results(Struct, kw_only=True):
    """Grows as it is measured.

    `drains`, `ingress` and `paced` have an entry for each round, which lacks contenders that failed. `ingress` is by
    contender and kind of callback, such as `bare returns`. `paced` is the latency at the same rate of payproof in one
    process with every role, which is how shops begin, and of the bare limit. `latencies` are payproof's under other
    conditions.
    """

    began: datetime
    plan: Plan
    versions: dict[str, str]
    seconds: float = 0.0
    drains: list[dict[str, Drained]] = field(default_factory=list)
    ingress: list[dict[str, Accepted]] = field(default_factory=list)
    paced: list[dict[str, Latency | BareLatency]] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    saturated: list[Saturated] = field(default_factory=list)
    isolation: Isolation | None = None
    recoveries: list[Recovery] = field(default_factory=list)
    idle: list[Idle] = field(default_factory=list)
    cost: Cost | None = None
    paced_cost: Cost | None = None
    backlog: Backlog | None = None
    growth: Growth | None = None
    failed: list[Failed] = field(default_factory=list)


def figures(found: Results) -> dict[str, Figure]:
    """A figure for each goal that was measured or tried; a failed attempt has its reason."""
    told = {
        **{name: _drained(found, name) for name in YARDSTICKS},
        "ingress": _ingress(found),
        "isolation": _isolation(found),
        "growth": _growth(found),
        "latency": p99_ratio(found),
        **_counts(found.paced_cost),
        "recovery": _slowest(one.after_kill for one in found.recoveries if one.consumers > 1),
        "restart": _slowest(one.after_ready for one in found.recoveries if one.consumers == 1),
        "idle": _worst(one.percent for one in found.idle),
    }
    return {name: _with_reason(name, figure, found.failed) for name, figure in told.items()}


def _drained(found: Results, other: str) -> Figure:
    both = [one for one in found.drains if {PAYPROOF, other} <= one.keys()]
    return ratio((one[PAYPROOF].per_second, one[other].per_second) for one in both)


def _ingress(found: Results) -> Figure:
    """The figure of the kind of callback with the worse ratio."""
    kinds = [ingress_ratio(found, kind) for kind in KINDS]
    measured = [figure for figure in kinds if isinstance(figure, Measured)]
    return min(measured, key=lambda figure: figure.figure) if len(measured) == len(kinds) else kinds[0]


def ingress_ratio(found: Results, kind: str) -> Figure:
    ours, theirs = f"{PAYPROOF} {kind}", f"{BARE} {kind}"
    both = [one for one in found.ingress if {ours, theirs} <= one.keys()]
    return ratio((one[ours].per_second, one[theirs].per_second) for one in both)


def _growth(found: Results) -> Figure:
    """The ratio of the most payments to the fewest."""
    if not found.plan.history:
        return Unmeasured(why="growth is not measured in a quick run")
    return _rounds([] if found.growth is None else found.growth.sizes[-1].ratios)


def _isolation(found: Results) -> Figure:
    if found.isolation is None:
        return _rounds([])
    pairs = zip(found.isolation.beside_slow, found.isolation.healthy, strict=True)
    return ratio((slow.p99, healthy.p99) for slow, healthy in pairs)


def p99_ratio(found: Results) -> Figure:
    both = [one for one in found.paced if {PAYPROOF, BARE} <= one.keys()]
    return ratio((one[PAYPROOF].milliseconds.p99, one[BARE].milliseconds.p99) for one in both)


def _counts(cost: Cost | None) -> dict[str, Figure]:
    """The figure of the slower bus."""
    if cost is None:
        return dict.fromkeys(("statements", "syncs", "wal"), _rounds([]))
    told = {"statements": cost.statements, "syncs": cost.wal_syncs, "wal": cost.wal_bytes / 1000}
    return {name: Measured(rounds=[count]) for name, count in told.items()}


def _rounds(values: Iterable[float]) -> Figure:
    rounds = list(values)
    return Measured(rounds=rounds) if rounds else Unmeasured(why="no round came to an end")


def _slowest(buses: Iterable[Sequence[float]]) -> Figure:
    """Of the bus that stands worse."""
    return _rounds(max(buses, key=statistics.median, default=[]))


def _worst(values: Iterable[float]) -> Figure:
    """The greatest value: every value has to meet the goal."""
    rounds = list(values)
    return Measured(rounds=[max(rounds)]) if rounds else _rounds(rounds)


def _with_reason(name: str, figure: Figure, failed: Sequence[Failed]) -> Figure:
    if isinstance(figure, Measured):
        return figure
    return next((Unmeasured(why=one.why) for one in failed if name in one.goals), figure)
