"""`python -m tests.bench.latency`: from a callback to its verified event, beyond the gateway's own time.

At a fixed rate, callbacks come at set times and are counted from those. At saturation so many buyers return at a time;
when a buyer is shown the outcome, the next buyer returns. The event is received over AMQP. A buyer feels the slow end
and not the average, so p50, p99 and p99.9 are reported.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from itertools import count as count_from
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tests.bench.conditions import STANDBY_SECONDS, USUAL, Under, add_options, under
from tests.bench.delays import SPREAD, Delays, fixed
from tests.bench.hearing import Hearing, hearing
from tests.bench.history import lived_in
from tests.bench.http_load import WARM, Answered, Load, ready
from tests.bench.installation import open_payments, simulated_gateways
from tests.bench.servers import Servers
from tests.bench.serving import ALL_IN_ONE, APART, TWO_CONSUME, serving
from tests.bench.spent import cpu_seconds
from tests.bench.spread import Spread, spread
from tests.bench.stages import Stages, stages
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations

if TYPE_CHECKING:
    from tests.bench.bare_latency import BareLatency

DELAY_SECONDS = 0.05
DELAY = fixed(DELAY_SECONDS)
BUYERS = 200
"""So many buyers wait for their outcome at a time, more than both cores can serve at once."""
LAYOUTS: Final = {"one": ALL_IN_ONE, "apart": APART, "two": TWO_CONSUME}
OTHERWISE: Final = (Under(delays=SPREAD), Under(standby=STANDBY_SECONDS), Under(snapshot=True))
"""The conditions that are reported beside the usual ones."""

WARM_SECONDS = 3.0
OVER_SECONDS = 60.0
SLOWEST = 20.0
"""Fewer outcomes a second than these are taken for a standstill."""


class Latency(Struct, frozen=True, kw_only=True):
    """Milliseconds from a callback's set time to the arrival of its event, less the delay of that payment's gateway.

    `under` names the conditions that were unusual; it is empty where none were. `late_milliseconds` is how far the
    sender was behind its set times; that time is included. `cpu_milliseconds` is the processor time that all processes
    of payproof together used for a payment.
    """

    layout: Sequence[str]
    per_second: float
    milliseconds: Spread
    late_milliseconds: Spread
    cpu_milliseconds: float
    stages: Stages
    under: str = ""

    @property
    def name(self) -> str:
        return " | ".join(self.layout) + (f", {self.under}" if self.under else "")


class Saturated(Struct, frozen=True, kw_only=True):
    """The figures with so many buyers at a time: `per_second` counts their outcomes; the rest is as in Latency."""

    buyers: int
    per_second: float
    milliseconds: Spread
    cpu_milliseconds: float


class Paced(Struct, frozen=True, kw_only=True):
    """The requests sent at a fixed rate after the warm-up: when each callback was due, and how late it was sent."""

    due: dict[int, float]
    late_milliseconds: Spread


async def latency(
    servers: Servers,
    first: int,
    *,
    per_second: float = 200.0,
    seconds: float = 20.0,
    layout: Sequence[str] = ALL_IN_ONE,
    under: Under = USUAL,
) -> Latency:
    """Measure payments from number `first` on. It uses up the rate times the seconds, and the warm-up."""
    url, delays = servers.database.url, under.delays or DELAY
    await apply_migrations(url)
    await open_payments(url, first, first + count(per_second, seconds) - 1)
    async with under.upon(url):
        with simulated_gateways(servers, delays) as gateways, serving(servers, gateways, layout) as payproof:
            async with hearing(servers.broker.url) as heard:
                used = cpu_seconds(payproof.pids)
                paced = await pace(payproof.port, first, per_second, seconds)
                await heard.all_of(paced.due, OVER_SECONDS)
                used = cpu_seconds(payproof.pids) - used
    return Latency(
        layout=layout,
        per_second=per_second,
        milliseconds=spread(list(beyond(paced.due, heard, delays).values())),
        late_milliseconds=paced.late_milliseconds,
        cpu_milliseconds=used / count(per_second, seconds) * 1000,
        stages=await stages(url, paced.due, heard.at),
        under=str(under),
    )


async def saturated(
    servers: Servers, first: int, payments: int, *, buyers: int = BUYERS, delays: Delays = DELAY
) -> Saturated:
    """Measure so many payments from number `first` on; the first tenth warms up."""
    await apply_migrations(servers.database.url)
    await open_payments(servers.database.url, first, first + payments - 1)
    with simulated_gateways(servers, delays) as gateways, serving(servers, gateways) as payproof:
        load = Load(port=payproof.port, kind="returns", first=first, count=payments, connections=buyers)
        async with hearing(servers.broker.url) as heard, ready(load) as running:
            used = cpu_seconds(payproof.pids)
            running.go()
            answered = await running.answered(OVER_SECONDS + payments / SLOWEST)
            await heard.all_of(range(first, first + payments), OVER_SECONDS)
            used = cpu_seconds(payproof.pids) - used
    return Saturated(
        buyers=buyers,
        per_second=answered.per_second,
        milliseconds=spread(list(beyond(_counted(answered, first, int(payments * WARM)), heard, delays).values())),
        cpu_milliseconds=used / payments * 1000,
    )


async def pace(port: int, first: int, per_second: float, seconds: float) -> Paced:
    """Send callbacks at that rate, the warm-up first. Returns when all are answered."""
    load = Load(port=port, kind="mixed", first=first, count=count(per_second, seconds), per_second=per_second)
    async with ready(load) as running:
        running.go()
        answered = await running.answered(WARM_SECONDS + seconds + OVER_SECONDS)
    assert answered.late_milliseconds is not None, "these hits had times"
    due = _counted(answered, first, int(WARM_SECONDS * per_second))
    return Paced(due=due, late_milliseconds=answered.late_milliseconds)


def _counted(answered: Answered, first: int, warm: int) -> dict[int, float]:
    """The time that each payment after the warm-up is counted from. Raises when a callback was not accepted."""
    if answered.statuses.keys() - {"200", "303"}:
        raise AssertionError(f"not every callback was accepted: {answered.statuses}")
    return dict(enumerate(answered.since[warm:], first + warm))


def count(per_second: float, seconds: float) -> int:
    return int((WARM_SECONDS + seconds) * per_second)


def beyond(due: Mapping[int, float], heard: Hearing, delays: Delays) -> dict[int, float]:
    """Milliseconds by payment, for the payments whose events came."""
    return {n: (heard.at[n] - at - delays.of(n)) * 1000 for n, at in due.items() if n in heard.at}


async def main() -> None:
    from tests.bench.bare_latency import bare_latency  # it imports this module

    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.latency",
        description="Measures saturation, the bare limit, each layout and each unusual condition; where a layout or "
        "a condition is given, only the bare limit and that.",
    )
    parser.add_argument("--rate", type=float, default=200.0, help="payments a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--payments", type=int, default=6000, help="number of payments at saturation")
    parser.add_argument("--layout", choices=LAYOUTS, help="how the roles are divided among processes")
    add_options(parser)
    words = parser.parse_args()
    put = under(parser, words)
    with directory() as place, lived_in(place) as both:
        firsts = (nth * 1_000_000 + 1 for nth in count_from(0))
        rate, seconds = words.rate, words.seconds
        for _ in range(words.runs):
            if put != USUAL or words.layout is not None:
                layout = LAYOUTS[words.layout or "one"]
                _show(await bare_latency(both, next(firsts), per_second=rate, seconds=seconds, under=put))
                _show(await latency(both, next(firsts), per_second=rate, seconds=seconds, layout=layout, under=put))
                continue
            full = await saturated(both, next(firsts), words.payments)
            print(
                f"{full.buyers} buyers at a time: {full.per_second:,.0f} a second, {full.milliseconds} (milliseconds)"
            )
            _show(await bare_latency(both, next(firsts), per_second=rate, seconds=seconds))
            for layout in LAYOUTS.values():
                _show(await latency(both, next(firsts), per_second=rate, seconds=seconds, layout=layout))
            for other in OTHERWISE:
                _show(await latency(both, next(firsts), per_second=rate, seconds=seconds, under=other))


def _show(told: Latency | BareLatency) -> None:
    print(msgspec.json.encode(told).decode())
    print(f"{told.name}: {told.milliseconds} (milliseconds); late {told.late_milliseconds}")
    if isinstance(told, Latency):
        for name in told.stages.__struct_fields__:
            print(f"  {name}: {getattr(told.stages, name)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
