"""From a callback to its event by way of the bare ingress and the bare consumer: the yardstick for payproof's latency.

The same callbacks at the same set times, the same gateways, subscriber and servers. The yardstick has two processes,
where payproof's figure is of one process with every role, so the yardstick has the better of both cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from tests.bench.conditions import USUAL, Under
from tests.bench.contenders import BARE, bare_each
from tests.bench.hearing import hearing
from tests.bench.installation import READY_SECONDS, simulated_gateways
from tests.bench.latency import DELAY, OVER_SECONDS, beyond, pace
from tests.bench.servers import Servers
from tests.bench.spread import Spread, spread
from tests.harness import Child, free_ports

BYTES = 1000
"""The size of each claim, equal to that of payproof's claims."""


class BareLatency(Struct, frozen=True, kw_only=True):
    """As in Latency: milliseconds from a callback's set time to the arrival of its event, less its gateway's delay."""

    per_second: float
    milliseconds: Spread
    late_milliseconds: Spread
    under: str = ""

    @property
    def name(self) -> str:
        return "bare ingress | bare consumer" + (f", {self.under}" if self.under else "")


async def bare_latency(
    servers: Servers, first: int, *, per_second: float = 200.0, seconds: float = 20.0, under: Under = USUAL
) -> BareLatency:
    """Measure payments from number `first` on. Raises AssertionError when an event does not come."""
    await BARE.prepare(servers, first, first - 1)  # create its table, and empty queues
    delays = under.delays or DELAY
    async with under.upon(servers.database.url), hearing(servers.broker.url) as heard:
        with simulated_gateways(servers, delays) as gateways, _serving(servers, gateways.url) as port:
            paced = await pace(port, first, per_second, seconds)
            await heard.all_of(paced.due, OVER_SECONDS)
    return BareLatency(
        per_second=per_second,
        milliseconds=spread(list(beyond(paced.due, heard, delays).values())),
        late_milliseconds=paced.late_milliseconds,
        under=str(under),
    )


@contextmanager
def _serving(servers: Servers, gateways_url: str) -> Iterator[int]:
    """The port of the ingress."""
    (port,) = free_ports(1)
    words = (str(port), servers.broker.url, str(BYTES), "--claims")
    (consumer,) = bare_each(servers, gateways_url)
    ingress = Child(
        "bare ingress", "tests.bench.peers.bare_ingress", *words, log=servers.place / "bare.log", settings={}
    )
    try:
        consumer.start()
        ingress.start()
        ingress.wait_for(f"http://127.0.0.1:{port}/", seconds=READY_SECONDS)
        yield port
    finally:
        consumer.kill()
        ingress.kill()
