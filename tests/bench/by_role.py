"""What a payment costs each role, with each role in a process of its own, at a rate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import asyncpg
from msgspec import Struct

from tests.bench.cost import counted
from tests.bench.delays import AT_ONCE
from tests.bench.hearing import hearing
from tests.bench.installation import open_payments, simulated_gateways
from tests.bench.latency import OVER_SECONDS, count, pace
from tests.bench.servers import Servers
from tests.bench.serving import serving
from tests.bench.spent import cpu_seconds, family
from worker.postgres.server.migrate import apply_migrations

LAYOUT = ("ingress", "consume", "sweep", "relay", "deliver")
"""Nothing is due and there is no endpoint, so `sweep` and `deliver` show what they cost when they only wait."""


class RoleCost(Struct, frozen=True):
    """Seconds of processor time of each role's process and of both servers for one payment, and all connections."""

    seconds: Mapping[str, float]
    connections: int
    broker_connections: int


async def by_role(
    both: Servers, first: int, *, rate: float, seconds: float, layout: Sequence[str] = LAYOUT
) -> RoleCost:
    """Payments from number `first` on come as callbacks at this rate. Raises AssertionError for missing events."""
    payments = count(rate, seconds)
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, first, first + payments - 1)
    async with counted(both) as counting:
        with simulated_gateways(both, AT_ONCE) as gateways, serving(both, gateways, layout) as payproof:
            async with hearing(both.broker.url) as heard:
                before = _spent(counting.cpu(), layout, payproof.pids)
                await pace(payproof.port, first, rate, seconds)
                await heard.all_of(range(first, first + payments), OVER_SECONDS)
                after = _spent(counting.cpu(), layout, payproof.pids)
            opened = await connections(both)
            broker = len(re.findall("running", both.broker.ctl("list_connections", "state")))
    return RoleCost({name: (after[name] - before[name]) / payments for name in after}, opened, broker)


def _spent(programs: Sequence[float], layout: Sequence[str], pids: Sequence[int]) -> dict[str, float]:
    own = {roles: cpu_seconds(family(pid)) for roles, pid in zip(layout, pids, strict=True)}
    return own | {"PostgreSQL": programs[1], "RabbitMQ": programs[2]}


async def connections(both: Servers) -> int:
    """Those of payproof's processes to PostgreSQL, now."""
    connection = await asyncpg.connect(both.database.url)
    try:
        words = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'payproof%'"
        return int(await connection.fetchval(words))
    finally:
        await connection.close()
