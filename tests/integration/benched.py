"""The servers of a short measurement: a PostgreSQL of its own, and the broker that other tests also use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika

from tests.bench.servers import Postgres, Servers
from tests.broker import RabbitMQ
from tests.processes import directory


@asynccontextmanager
async def benched(broker: RabbitMQ, **settings: str) -> AsyncIterator[Servers]:
    """`settings` are PostgreSQL's. Afterwards the broker has no queue of the measurement."""
    with directory() as place:
        place.chmod(0o755)  # the database's own user must get through
        database = Postgres(place / "postgres")
        try:
            database.start(**settings)
            yield Servers(place, database, broker)
        finally:
            database.stop()
            await _delete_queues(broker)


async def _delete_queues(broker: RabbitMQ) -> None:
    _, *names = (await asyncio.to_thread(broker.ctl, "list_queues", "name")).split()
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        for name in names:
            await channel.queue_delete(name)
