"""`python -m tests.bench.isolation`: how a gateway that answers after five seconds affects payments of other gateways.

The same fixed rate, first with all gateways healthy and then with Moneybag slow, alternated against one running
service. After a slow round everything of it is waited for, so that the next healthy round is healthy.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from tests.bench.hearing import Hearing, hearing
from tests.bench.history import lived_in
from tests.bench.installation import open_payments, simulated_gateways
from tests.bench.latency import DELAY, DELAY_SECONDS, beyond, count, pace
from tests.bench.numbered import gateway_of
from tests.bench.servers import Servers
from tests.bench.serving import ALL_IN_ONE, serving
from tests.bench.spread import Spread, spread
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations

SLOW: Final = "moneybag"
SLOW_SECONDS = 5.0
HEARD_SECONDS = 60.0
DRAINED_SECONDS = 300.0


class Isolation(Struct, frozen=True, kw_only=True):
    """Milliseconds beyond the gateways' delay, of the payments of the gateways that stay healthy, round by round.

    `ratio` is the median p99 with the slow gateway divided by the median p99 without it.
    """

    per_second: float
    healthy: Sequence[Spread]
    beside_slow: Sequence[Spread]
    ratio: float


async def isolation(
    servers: Servers,
    first: int,
    *,
    per_second: float = 150.0,
    seconds: float = 15.0,
    rounds: int = 2,
    layout: Sequence[str] = ALL_IN_ONE,
) -> Isolation:
    """Measure the other gateways before and while one is slow, in `rounds`. Uses payments from number `first` on.

    A round uses `count(per_second, seconds)` payments for each of its two parts.
    """
    each = count(per_second, seconds)
    await apply_migrations(servers.database.url)
    await open_payments(servers.database.url, first, first + 2 * rounds * each - 1)
    healthy, beside_slow = [], []
    with (
        simulated_gateways(servers, DELAY) as gateways,
        serving(servers, gateways, layout) as payproof,
    ):
        async with hearing(servers.broker.url) as heard:
            for nth in range(rounds):
                begin = first + 2 * nth * each
                healthy.append(await _round(payproof.port, heard, begin, per_second, seconds))
                await heard.all_of(range(begin, begin + each), DRAINED_SECONDS)
                gateways.delay(SLOW, SLOW_SECONDS)
                try:
                    beside_slow.append(await _round(payproof.port, heard, begin + each, per_second, seconds))
                finally:
                    gateways.delay(SLOW, DELAY_SECONDS)
                await heard.all_of(range(begin + each, begin + 2 * each), DRAINED_SECONDS)
    p99s = ([one.p99 for one in spreads] for spreads in (beside_slow, healthy))
    slow, fast = map(statistics.median, p99s)
    return Isolation(per_second=per_second, healthy=healthy, beside_slow=beside_slow, ratio=slow / fast)


async def _round(port: int, heard: Hearing, first: int, per_second: float, seconds: float) -> Spread:
    paced = await pace(port, first, per_second, seconds)
    others = [n for n in paced.due if gateway_of(n) != SLOW]
    await heard.all_of(others, HEARD_SECONDS)
    told = beyond(paced.due, heard, DELAY)
    return spread([told[n] for n in others])


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=150.0, help="payments a second, of all gateways together")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    words = parser.parse_args()
    with directory() as place, lived_in(place) as both:
        told = await isolation(both, 1, per_second=words.rate, seconds=words.seconds, rounds=words.rounds)
        print(msgspec.json.encode(told).decode())
        for healthy, slow in zip(told.healthy, told.beside_slow, strict=True):
            print(f"all healthy: {healthy}; beside a slow one: {slow} (milliseconds)")
        print(f"ratio of p99: {told.ratio:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
