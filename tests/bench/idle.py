"""`python -m tests.bench.idle`: what one process with every role costs while nothing happens, with either bus.

Connecting, declaring queues and the first database look-ups come first and are not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from tests.bench.history import lived_in
from tests.bench.installation import simulated_gateways
from tests.bench.servers import Servers
from tests.bench.serving import serving
from tests.bench.spent import cpu_seconds, rss_bytes
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations

SETTLE_SECONDS = 10.0


class Idle(Struct, frozen=True, kw_only=True):
    """`percent` of one core; `wakeups_per_second` is how often one of its threads continued after waiting."""

    bus: Literal["rabbitmq", "postgres"]
    seconds: float
    percent: float
    wakeups_per_second: float
    rss_bytes: int


async def idle(servers: Servers, bus: Literal["rabbitmq", "postgres"] = "rabbitmq", seconds: float = 30.0) -> Idle:
    """The figures of a process with every role, after its start is over."""
    await apply_migrations(servers.database.url)
    with (
        simulated_gateways(servers) as gateways,
        serving(servers, gateways, broker=bus == "rabbitmq") as payproof,
    ):
        (pid,) = payproof.pids
        await asyncio.sleep(SETTLE_SECONDS)
        used, wakeups, began = cpu_seconds(payproof.pids), _wakeups(pid), time.monotonic()
        await asyncio.sleep(seconds)
        passed = time.monotonic() - began
        return Idle(
            bus=bus,
            seconds=passed,
            percent=(cpu_seconds(payproof.pids) - used) / passed * 100,
            wakeups_per_second=(_wakeups(pid) - wakeups) / passed,
            rss_bytes=rss_bytes(payproof.pids),
        )


def _wakeups(pid: int) -> int:
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        found = [line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches")]
        count += int(found[0].split()[1])
    return count


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    words = parser.parse_args()
    with directory() as place, lived_in(place) as both:
        for bus in ("rabbitmq", "postgres"):
            told = await idle(both, bus, words.seconds)
            print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
