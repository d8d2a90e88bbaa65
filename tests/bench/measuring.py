"""The measurements and their order: each has a name, the goals it is for, and what it adds to the results.

Compared contenders run one right after the other, round after round, and each round begins with another contender, so
that other work on the machine affects all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tests.bench.backlog import backlog
from tests.bench.bare_latency import bare_latency
from tests.bench.conditions import Under
from tests.bench.contenders import BARE, CELERY, CONTENDERS, FASTSTREAM, PAYPROOF, PAYPROOF_TWICE, Contender
from tests.bench.cost import cost, paced_cost
from tests.bench.drain import drain
from tests.bench.growth import growth
from tests.bench.hits import Kind
from tests.bench.idle import idle
from tests.bench.ingress import bare, ingress
from tests.bench.isolation import isolation
from tests.bench.latency import LAYOUTS, OTHERWISE, latency, saturated
from tests.bench.plan import Plan
from tests.bench.recovery import BUSES, Bus, recovery
from tests.bench.results import KINDS, YARDSTICKS, Results
from tests.bench.servers import Servers
from tests.bench.serving import ALL_IN_ONE

RUN: Final = 10_000_000
"""Payments are numbered in runs of this many. Each measurement has its own run, since some share their servers."""

BARE_BYTES: Final = 1000
"""The size of the bare ingress's messages where the size of payproof's is unknown."""

HELD: Final = f"{PAYPROOF.name}, an old snapshot held"
"""A drain of payproof's during a dump."""


class Measurement(Struct, frozen=True):
    """`measure` gets the running servers; where its group has no servers, an empty directory."""

    name: str
    goals: Sequence[str]
    measure: Callable[[Any], Awaitable[None]]


class Group(Struct, frozen=True):
    """The measurements that share a pair of servers, started anew for them."""

    measurements: Sequence[Measurement]
    served: bool = True


def groups(plan: Plan, found: Results) -> list[Group]:
    """The groups in the order in which they run. Their figures are added to `found`."""
    runs = count(1)
    kinds = (
        [_idle(found, plan, bus) for bus in (BUSES if plan.alone else BUSES[:1])],
        list(_end_to_end(found, plan, runs)),
        list(_ingress(found, plan, runs)),
        list(_latency(found, plan, runs)),
        [_isolation(found, plan, next(runs))],
        list(_recovery(found, plan, runs)),
        [_cost(found, plan, next(runs)), _paced_cost(found, plan, next(runs)), _backlog(found, plan, next(runs))],
    )
    groups = [Group(kind) for kind in kinds] if plan.alone else [Group([one for kind in kinds for one in kind])]
    return [*groups, Group([_growth(found, plan)], served=False)] if plan.history else groups


def _idle(found: Results, plan: Plan, bus: Bus) -> Measurement:
    async def measure(both: Servers) -> None:
        found.idle.append(await idle(both, bus, plan.idle_seconds))

    return Measurement(f"idle, with {bus}", ("idle",), measure)


def _end_to_end(found: Results, plan: Plan, runs: Iterator[int]) -> Iterator[Measurement]:
    async def measure(contender: Contender, nth: int, run: int, both: Servers) -> None:
        payments = plan.peers_payments if contender in (FASTSTREAM, CELERY) else plan.payments
        found.drains[nth][contender.name] = await drain(both, contender, payments, run)

    async def measure_held(nth: int, run: int, both: Servers) -> None:
        found.drains[nth][HELD] = await drain(both, PAYPROOF, plan.payments, run, Under(snapshot=True))

    for nth in range(plan.rounds):
        found.drains.append({})
        for contender in _turned(CONTENDERS, nth):
            goals = YARDSTICKS if contender is PAYPROOF else (contender.name,)
            name = _round(f"end to end, {contender.name}", nth, plan)
            yield Measurement(name, goals, partial(measure, contender, nth, next(runs)))
            if contender is PAYPROOF and _tells_more(nth, plan):
                name = _round(f"end to end, {PAYPROOF_TWICE.name}", nth, plan)
                yield Measurement(name, (), partial(measure, PAYPROOF_TWICE, nth, next(runs)))
                yield Measurement(_round(f"end to end, {HELD}", nth, plan), (), partial(measure_held, nth, next(runs)))


def _ingress(found: Results, plan: Plan, runs: Iterator[int]) -> Iterator[Measurement]:
    async def measure(kind: Kind, nth: int, first: int, both: Servers) -> None:
        found.ingress[nth][f"{PAYPROOF.name} {kind}"] = await ingress(both, kind, first, plan.hits)

    async def measure_bare(kind: Kind, nth: int, first: int, both: Servers) -> None:
        ours = found.ingress[nth].get(f"{PAYPROOF.name} {kind}")
        size = BARE_BYTES if ours is None else ours.bytes
        found.ingress[nth][f"{BARE.name} {kind}"] = await bare(both, kind, first, plan.hits, size)

    for nth in range(plan.rounds):
        found.ingress.append({})
        for kind in _turned(KINDS, nth):
            first = _first(next(runs))
            name = _round(f"ingress, {kind}", nth, plan)
            yield Measurement(name, ("ingress",), partial(measure, kind, nth, first))
            yield Measurement(f"bare {name}", ("ingress",), partial(measure_bare, kind, nth, first))


def _latency(found: Results, plan: Plan, runs: Iterator[int]) -> Iterator[Measurement]:
    rate, seconds = plan.rate, plan.latency_seconds

    async def measure(contender: Contender, nth: int, first: int, both: Servers) -> None:
        measured = latency if contender is PAYPROOF else bare_latency
        found.paced[nth][contender.name] = await measured(both, first, per_second=rate, seconds=seconds)

    async def measure_apart(layout: Sequence[str], first: int, both: Servers) -> None:
        found.latencies.append(await latency(both, first, per_second=rate, seconds=seconds, layout=layout))

    async def measure_under(under: Under, first: int, both: Servers) -> None:
        found.latencies.append(await latency(both, first, per_second=rate, seconds=seconds, under=under))

    async def measure_full(first: int, both: Servers) -> None:
        found.saturated.append(await saturated(both, first, plan.saturated))

    for nth in range(plan.rounds):
        name = _round("latency at saturation", nth, plan)
        yield Measurement(name, (), partial(measure_full, _first(next(runs))))
        found.paced.append({})
        for contender in _turned((PAYPROOF, BARE), nth):
            name = _round(f"latency, {contender.name}", nth, plan)
            yield Measurement(name, ("latency",), partial(measure, contender, nth, _first(next(runs))))
        for layout in LAYOUTS.values():
            if plan.alone and layout != ALL_IN_ONE:
                name = _round(f"latency, {len(layout)} processes", nth, plan)
                yield Measurement(name, (), partial(measure_apart, layout, _first(next(runs))))
    for under in OTHERWISE:
        yield Measurement(f"latency, {under}", (), partial(measure_under, under, _first(next(runs))))


def _isolation(found: Results, plan: Plan, run: int) -> Measurement:
    async def measure(both: Servers) -> None:
        rate, seconds = plan.isolation_rate, plan.isolation_seconds
        found.isolation = await isolation(both, _first(run), per_second=rate, seconds=seconds, rounds=plan.rounds)

    return Measurement(f"beside one slow gateway, {plan.rounds} rounds", ("isolation",), measure)


def _recovery(found: Results, plan: Plan, runs: Iterator[int]) -> Iterator[Measurement]:
    async def measure(bus: Bus, consumers: int, first: int, both: Servers) -> None:
        found.recoveries.append(await recovery(both, first, bus=bus, consumers=consumers, kills=plan.kills))

    for bus in BUSES:
        for consumers, goal in ((2, "recovery"), (1, "restart")):
            name = f"after kill -9, with {bus}, of {consumers} that consume"
            yield Measurement(name, (goal,), partial(measure, bus, consumers, _first(next(runs))))


def _cost(found: Results, plan: Plan, run: int) -> Measurement:
    async def measure(both: Servers) -> None:
        found.cost = await cost(both, plan.payments, run)

    return Measurement("what payments cost that waited", (), measure)


def _paced_cost(found: Results, plan: Plan, run: int) -> Measurement:
    async def measure(both: Servers) -> None:
        found.paced_cost = await paced_cost(both, _first(run), rate=plan.rate, seconds=plan.cost_seconds)

    return Measurement(f"what payments cost, {plan.rate:g} a second", ("statements", "syncs", "wal"), measure)


def _backlog(found: Results, plan: Plan, run: int) -> Measurement:
    async def measure(both: Servers) -> None:
        found.backlog = await backlog(both, plan.backlog, run)

    return Measurement(f"a backlog of {plan.backlog:,} claims", (), measure)


def _growth(found: Results, plan: Plan) -> Measurement:
    async def measure(place: Path) -> None:
        found.growth = await growth(place, plan.history, payments=plan.payments, runs=plan.rounds, due=plan.due)

    return Measurement("growth, which fills its tables the first time", ("growth",), measure)


def _first(run: int) -> int:
    return run * RUN + 1


def _tells_more(nth: int, plan: Plan) -> bool:
    """Whether this round also measures what is reported beside the goals."""
    return plan.alone or nth == 0


def _round(what: str, nth: int, plan: Plan) -> str:
    return f"{what}, round {nth + 1} of {plan.rounds}"


def _turned(who: Sequence[Any], nth: int) -> Sequence[Any]:
    return (*who[nth % len(who) :], *who[: nth % len(who)])
