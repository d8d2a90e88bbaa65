"""What a soak may show: the slopes of memory, handles and connections, dead rows, and what a payment adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from statistics import median

from msgspec import Struct

from tests.fault.sampling import Sample
from tests.fault.slopes import HOUR, Slope, after_warm_up, slope

MB = 2**20
WARM_UP = 1 / 3
KINDS = ("memory", "handles", "connections")
BOUNDED_OTHERWISE = {("memory", "rabbitmq"), ("handles", "postgres"), ("memory", "postgres")}
"""Series that fill caches up to a limit, for longer than a warm-up lasts: RabbitMQ its log, and each of PostgreSQL's
processes the files and the catalogue of the tables that it has met. Their numbers of connections must not rise."""
GROWN = 12 * MB
"""In a run of minutes a process may grow by so much after the warm-up, which an hour's bound would not allow: by the 9
MB of the last events and claims, and 3.6 MB of byte budgets at 15 payments a second."""
LEAST_PAYMENTS = 500
"""Fewer payments in half of a run say nothing about the bytes of one."""


class Bounds(Struct, frozen=True, kw_only=True):
    """`memory` in bytes an hour of each process, `handles` and `connections` in numbers an hour.

    `broker` is RabbitMQ's memory in bytes at most, at any time: a quorum queue keeps its log in memory until it is 512
    MB long, so its slope says nothing. A table may have so many `dead` rows beyond its live ones. `growth`: how many
    times the bytes of a payment in the first half a payment of the second half may add.
    """

    memory: float
    handles: float
    connections: float
    broker: float = 1024 * MB
    dead: int = 10_000
    growth: float = 2.0


FULL = Bounds(memory=16 * MB, handles=6, connections=6)
SHORT = Bounds(memory=1024 * MB, handles=6_000, connections=600)
"""For a run of minutes, in which processes fill what they remember: the last 10,000 events (3 MB) and claims (6 MB)
that they saw, and the byte budgets of the payments of ten minutes (0.4 kB each). From the 1,000th to the 12,000th
return ingress grew by 14 MB, at 55 returns a second: 240 MB an hour. A quicker machine fills the same memory sooner.
Each buyer who waits for an answer holds a handle of ingress, and up to 64 buyers are there at once: a slow moment at
the end of a minute looks like 1,600 more handles an hour. A handle lost at each payment is above 6,000 an hour."""
FULL_MINUTES = 10.0


def slopes(samples: Sequence[Sample], kind: str) -> dict[str, Slope]:
    """The slope of each process after the warm-up; `kind` is one of KINDS."""
    series: dict[str, list[tuple[float, float]]] = {}
    for one in samples:
        for name, value in attrgetter(kind)(one).items():
            series.setdefault(name, []).append((one.at, value))
    return {name: slope(after_warm_up(points, WARM_UP)) for name, points in series.items()}


def beyond(samples: Sequence[Sample], bounds: Bounds) -> list[str]:
    """Every bound that the samples break, in words."""
    return [
        *_rising(samples, bounds),
        *_grown(samples, bounds),
        *_heavy(samples, bounds),
        *_dead(samples, bounds),
        *_growing(samples, bounds),
    ]


def halves(samples: Sequence[Sample]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """What a payment adds in both halves after the warm-up: bytes of `tables`, `indexes` and `wal`."""
    ends = [one.at for one in samples]
    warm = [one for one in samples if one.at >= ends[0] + (ends[-1] - ends[0]) * WARM_UP]
    middle = len(warm) // 2
    return _added(warm[0], warm[middle]), _added(warm[middle], warm[-1])


def _rising(samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    for kind in KINDS:
        for name, one in slopes(samples, kind).items():
            if (kind, name) not in BOUNDED_OTHERWISE and one.exceeds(bound := getattr(bounds, kind)):
                rise = f"{one.per_hour:,.0f} more an hour (error {one.error:,.0f})"
                yield f"{kind} of {name}: {rise}, at most {bound:,.0f}"


def _grown(samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    """A process that grew by a lot, though not in a straight line: a leak by the payment slows down with the load."""
    for name in samples[0].memory:
        points = after_warm_up([(one.at, one.memory[name]) for one in samples], WARM_UP)
        part = max(1, len(points) // 5)
        grown = median(value for _, value in points[-part:]) - median(value for _, value in points[:part])
        most = max(GROWN, bounds.memory * (points[-1][0] - points[0][0]) / HOUR)
        if ("memory", name) not in BOUNDED_OTHERWISE and grown > most:
            yield f"memory of {name}: {grown:,.0f} more since the warm-up, at most {most:,.0f}"


def _heavy(samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    if (most := max(one.memory["rabbitmq"] for one in samples)) > bounds.broker:
        yield f"memory of rabbitmq: {most:,.0f} bytes, at most {bounds.broker:,.0f}"


def _dead(samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    for name in sorted({name for one in samples for name in one.tables}):
        held = [table for one in samples if (table := one.tables.get(name)) is not None]
        worst = max(held, key=lambda table: table.dead - table.live)
        if worst.dead > worst.live + bounds.dead:
            yield f"dead rows of {name}: {worst.dead:,} beside {worst.live:,} live ones"


def _growing(samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    first, second = halves(samples)
    if min(first["payments"], second["payments"]) < LEAST_PAYMENTS:
        return
    for name in ("tables", "indexes", "wal"):
        if second[name] > bounds.growth * first[name]:
            yield f"{name}: a payment added {first[name]:,.0f} bytes, and later {second[name]:,.0f}"


def _added(begin: Sample, end: Sample) -> dict[str, float]:
    payments = end.payments - begin.payments

    def size(one: Sample, name: str) -> float:
        return float(sum(getattr(table, name) for table in one.tables.values()))

    added = {
        "tables": size(end, "bytes") - size(begin, "bytes"),
        "indexes": size(end, "index_bytes") - size(begin, "index_bytes"),
        "wal": end.wal - begin.wal,
    }
    return {"payments": payments} | {name: value / max(1, payments) for name, value in added.items()}
