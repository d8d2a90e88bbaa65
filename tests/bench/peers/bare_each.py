"""The bare limit where claims come one at a time: as `bare`, except that no claim waits for another's answer.

Each claim is asked about as it comes, over the same clients as payproof's: aiohttp, aiormq and asyncpg. Answers that
arrive while a group is committed and published form the next group. Answers come in another order than claims, so each
claim is acknowledged by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvloop
from aiormq import Channel
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

from tests.bench.peers.bare import BATCH, INSERT, PREFETCH, SECONDS, Named, Queue, read, work


class Each(Queue):
    """One gateway's claims, from its queue to the events."""

    async def run(self, connection: AbstractConnection, publishing: Channel) -> None:
        self._answered: list[tuple[DeliveredMessage, Named, bytes]] = []
        insert = await self._database.prepare(INSERT)
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=PREFETCH)
        await channel.basic_consume(f"payproof.claims.{self._gateway}", self._deliver)
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._answered:
                group, self._answered = self._answered[:BATCH], self._answered[BATCH:]
                messages, claims, answers = map(list, zip(*group, strict=True))
                await self._settle(channel, publishing, insert, messages, claims, answers)

    async def _deliver(self, message: DeliveredMessage) -> None:
        """Runs in a task of its own for each."""
        claim = read(message.body)
        async with asyncio.timeout(SECONDS):
            answer = await self._ask_one(claim)
        self._answered.append((message, claim, answer))
        self._arrived.set()

    async def _acknowledge(self, channel: AbstractChannel, messages: Sequence[DeliveredMessage]) -> None:
        for message in messages:
            await channel.basic_ack(message.delivery_tag or 0, wait=False)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(Each))
