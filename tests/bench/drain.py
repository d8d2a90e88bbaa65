"""`python -m tests.bench.drain`: claims that wait in RabbitMQ become verified, confirmed events; how many a second.

The one thing to get wrong: the start. All claims wait before the worker starts, and the clock runs from the first tenth
of the events to the last of them, so that neither starting up nor publishing the load is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import msgspec
from msgspec import Struct

from tests.bench.installation import config, open_payments
from tests.bench.numbered import GATEWAYS, claim
from tests.bench.servers import Servers, servers
from tests.processes import directory
from worker.amqp.messages import claim_post
from worker.amqp.publisher import confirm
from worker.amqp.topology import EVENTS, declare
from worker.demo.children import Child, free_ports
from worker.postgres.migrate import migrate

WARM = 0.1
SECONDS = 300.0


class Drained(Struct, frozen=True, kw_only=True):
    """What a drain came to. `cpu_seconds` and `rss_bytes` are of the contender's own processes."""

    payments: int
    per_second: float
    cpu_seconds: float
    rss_bytes: int


class Listener:
    """Somebody subscribed to `payment.completed.#`, who notes when the nth event came."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.at: list[float] = []

    async def __aenter__(self) -> Listener:
        self._connection = await aio_pika.connect(self._url)
        channel = await self._connection.channel()
        exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "payment.completed.#")
        underlay = await channel.get_underlay_channel()
        await underlay.basic_consume(queue.name, self._hear, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _hear(self, _: object) -> None:
        self.at.append(time.perf_counter())

    async def heard(self, events: int, seconds: float = SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while len(self.at) < events:
                await asyncio.sleep(0.05)


async def load(url: str, first: int, last: int) -> None:
    """Claims `first` to `last` wait in their queues, durable."""
    async with await aio_pika.connect(url) as connection:
        await declare(connection, GATEWAYS)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        now = datetime.now(UTC)
        for start in range(first, last + 1, 500):
            posts = [claim_post(claim(n, now)) for n in range(start, min(start + 500, last + 1))]
            await asyncio.gather(*[confirm(channel, post) for post in posts])


def per_second(at: Sequence[float]) -> float:
    warm = int(len(at) * WARM)
    return (len(at) - warm) / (at[-1] - at[warm])


async def drain(both: Servers, payments: int, roles: str, run: int = 1) -> Drained:
    (gateways, public, ops) = free_ports(3)
    url = f"http://127.0.0.1:{gateways}"
    toml = both.place / "payproof.toml"
    toml.write_text(config(url))
    await migrate(both.database.url)
    first = run * 10_000_000 + 1
    await open_payments(both.database.url, first, first + payments - 1)
    await load(both.broker.url, first, first + payments - 1)
    settings = {
        "PAYPROOF_CONFIG": str(toml),
        "PAYPROOF_DATABASE_URL": both.database.url,
        "PAYPROOF_AMQP_URL": both.broker.url,
        "PAYPROOF_LISTEN": f"127.0.0.1:{public}",
        "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
        "PAYPROOF_LOG": "json",
    }
    gateway = Child(
        "gateway",
        "tests.bench.gateway",
        str(gateways),
        log=both.place / "gateway.log",
        settings={"PYTHONPATH": str(Path.cwd())},
    )
    service = Child(
        "payproof", "worker.cli", "serve", f"--roles={roles}", log=both.place / "payproof.log", settings=settings
    )
    gateway.start()
    try:
        async with Listener(both.broker.url) as listener:
            service.start()
            await listener.heard(payments)
            stat = Path(f"/proc/{service.pid}/stat").read_text().split()
            cpu = (int(stat[13]) + int(stat[14])) / 100
            rss = int(Path(f"/proc/{service.pid}/statm").read_text().split()[1]) * 4096
    finally:
        service.kill()
        gateway.kill()
    return Drained(payments=payments, per_second=per_second(listener.at), cpu_seconds=cpu, rss_bytes=rss)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--roles", default="consume,relay")
    words = parser.parse_args()
    with directory() as place, servers(place) as both:
        for run in range(1, words.runs + 1):
            print(msgspec.json.encode(await drain(both, words.payments, words.roles, run)).decode())


if __name__ == "__main__":
    asyncio.run(main())
