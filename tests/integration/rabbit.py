"""The bus over a real RabbitMQ, with its connections running, on queues that are empty at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aio_pika
from msgspec import Struct

from consumers.providers import PROVIDERS as OURS
from schemas.secret import Secret
from tests.broker import RabbitMQ
from tests.processes import until
from worker.amqp.consumer_pool import ConsumerPool
from worker.amqp.link import connected
from worker.amqp.messages import REASON
from worker.amqp.publisher import Publisher
from worker.amqp.rabbit_bus import RabbitBus
from worker.amqp.topology import DEAD, EXPECTED, claims_queue
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics
from worker.verify.concurrency import WINDOW

PROVIDERS = ("ipay", "moneybag", "other")


class Rabbit(Struct):
    """`bus` is the same throughout; `reconnect` ends its consumer as by a worker's death, and begins a new one."""

    broker: RabbitMQ
    bus: RabbitBus
    publisher: Publisher
    pool: ConsumerPool
    metrics: Metrics
    running: asyncio.Task[None]

    async def reconnect(self) -> None:
        await end_one(self.running)
        self.running = asyncio.create_task(self.pool.run())
        await self.subscribed()

    async def subscribed(self) -> None:
        async def all_heard() -> bool:
            return not self.pool.missing()

        await until(all_heard, what="a consumer of every queue")

    async def dead_letters(self) -> list[str]:
        """The reasons of all dead letters, taken off the queue."""
        reasons = []
        connection = await aio_pika.connect(self.broker.url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.get_queue(DEAD, ensure=False)
            while (message := await queue.get(fail=False)) is not None:
                reasons.append(str(message.headers[REASON]))
                await message.ack()
        return reasons


@asynccontextmanager
async def attached(broker: RabbitMQ, database: Database) -> AsyncIterator[Rabbit]:
    await emptied(broker)
    metrics, url = Metrics(), Secret(broker.url)
    publisher, pool = Publisher(url, PROVIDERS), ConsumerPool(url, PROVIDERS, metrics, prefetch=WINDOW)
    bus = RabbitBus(publisher, pool, PostgresBus(database), database.clock, metrics)
    publishing = asyncio.create_task(publisher.run())
    await publisher.tried.wait()
    rabbit = Rabbit(broker, bus, publisher, pool, metrics, asyncio.create_task(pool.run()))
    try:
        await rabbit.subscribed()
        yield rabbit
    finally:
        for task in (rabbit.running, publishing):
            await end_one(task)


async def emptied(broker: RabbitMQ) -> None:
    """Delete every queue of ours, also those of other tests' gateways."""
    async with connected(Secret(broker.url), "tests") as connection:
        channel = await connection.channel()
        for name in (*map(claims_queue, {*PROVIDERS, *OURS}), EXPECTED, DEAD):
            await channel.queue_delete(name)


@contextmanager
def silent(broker: RabbitMQ, queue: str, *, host: str = "/") -> Iterator[None]:
    """A queue that does not answer: its process is suspended, which looks to clients like a queue without a leader."""
    does = (
        '[sys:{0}(element(1, amqqueue:get_pid(Q))) || Q <- rabbit_amqqueue:list(<<"{1}">>), '
        'element(4, amqqueue:get_name(Q)) =:= <<"{2}">>].'
    )
    broker.ctl("eval", does.format("suspend", host, queue))
    try:
        yield
    finally:
        broker.ctl("eval", does.format("resume", host, queue))
