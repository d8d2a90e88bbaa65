"""`kill -9` of the service at random moments while buyers pay: every payment has its right end and one event for it.

The seed is printed; `PAYPROOF_TEST_SEED` sets it and `PAYPROOF_TEST_KILLS` how often. The same seed kills after the
same pauses and sends the same customers; which customer meets which kill depends on the machine. A question's lease is
30 seconds and Execute's 40, so questions in flight when the process died take that long. An Execute that never ran is
called again a minute after it was asked.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections import Counter

import aiohttp
import msgspec
import pytest

from tests.fault.judging import assert_told_once, ends, everything_told, none
from tests.fault.shoppers import Customer, PatientBrowser, patiently, shop_until
from tests.harness import DemoFeed, Stage, System, ToldEvent, staged
from tests.processes import loud, running

KILLS = int(os.environ.get("PAYPROOF_TEST_KILLS") or 25)
SEED = int(os.environ.get("PAYPROOF_TEST_SEED") or secrets.randbits(32))
CUSTOMERS_AT_ONCE = 24
END_SECONDS = 180.0
SETTINGS = """\
return_wait = "2s"

[checks]
claimed = ["300ms", "500ms", "1s"]
pending = ["1s", "2s", "3s"]
closed = ["5s"]
refunds = ["5s", "20s"]
grace = "1s"
confirm_end = "5s"
give_up = "1h"
"""


@pytest.mark.timeout(600)
async def test_killed_anywhere_every_payment_reaches_its_right_end(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nPAYPROOF_TEST_SEED={SEED} PAYPROOF_TEST_KILLS={KILLS}")
    rng = random.Random(SEED)
    with running(settings=SETTINGS) as system:
        async with staged(system) as shared, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            browser = PatientBrowser(http)
            stage = msgspec.structs.replace(shared, browser=browser)
            customers: list[Customer] = []
            await shop_and_kill(system, stage, rng, customers)
            none((await ends(stage, customers, seconds=END_SECONDS)).all, what="right ends not reached")
            told = await everything_told(stage.shop)
            assert_told_once(told)
            assert_read_as_told(stage.feed, told)
            await assert_nothing_lost(stage, browser, customers)
            assert loud(system.service.log.read_text()) == []
            with capsys.disabled():
                print(f"{len(customers)} payments over {KILLS} kills: {dict(Counter(one.deed for one in customers))}")


async def shop_and_kill(system: System, stage: Stage, rng: random.Random, customers: list[Customer]) -> None:
    """Customers come and go while the service is killed and started again.

    Returns when the last customer was served.
    """
    over = asyncio.Event()
    async with asyncio.TaskGroup() as shopping:
        for _ in range(CUSTOMERS_AT_ONCE):
            shopping.create_task(shop_until(over, stage, random.Random(rng.random()), customers))
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.05, 2.5))
            await asyncio.to_thread(system.service.kill)
            if rng.random() < 0.25:  # and once more before it is ready
                system.service.start()
                await asyncio.sleep(rng.uniform(0.05, 1.0))
                await asyncio.to_thread(system.service.kill)
            await asyncio.to_thread(system.start_service)
        over.set()


def assert_read_as_told(feed: DemoFeed, told: list[ToldEvent]) -> None:
    """No id with two contents, and no position filled in later."""
    assert feed.conflicts == []
    assert [(one.id, one.raw) for one in feed.all] == [(one.id, one.raw) for one in told[: len(feed.all)]]


async def assert_nothing_lost(stage: Stage, browser: PatientBrowser, customers: list[Customer]) -> None:
    """Every callback answered with success is in the timeline: returns, webhooks, notifications."""
    deliveries = (await stage.control.get("deliveries"))["deliveries"]
    for one in customers:
        entries = await patiently(lambda named=one.payment_id: stage.shop.timeline(named))
        claims = Counter(entry["source"] for entry in entries if entry["kind"] == "claim")
        assert claims["return"] >= browser.acknowledged.get(one.payment_id, 0)
        delivered = Counter(
            "ipn" if sent["event_type"] == "ipn" else "webhook"
            for sent in deliveries
            if sent["reference"] == one.payment["reference"] and "200" in str(sent["statuses"])
        )
        assert claims["webhook"] >= delivered["webhook"]
        assert claims["ipn"] >= delivered["ipn"]
