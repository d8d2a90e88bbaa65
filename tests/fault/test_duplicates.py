"""The same request many times at once: the gateway is asked a bounded number of times, and the shop gets one event."""

from __future__ import annotations

import asyncio

import aio_pika

from schemas.words import Source
from tests.fault.fleet import Fleet
from tests.fault.load import Load, buying
from tests.fault.shoppers import Customer
from tests.harness import IPAY, Scene
from worker.amqp.messages import claim_message
from worker.amqp.publisher import confirm
from worker.runtime.clock import DatabaseClock
from worker.verify.own_claims import own_claim

HITS = 1000
MOST_QUESTIONS = 12
"""Ten an hour for unsigned claims, and the schedule's own."""


async def test_a_thousand_returns_at_once(fleet: Fleet) -> None:
    async with buying(fleet, buyers=2, warm=2) as load:
        scene, url = await paid(load)
        await asyncio.gather(*(load.browser.get(url) for _ in range(HITS)))
        await scene.until("opened", "completed")
        assert await load.stage.control.questions("ipay", scene.payment["reference"]) <= MOST_QUESTIONS
        load.customers.append(Customer(gateway=IPAY, deed="pays", payment=scene.payment))


async def test_two_workers_with_the_same_claim(fleet: Fleet) -> None:
    """Copies of one message, which both workers get."""
    async with buying(fleet, buyers=2, warm=2) as load:
        scene, _ = await paid(load)
        payment_id = str(scene.payment["payment_id"])
        claim = own_claim(Source.OPERATOR, payment_id, IPAY.account, IPAY.provider, DatabaseClock().now())
        async with await aio_pika.connect(fleet.broker.url) as connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            await asyncio.gather(*(confirm(channel, claim_message(claim)) for _ in range(50)))
        await scene.until("opened", "completed")
        heard = [one for one in await load.stage.shop.timeline(payment_id) if one.get("claim_id") == claim.id]
        assert [one["verdict"] for one in heard if one["verdict"] != "repeated"] == ["asks"]
        assert await load.stage.control.questions("ipay", scene.payment["reference"]) <= MOST_QUESTIONS
        load.customers.append(Customer(gateway=IPAY, deed="pays and is lost", payment=scene.payment))


async def paid(load: Load) -> tuple[Scene, str]:
    """A payment that was paid without a message to payproof, and the address to which its buyer is sent."""
    scene = Scene(load.stage, IPAY, 1)
    await scene.open()
    return scene, await scene.at_gateway("pay")
