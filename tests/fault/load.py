"""Customers who buy while processes die, and the check when everything is back.

The customers are drawn from the printed seed, so the same seed sends the same customers. Which customer meets which
fault depends on the machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from tests.fault.fleet import Fleet
from tests.fault.hurrying import hurried
from tests.fault.judging import judge
from tests.fault.shoppers import Customer, PatientBrowser, shop_until
from tests.harness import Stage, staged
from tests.processes import until

SEED = int(os.environ.get("PAYPROOF_TEST_SEED") or secrets.randbits(32))
BUYERS = 8
FLOWING = 4
WARM = 8  # payments in progress before the first fault


class Load(msgspec.Struct):
    """The load in progress. No new customer comes once `over` is set; `shoppers` end when theirs are served.

    `dead` are the dead letters that the test caused, by reason, and `loud` the events that it had logged as errors.
    """

    fleet: Fleet
    stage: Stage
    browser: PatientBrowser
    rng: random.Random
    customers: list[Customer] = msgspec.field(default_factory=list)
    over: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    shoppers: Sequence[asyncio.Task[None]] = ()
    dead: Sequence[str] = ()
    loud: Sequence[str] = ()

    async def more(self, payments: int) -> None:
        """Wait until so many more payments were opened."""
        wanted = len(self.customers) + payments

        async def opened() -> bool:
            return len(self.customers) >= wanted

        await until(opened, what=f"{payments} more payments", seconds=60)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Let no new customer come, and serve the last. The block judges, while payments are asked about sooner."""
        self.over.set()
        async with hurried(self.fleet.database.url):
            await asyncio.gather(*self.shoppers)
            yield

    async def completed_anew(self, payments: int) -> None:
        """Wait until so many payments that are opened from now on are verified as paid, with their events sent."""
        await until(self._anew(payments), what=f"{payments} more payments completed", seconds=60)

    async def flows_again(self, heard: Container[str], *, seconds: float) -> float:
        """Wait until payments that are opened from now on are completed, with their events in the log and in `heard`.

        Returns after how many seconds they were. `heard` are the events that came over AMQP, by id.
        """
        began = time.monotonic()
        await until(self._anew(FLOWING, heard), what="payments told over AMQP", seconds=seconds)
        return time.monotonic() - began

    def _anew(self, payments: int, heard: Container[str] | None = None) -> Callable[[], bool]:
        """Whether so many payments of customers who come from now on are completed, and in `heard` if that is given."""
        before = {customer.payment_id for customer in self.customers}

        def completed(payment_id: str) -> bool:
            return any(
                told.word == "completed" and (heard is None or told.id in heard)
                for told in self.stage.feed.by_payment[payment_id]
            )

        def enough() -> bool:
            anew = {one.payment_id for one in self.customers} - before
            return sum(map(completed, anew)) >= payments

        return enough


@asynccontextmanager
async def shopping(fleet: Fleet, rng: random.Random, *, buyers: int = BUYERS, warm: int = WARM) -> AsyncIterator[Load]:
    """So many buyers come and go while the block runs, from when `warm` payments are in progress.

    The block ends with `Load.served`.
    """
    async with (
        fleet.subscriber.listening(),
        staged(fleet) as shared,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        browser = PatientBrowser(http)
        load = Load(fleet, msgspec.structs.replace(shared, browser=browser), browser, rng)
        async with asyncio.TaskGroup() as going:
            load.shoppers = [
                going.create_task(shop_until(load.over, load.stage, random.Random(rng.random()), load.customers))
                for _ in range(buyers)
            ]
            await load.more(warm)
            yield load


@asynccontextmanager
async def buying(fleet: Fleet, *, buyers: int = BUYERS, warm: int = WARM) -> AsyncIterator[Load]:
    """Buyers come and go while the block runs.

    Then the last are served, everything is put back, and the end is checked.
    """
    print(f"PAYPROOF_TEST_SEED={SEED}")
    async with shopping(fleet, random.Random(SEED), buyers=buyers, warm=warm) as load:
        yield load
        await asyncio.to_thread(fleet.restore)
        await load.more(warm)
        async with load.served():
            await judge(fleet, load.stage, load.browser, load.customers, dead=load.dead, loud=load.loud)
    print(f"{len(load.customers)} payments")
