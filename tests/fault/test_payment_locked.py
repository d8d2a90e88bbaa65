"""Another process keeps one payment locked, as if it vanished in a transaction: other payments do not wait."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.fault.test_database_dies import SETTINGS, address
from tests.harness import IPAY, Scene, staged
from tests.processes import loud, running, until

SECONDS = 20.0  # the lock is given up after 5, and then each claim is taken by itself


async def test_the_other_payments_of_its_gateway_go_on() -> None:
    with running(settings=SETTINGS) as system:
        async with staged(system) as stage:
            scenes = [Scene(stage, IPAY, number) for number in range(1, 5)]
            for scene in scenes:
                await scene.open()
            locked, *others = scenes

            async def given_up() -> bool:
                return "LockNotAvailableError" in system.service.log.read_text()

            async def completed(scene: Scene) -> bool:
                return (await stage.shop.payment(scene.payment["payment_id"]))["status"] == "completed"

            connection = await asyncpg.connect(address(system))
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", locked.payment["payment_id"])
            urls = [await scene.at_gateway("pay", webhook=False) for scene in scenes]
            await asyncio.gather(*map(stage.browser.get, urls))
            for scene in others:
                await until(lambda scene=scene: completed(scene), what="a payment beside a locked one", seconds=SECONDS)
            await until(given_up, what="a claim that waits no longer for the lock", seconds=SECONDS)
            assert not await completed(locked)
            await transaction.rollback()

            async def completed_once_due() -> bool:
                """A claim that is given up meanwhile waits for its lease again, so it is due at each look."""
                await connection.execute("UPDATE queue SET available_at = clock_timestamp()")
                return await completed(locked)

            await until(completed_once_due, what="the payment that was locked", seconds=SECONDS)
            await connection.close()
        assert loud(system.service.log.read_text()) == []
