"""Compose's services under the shipped files of Prometheus.

    python -m tests.e2e.watched --minutes 10

lets buyers pay at every gateway that can be asked, with the files as they are shipped, and prints each alert that was
pending or fired. It exits with 1 where there was an alert.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count, cycle

from msgspec import Struct

from tests.broker import RabbitMQ
from tests.e2e.boxes import Boxes, boxes_beside, installed
from tests.fault.postgres import Postgres
from tests.harness import CHECKED, Gateway, Scene, Stage, staged
from tests.processes import directory, until
from tests.prometheus import Prometheus, prometheus, scraped

SECONDS = 90
PAUSE_SECONDS = 0.5
"""Between two buyers of the command."""


class Watched(Struct, frozen=True):
    """An installation, the servers beside it, and the Prometheus that scrapes it."""

    boxes: Boxes
    broker: RabbitMQ
    postgres: Postgres
    prometheus: Prometheus

    def ringing(self) -> list[str]:
        """The alerts that are pending or firing, with their labels."""
        return sorted(str(alert["labels"]) for alert in self.prometheus.ask("alerts")["alerts"])

    async def holds(self, query: str) -> None:
        """Wait until the query has a series."""

        async def seen() -> bool:
            return bool(self.prometheus.query(query))

        await until(seen, what=query, seconds=SECONDS)

    async def quiet(self) -> None:
        """Wait until no alert is pending or firing."""

        async def silent() -> bool:
            return not self.ringing()

        await until(silent, what="no alert rings", seconds=SECONDS)


@asynccontextmanager
async def watched_services(*, every: str = "", pending: str = "") -> AsyncIterator[Watched]:
    """The services, healthy; everything is ended afterwards. The times are those of `prometheus`."""
    with directory() as home:
        home.chmod(0o755)
        with boxes_beside(installed(home), exports=True) as (boxes, broker, server):
            await boxes.make_logins()
            await boxes.up()
            services = {name: f"127.0.0.1:{boxes.ops[name]}" for name in scraped()}
            with prometheus(services, broker.exporter, every=every, pending=pending) as scraper:
                yield Watched(boxes, broker, server, scraper)


async def pay(stage: Stage, gateway: Gateway, number: int) -> None:
    """A buyer pays, and the shop is told. Raises Otherwise when it is told something else."""
    scene = Scene(stage, gateway, number)
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")


async def _watch(minutes: float) -> int:
    rang: set[str] = set()
    async with watched_services() as watched, staged(watched.boxes) as stage:
        await watched.quiet()  # Prometheus judges its rules once before it has scraped all targets
        began = time.monotonic()
        paid = 0
        for paid, gateway in zip(count(1), cycle(CHECKED), strict=False):
            await pay(stage, gateway, paid)
            rang.update(watched.ringing())
            spent = time.monotonic() - began
            if paid % 50 == 0:
                print(f"{spent / 60:.1f} min: {paid} payments, {len(rang)} alerts", flush=True)
            if spent > minutes * 60:
                break
            await asyncio.sleep(PAUSE_SECONDS)
    print(f"{minutes:g} min, {paid} payments: {', '.join(sorted(rang)) or 'no alert was pending or fired'}")
    return 1 if rang else 0


def _main() -> int:
    words = argparse.ArgumentParser(description="Watch healthy services with the shipped files of Prometheus.")
    words.add_argument("--minutes", type=float, default=10.0)
    return asyncio.run(_watch(words.parse_args().minutes))


if __name__ == "__main__":
    sys.exit(_main())
