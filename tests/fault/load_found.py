"""The load that a fleet takes on this machine, and buyers who come at a rate of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.fault.shoppers import Customer, shop_once, shop_until
from tests.harness import Stage

FEWEST, MOST = 8, 128
STEP_SECONDS = 6.0
"""The first buyers of a step have gone and others have come by then; so long it is counted afterwards."""
MORE = 1.1
"""Twice as many buyers must bring so many times the rate, or the machine takes no more."""


async def most_a_second(
    stage: Stage,
    rng: random.Random,
    customers: list[Customer],
    say: Callable[[str], None],
    *,
    lasts: float,
    most: int = MOST,
) -> tuple[float, int]:
    """Payments a second that the machine can bear for long, and with how many buyers at a time.

    The buyers are doubled until nothing is gained. That is a burst: a payment also leaves work for later, such as
    further questions and second attempts of webhooks. So the buyers then come for `lasts` seconds, but
    no fewer than three times STEP_SECONDS, and the last third is counted.
    """
    best, buyers, at = 0.0, FEWEST, FEWEST
    while buyers <= most:
        rate = await _rate(stage, rng, customers, buyers, STEP_SECONDS, STEP_SECONDS)
        say(f"calibration: {buyers} buyers at a time open {rate:.1f} payments a second")
        gained = rate > MORE * best
        if rate > best:
            best, at = rate, buyers
        if not gained:
            break
        buyers *= 2
    counted = max(STEP_SECONDS, lasts / 3)
    lasting = await _rate(stage, rng, customers, at, 2 * counted, counted)
    say(f"calibration: {at} buyers at a time open {lasting:.1f} payments a second after {2 * counted:.0f} s")
    return min(best, lasting), at


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


async def _rate(
    stage: Stage, rng: random.Random, customers: list[Customer], buyers: int, ahead: float, counted: float
) -> float:
    """Payments a second over `counted` seconds, after the buyers have come for `ahead` seconds."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(buyers):
            group.create_task(shop_until(over, stage, random.Random(rng.random()), customers))
        await asyncio.sleep(ahead)
        before, began = len(customers), time.monotonic()
        await asyncio.sleep(counted)
        rate = (len(customers) - before) / (time.monotonic() - began)
        over.set()
    return rate
