"""The load that a fleet takes on this machine, and buyers who come at a rate of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.fault.shoppers import Customer, shop_once, shop_until
from tests.harness import Stage

FEWEST, MOST = 8, 128
STEP_SECONDS = 12.0
MORE = 1.1
"""Twice as many buyers must bring so many times the rate, or the machine takes no more."""


async def most_a_second(
    stage: Stage, rng: random.Random, customers: list[Customer], say: Callable[[str], None], *, most: int = MOST
) -> tuple[float, int]:
    """Payments a second at the most, and with how many buyers at a time: these are doubled until nothing is gained."""
    best, buyers, at = 0.0, FEWEST, FEWEST
    while buyers <= most:
        rate = await _rate(stage, rng, customers, buyers)
        say(f"calibration: {buyers} buyers at a time open {rate:.1f} payments a second")
        gained = rate > MORE * best
        if rate > best:
            best, at = rate, buyers
        if not gained:
            break
        buyers *= 2
    return best, at


async def arrive(
    until: float, per_second: float, at_once: int, stage: Stage, rng: random.Random, customers: list[Customer]
) -> int:
    """Buyers come at random times until `until`, by time.monotonic, at most so many at once. All are served to the end.

    Returns how many could not come, since too many were there.
    """
    turned_away = 0
    async with asyncio.TaskGroup() as group:
        serving = set[asyncio.Task[None]]()
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, rng.expovariate(per_second)))
            if len(serving) >= at_once:
                turned_away += 1
                continue
            task = group.create_task(shop_once(stage, random.Random(rng.random()), customers))
            serving.add(task)
            task.add_done_callback(serving.discard)
    return turned_away


async def _rate(stage: Stage, rng: random.Random, customers: list[Customer], buyers: int) -> float:
    """The rate of the second half of a step, when the first buyers have gone and others have come."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(buyers):
            group.create_task(shop_until(over, stage, random.Random(rng.random()), customers))
        await asyncio.sleep(STEP_SECONDS / 2)
        before, began = len(customers), time.monotonic()
        await asyncio.sleep(STEP_SECONDS / 2)
        rate = (len(customers) - before) / (time.monotonic() - began)
        over.set()
    return rate
