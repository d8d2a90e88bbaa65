"""A subscriber over AMQP: a queue bound to `payment.#` that keeps events while no consumer listens.

At least once means that an event may come twice. It must then be the same event to the byte, which is checked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from schemas.secret import Secret
from worker.amqp.link import UNREACHABLE, closing_of, connected
from worker.amqp.messages import REASON
from worker.amqp.topology import DEAD, EVENTS
from worker.runtime.broker_nodes import nodes_of
from worker.runtime.cancellation import end_one

QUEUE = "tests.events"
NAME = "tests"
AGAIN_SECONDS = 0.2
WATCH_SECONDS = 5.0
AWAY = (*UNREACHABLE, RuntimeError)  # aio-pika raises RuntimeError for a connection that closed under a call


class Subscriber:
    """`heard` holds every event by its id; `conflicts` the ids that came with different bytes."""

    def __init__(self, url: str) -> None:
        self._url = Secret(url)
        self.heard: dict[str, bytes] = {}
        self.repeats = 0
        self.conflicts: list[str] = []

    async def bind(self) -> None:
        """Make the queue before the first event: the broker drops events that are published before it is bound."""
        async with connected(self._url, NAME) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
            queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(exchange, "payment.#")

    async def waiting(self, queues: Sequence[str]) -> list[int]:
        """How many messages each queue has ready, as the queue itself says; rabbitmqctl's counts are seconds old."""
        async with connected(self._url, NAME) as connection:
            channel = await connection.channel()
            declared = [await channel.declare_queue(name, passive=True) for name in queues]
            return [queue.declaration_result.message_count or 0 for queue in declared]

    async def dead_letters(self) -> list[str]:
        """The reasons of all dead letters at the broker, removed from its queue."""
        reasons = []
        async with connected(self._url, NAME) as connection:
            queue = await (await connection.channel()).get_queue(DEAD, ensure=False)
            while (message := await queue.get(fail=False)) is not None:
                reasons.append(str(message.headers[REASON]))
                await message.ack()
        return reasons

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Receive events while the block runs, over a connection that is renewed whenever it ends."""
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            await end_one(running)

    async def _run(self) -> None:
        for node in cycle(nodes_of(self._url)):
            with suppress(*AWAY):
                async with connected(node, NAME) as connection:
                    end = closing_of(connection)
                    async with asyncio.timeout(5):
                        channel = await connection.channel()
                        await channel.set_qos(prefetch_count=100)
                        queue = await channel.get_queue(QUEUE, ensure=False)
                        await queue.consume(self._hear)
                    while not end.is_set() and not await self._forgotten():
                        with suppress(TimeoutError):
                            async with asyncio.timeout(WATCH_SECONDS):
                                await end.wait()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _forgotten(self) -> bool:
        """Whether the broker has messages ready and delivers none to us."""
        heard = len(self.heard) + self.repeats
        async with asyncio.timeout(5):
            (waiting,) = await self.waiting([QUEUE])
        await asyncio.sleep(1)
        return waiting > 0 and heard == len(self.heard) + self.repeats

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        assert message.message_id is not None, "an event has its id as the message's"
        known = self.heard.setdefault(message.message_id, message.body)
        self.repeats += message.redelivered or known is not message.body
        if known != message.body:
            self.conflicts.append(message.message_id)
        with suppress(*AWAY):
            await message.ack()
