"""Messages that kill every worker: they become dead letters with the reason, and everything else flows."""

from __future__ import annotations

import re
import uuid

import aio_pika
from msgspec.structs import replace

from schemas.words import Source
from tests.fault.fleet import Fleet
from tests.fault.hurrying import hurried
from tests.fault.judging import dead_letters
from tests.fault.load import buying
from tests.processes import until
from worker.amqp.messages import OutgoingMessage, claim_message
from worker.amqp.publisher import confirm
from worker.runtime.clock import DatabaseClock
from worker.verify.own_claims import own_claim

POISON = replace(
    own_claim(Source.OPERATOR, "pay_\x00", "shop-ipay", "ipay", DatabaseClock().now()),
    id=uuid.uuid4().hex,
)
"""A text in Postgres cannot hold a NUL, so every attempt to take this claim fails by itself."""


async def test_one_that_cannot_be_read(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        post = replace(claim_message(POISON), body=b'{"newer": 1}')
        await publish(fleet, post)
        await load.completed_anew(8)
        load.dead, load.loud = ["ValidationError in receive"], ["claim.unreadable"]


async def test_one_that_fails_by_itself(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        await publish(fleet, claim_message(POISON))
        await load.completed_anew(8)
        load.loud = ["claim.failed"]
        async with hurried(fleet.database.url):  # five attempts, half a minute apart

            async def put_aside() -> list[str] | None:
                return await dead_letters(fleet) or None

            (reason,) = await until(put_aside, what="a dead letter", seconds=120)
        assert re.fullmatch(r"CharacterNotInRepertoireError at \S+:\d+, 5 times", reason)


async def publish(fleet: Fleet, post: OutgoingMessage) -> None:
    async with await aio_pika.connect(fleet.broker.url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await confirm(channel, post)
