"""A channel ends under messages that a worker holds: acknowledging them does no harm, and loses no other message."""

from __future__ import annotations

import asyncio

from consumers.ports.bus import ClaimMessage
from tests.broker import RabbitMQ
from tests.integration.rabbit import Rabbit, attached
from tests.integration.test_bus import a_claim
from tests.processes import until
from worker.postgres.database import Database


async def test_what_was_done_on_a_channel_that_ended_comes_again_once(aside: RabbitMQ, database: Database) -> None:
    async with attached(aside, database) as rabbit:
        await rabbit.bus.publish([claim := a_claim()])
        stale = await received(rabbit, 1)
        await rabbit.reconnect()
        await rabbit.bus.ack(stale)
        again = await received(rabbit, 1)
        assert [one.claim for one in again] == [claim]
        await rabbit.bus.ack(again)
        await assert_nothing_comes(rabbit)


async def test_one_of_a_channel_that_ended_keeps_no_other_from_its_acknowledgement(
    aside: RabbitMQ, database: Database
) -> None:
    async with attached(aside, database) as rabbit:
        await rabbit.bus.publish([a_claim()])
        stale = await received(rabbit, 1)
        await rabbit.reconnect()
        await rabbit.bus.publish([a_claim()])
        fresh = await received(rabbit, 2)
        await rabbit.bus.ack([*stale, *fresh])
        await assert_nothing_comes(rabbit)


async def test_one_of_a_channel_that_ended_can_be_given_back(aside: RabbitMQ, database: Database) -> None:
    """A worker that had the claim in hand while database and broker were both away does this."""
    async with attached(aside, database) as rabbit:
        await rabbit.bus.publish([claim := a_claim()])
        stale = await received(rabbit, 1)
        await rabbit.reconnect()
        await rabbit.bus.requeue(stale)
        again = await received(rabbit, 1)
        assert [one.claim for one in again] == [claim]
        await rabbit.bus.ack(again)
        await assert_nothing_comes(rabbit)


async def received(rabbit: Rabbit, claims: int) -> list[ClaimMessage]:
    heard: list[ClaimMessage] = []
    while len(heard) < claims:
        heard += await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 10)
    return heard


async def assert_nothing_comes(rabbit: Rabbit) -> None:
    """A message that was not acknowledged would be delivered again to a new consumer."""
    await rabbit.reconnect()

    async def none_waits() -> bool:
        return (await rabbit.bus.depths()).get("ipay") == 0 and not rabbit.pool.has_buffered("ipay")

    await until(none_waits, what="an empty queue")
    await rabbit.bus.publish([last := a_claim()])
    heard = await received(rabbit, 1)
    assert [one.claim for one in heard] == [last]
    await rabbit.bus.ack(heard)
