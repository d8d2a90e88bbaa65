"""One gateway's queue does not answer, as a quorum queue without a leader: the other gateways' claims still flow.

Its process at the broker is suspended, which looks to clients like a queue without a leader.
"""

from __future__ import annotations

import asyncio

from tests.broker import RabbitMQ
from tests.integration.rabbit import attached, silent
from tests.integration.test_bus import a_claim
from tests.processes import until
from worker.amqp.topology import claims_queue
from worker.postgres.database import Database
from worker.runtime.cancellation import end_one


async def test_the_others_are_heard_and_it_is_too_once_it_answers(aside: RabbitMQ, database: Database) -> None:
    async with attached(aside, database) as rabbit:
        with silent(aside, claims_queue("ipay"), host="aside"):
            await end_one(rabbit.running)
            rabbit.running = asyncio.create_task(rabbit.pool.run())

            async def all_but_one() -> bool:
                return rabbit.pool.missing() == ["ipay"]

            await until(all_but_one, what="consumers of the other queues")
            await rabbit.bus.publish([other := a_claim("moneybag")])
            (heard,) = await asyncio.wait_for(rabbit.bus.receive("moneybag", 10), 10)
            assert heard.claim == other
            await rabbit.bus.ack([heard])
        await rabbit.subscribed()
