"""How many payments a second an installation carries, from the measured cost of a payment: the smallest of its limits.

- The machine: all programs together use its cores.
- The consume processes: each is one Python process, and uses at most one core.
- The disk: a consume process writes one batch of replies after the other, and waits for the sync of each. Commits of
  several processes share a sync, so more processes wait no longer.

The model has no queueing in it, so it is a limit and not a forecast of waits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct


class PaymentCost(Struct, frozen=True, kw_only=True):
    """What a payment takes, measured. Processor time in seconds, `syncs` of the WAL in numbers, `wal` in bytes.

    `consume` is that of the processes that consume, `rest` that of the gateways and of the measurement itself. `syncs`
    are those of one process.
    """

    consume: float
    postgres: float
    rabbitmq: float
    rest: float
    syncs: float
    wal: float

    @property
    def processor(self) -> float:
        return self.consume + self.postgres + self.rabbitmq + self.rest


class Limit(Struct, frozen=True):
    name: str
    per_second: float


def limits(cost: PaymentCost, *, cores: float, consumers: int, sync_seconds: float) -> Sequence[Limit]:
    """Each limit in payments a second, the smallest first. `cores` are those of one machine that runs everything."""
    found = (
        Limit("the machine", cores / cost.processor),
        Limit("consume", min(consumers, cores) / cost.consume),
        Limit("the disk", consumers / (cost.syncs * sync_seconds) if cost.syncs * sync_seconds else math.inf),
    )
    return sorted(found, key=lambda one: one.per_second)


def predicted(cost: PaymentCost, *, cores: float, consumers: int, sync_seconds: float) -> Limit:
    """The limit that is reached first."""
    return limits(cost, cores=cores, consumers=consumers, sync_seconds=sync_seconds)[0]
