"""A subscriber to `payment.completed.#` that notes when the event of each payment came, by the payment's number.

An event is recognised by its message id. Parsing its body would add to the measured time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import aio_pika
from aiormq.abc import DeliveredMessage

from tests.bench.numbered import number_in
from worker.amqp.topology import EVENTS


class Hearing:
    """`at` is when the first event of payment n arrived, by `time.perf_counter`."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self._missing: set[int] = set()
        self._complete = asyncio.Event()

    async def hear(self, message: DeliveredMessage) -> None:
        now = time.perf_counter()
        event_id = str(message.header.properties.message_id)
        n = number_in(event_id.partition(".")[0])
        self.at.setdefault(n, now)
        self._missing.discard(n)
        if not self._missing:
            self._complete.set()

    async def all_of(self, numbers: Collection[int], seconds: float) -> None:
        """Wait until each has arrived; only one caller may wait at a time.

        Raises AssertionError with the number missing.
        """
        self._missing = set(numbers) - self.at.keys()
        if not self._missing:
            return
        self._complete.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._complete.wait()
        except TimeoutError:
            missing = f"{len(self._missing)} of {len(numbers)}"
            raise AssertionError(f"{missing} events did not come within {seconds:g} s") from None


@asynccontextmanager
async def hearing(url: str) -> AsyncIterator[Hearing]:
    """A subscriber that listens while the block runs."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "payment.completed.#")
        underlay = await channel.get_underlay_channel()
        heard = Hearing()
        await underlay.basic_consume(queue.name, heard.hear, no_ack=True)
        yield heard
