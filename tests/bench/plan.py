"""How much is measured: the whole plan, and the quick plan that leaves the growth out.

A drain that is over within two seconds would measure only the start of the queues.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace


class Plan(Struct, frozen=True, kw_only=True):
    """`rounds` is how often each is measured, in turns; a payment here is one claim and its verified event.

    `peers_payments` are those of the slow contenders, whose rate is as steady over fewer. `alone`: each group of
    measurements has servers of its own, which takes some seconds each time, and the figures beside the goals are
    measured in every round instead of the first alone.

    `saturated` is how many payments buyers wait for, as many at a time as keep both cores busy. `cost_seconds` is how
    long the cost of a payment is counted, from a checkpoint on. A page's first change after a checkpoint is written
    whole: 6.0 kB of a payment's WAL in the first 13 s, 2.0 kB in the first 63 s (2026-11-29, 200 payments a second,
    PostgreSQL 15). PostgreSQL lets five minutes pass between two checkpoints.

    `kills` is how often the process that asks is killed, of each bus and layout. `history` are the numbers of completed
    payments that the tables hold; the others are compared with the first. `due` are the numbers due in the sweep; none
    where growth is left out. Rates are payments a second.
    """

    rounds: int
    alone: bool
    payments: int
    peers_payments: int
    hits: int
    rate: float
    latency_seconds: float
    cost_seconds: float
    saturated: int
    isolation_rate: float
    isolation_seconds: float
    idle_seconds: float
    backlog: int
    kills: int
    history: tuple[int, ...] = ()
    due: int = 100_000


WHOLE: Final = Plan(
    rounds=5,
    alone=True,
    payments=10_000,
    peers_payments=4_000,
    hits=8_000,
    rate=200.0,
    latency_seconds=15.0,
    cost_seconds=60.0,
    saturated=6_000,
    isolation_rate=150.0,
    isolation_seconds=10.0,
    idle_seconds=30.0,
    backlog=100_000,
    kills=5,
    history=(10_000, 1_000_000, 10_000_000),
)
QUICK: Final = Plan(
    rounds=3,
    alone=False,
    payments=6_000,
    peers_payments=800,
    hits=1_500,
    rate=200.0,
    latency_seconds=3.0,
    cost_seconds=10.0,
    saturated=1_500,
    isolation_rate=100.0,
    isolation_seconds=3.0,
    idle_seconds=8.0,
    backlog=5_000,
    kills=2,
)


def planned(*, quick: bool, rounds: int | None) -> Plan:
    plan = QUICK if quick else WHOLE
    return plan if rounds is None else replace(plan, rounds=rounds)
