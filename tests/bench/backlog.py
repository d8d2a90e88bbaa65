"""`python -m tests.bench.backlog`: how long payproof takes to work off claims that arrived while no process ran.

All claims wait in RabbitMQ, then payproof is started. A long queue must be worked off as quickly as a short one, so the
rate of each tenth of the events is reported beside the average.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

from tests.bench.drain import DrainError, Listener, load
from tests.bench.history import lived_in
from tests.bench.installation import open_payments, service, simulated_gateways
from tests.bench.servers import Servers
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations

CLAIMS = 100_000
ROLES = "consume,relay"
SECONDS = 1200.0
PARTS = 10


class Backlog(Struct, frozen=True, kw_only=True):
    """`seconds` runs from the start of the process to the last event; `parts` is events a second in each tenth."""

    claims: int
    seconds: float
    per_second: float
    parts: Sequence[float]


async def backlog(
    both: Servers, claims: int = CLAIMS, run: int = 1, *, roles: str = ROLES, seconds: float = SECONDS
) -> Backlog:
    """Work off so many claims.

    Raises DrainError when that takes more than `seconds`, without the time to fill the queues.
    """
    first = run * 10_000_000 + 1
    await apply_migrations(both.database.url)
    _say(f"{claims:,} payments are opened, and their claims sent")
    await open_payments(both.database.url, first, first + claims - 1)
    await load(both.broker.url, first, first + claims - 1)
    with simulated_gateways(both) as gateways:
        async with Listener(both.broker.url) as listener:
            child = service(both, gateways.url, roles)
            child.start()
            began = time.perf_counter()
            try:
                marks = [began]
                for part in range(1, PARTS + 1):
                    events = claims * part // PARTS
                    await listener.heard(events, began + seconds - time.perf_counter())
                    marks.append(listener.at[events - 1])
                    _say(f"{events:,} of {claims:,} after {marks[-1] - began:.0f} s")
            except TimeoutError:
                raise DrainError(f"{len(listener.at):,} of {claims:,} events within {seconds:g} s") from None
            finally:
                child.stop()
    took = marks[-1] - began
    parts = tuple(claims / PARTS / (end - start) for start, end in pairwise(marks))
    return Backlog(claims=claims, seconds=took, per_second=claims / took, parts=parts)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backlog")
    parser.add_argument("--claims", type=int, default=CLAIMS)
    parser.add_argument("--roles", default=ROLES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds until it gives up")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with directory() as place, lived_in(place) as both:
        found = await backlog(both, words.claims, roles=words.roles, seconds=words.seconds)
    if words.json:
        print(msgspec.json.encode(found).decode())
    else:
        print(f"{found.claims:,} claims in {found.seconds:.0f} s, {found.per_second:,.0f} a second")
        print("by tenths: " + " ".join(f"{rate:,.0f}" for rate in found.parts))


if __name__ == "__main__":
    asyncio.run(main())
