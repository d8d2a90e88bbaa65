"""Postgres goes away under a fleet: callbacks that name their payment are still taken, and no acknowledged one is lost.

With the broker away as well no callback can be made durable: then every sender is asked to retry.
"""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fault.faults import broker_away, database_away
from tests.fault.fleet import Fleet
from tests.fault.load import Load, buying
from tests.fault.shoppers import Customer, patiently
from tests.processes import until

READ = {"orderId": "one", "payment_id": "one", "paymentID": "one", "paymentId": "one"}
"""A field that each gateway's reader knows: a form without it is not read."""


@pytest.mark.parametrize("kill", [False, True], ids=["restarted", "killed"])
async def test_it_is_started_again_at_once(fleet: Fleet, kill: bool) -> None:
    async with buying(fleet) as load:
        for _ in range(2):
            async with database_away(fleet, kill=kill):
                pass
            await load.more(2)


async def test_notifications_are_taken_over_the_broker_while_it_is_away(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        customer = await somebody(load)
        before = await notifications(load, customer)
        async with database_away(fleet), aiohttp.ClientSession() as http:
            for _ in range(5):
                async with http.post(address(load, "ipn", customer), data=READ) as answer:
                    assert (answer.status, await answer.json()) == (200, {"received": True})
            await asyncio.sleep(2)

        async def recorded() -> bool:
            return len(await notifications(load, customer) - before) == 5

        await until(recorded, what="the callbacks answered 200 in its timeline")


async def test_with_the_broker_away_too_everyone_is_told_to_come_again(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        customer = load.customers[0]
        async with broker_away(fleet), database_away(fleet), aiohttp.ClientSession() as http:
            for kind, media in (("ipn", "application/json"), ("return", "text/html")):
                async with http.get(address(load, kind, customer), allow_redirects=False) as answer:
                    assert (answer.status, answer.content_type) == (503, media)
                    assert int(answer.headers["Retry-After"]) > 0
            async with http.get(f"{address(load, 'return', customer)}/wait") as answer:
                assert answer.status == 200
                assert "Confirming your payment" in await answer.text()


def address(load: Load, kind: str, customer: Customer) -> str:
    return f"{load.stage.url}/{kind}/{customer.gateway.account}/{customer.payment_id}"


async def somebody(load: Load) -> Customer:
    """A customer of a gateway that sends no notifications of its own."""

    async def found() -> Customer | None:
        return next((one for one in load.customers if not one.gateway.notifies), None)

    return await until(found, what="a customer whose gateway sends no notifications")


async def notifications(load: Load, customer: Customer) -> set[object]:
    """The claims from notifications; a claim that was received twice counts once."""
    entries = await patiently(lambda: load.stage.shop.timeline(customer.payment_id))
    return {entry["claim_id"] for entry in entries if entry["kind"] == "claim" and entry["source"] == "ipn"}
