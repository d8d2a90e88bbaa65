"""Claims that come together: grouped while others are on their way, and none failing for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from consumers.bus import BusAway
from schemas.callbacks import Claim
from schemas.words import Source
from tests.fakes.bus import FakeBus
from tests.fakes.clock import FakeClock
from worker.claims import own_claim
from worker.http.together import AT_ONCE, LARGEST, Together

AT = datetime(2026, 11, 21, tzinfo=UTC)


def a_claim() -> Claim:
    return own_claim(Source.OPERATOR, "pay_1", "shop-ipay", "ipay", AT)


class SlowBus(FakeBus):
    """Takes a group when it is let; `refuses` is the id of a claim that nobody can make durable."""

    def __init__(self) -> None:
        super().__init__(FakeClock(AT))
        self.groups: list[tuple[list[str], bool]] = []
        self.let = asyncio.Semaphore(0)
        self.refuses: str | None = None
        self.away = False

    async def publish(self, claims: Sequence[Claim], *, later: bool = False) -> None:
        self.groups.append(([claim.id for claim in claims], later))
        await self.let.acquire()
        if self.away:
            raise BusAway("away")
        if self.refuses in [claim.id for claim in claims]:
            raise ValueError("not that one")
        await super().publish(claims, later=later)


async def begun(publishing: Sequence[asyncio.Task[None]]) -> None:
    """Each has come as far as it can."""
    for _ in range(3 + len(publishing)):
        await asyncio.sleep(0)


async def test_what_comes_while_others_are_on_their_way_goes_as_one() -> None:
    bus = SlowBus()
    together, claims = Together(bus), [a_claim() for _ in range(AT_ONCE + 3)]
    publishing = []
    for claim in claims:
        publishing.append(asyncio.create_task(together.publish(claim)))
        await begun(publishing)
    assert [group for group, _ in bus.groups] == [[claim.id] for claim in claims[:AT_ONCE]]
    assert together.in_line == 3
    for _ in claims:
        bus.let.release()
    await asyncio.gather(*publishing)
    assert bus.groups[AT_ONCE:] == [([claim.id for claim in claims[AT_ONCE:]], False)]
    assert together.in_line == 0


async def test_nothing_is_acknowledged_before_its_group_is_durable() -> None:
    bus = SlowBus()
    publishing = [asyncio.create_task(Together(bus).publish(a_claim()))]
    await begun(publishing)
    assert not publishing[0].done()
    bus.let.release()
    await publishing[0]


async def test_what_may_wait_goes_after_all_others_and_apart_from_them() -> None:
    bus = SlowBus()
    together, first = Together(bus), [a_claim() for _ in range(AT_ONCE)]
    late, prompt = a_claim(), a_claim()
    publishing = []
    for claim in first:
        publishing.append(asyncio.create_task(together.publish(claim)))
        await begun(publishing)
    publishing.append(asyncio.create_task(together.publish(late, later=True)))
    publishing.append(asyncio.create_task(together.publish(prompt)))
    await begun(publishing)
    for _ in range(4):
        bus.let.release()
    await asyncio.gather(*publishing)
    assert bus.groups[AT_ONCE:] == [([prompt.id], False), ([late.id], True)]


async def test_one_that_cannot_be_made_durable_fails_alone() -> None:
    bus = SlowBus()
    together, claims = Together(bus), [a_claim() for _ in range(AT_ONCE + 3)]
    bus.refuses = claims[-2].id
    publishing = []
    for claim in claims:
        publishing.append(asyncio.create_task(together.publish(claim)))
        await begun(publishing)
    for _ in range(2 * len(claims)):
        bus.let.release()
    said = await asyncio.gather(*publishing, return_exceptions=True)
    assert [type(one) for one in said] == [type(None)] * AT_ONCE + [type(None), ValueError, type(None)]


async def test_a_bus_that_is_away_fails_all_of_a_group_at_once() -> None:
    bus = SlowBus()
    bus.away = True
    together = Together(bus)
    publishing = [asyncio.create_task(together.publish(a_claim())) for _ in range(LARGEST)]
    await begun(publishing)
    for _ in range(AT_ONCE + 1):
        bus.let.release()
    said = await asyncio.gather(*publishing, return_exceptions=True)
    assert all(isinstance(one, BusAway) for one in said)
    assert len(bus.groups) <= AT_ONCE + 1


async def test_whoever_stops_waiting_takes_nobody_along() -> None:
    bus = SlowBus()
    together, claims = Together(bus), [a_claim() for _ in range(AT_ONCE + 2)]
    publishing = []
    for claim in claims:
        publishing.append(asyncio.create_task(together.publish(claim)))
        await begun(publishing)
    publishing[-1].cancel()
    for _ in claims:
        bus.let.release()
    said = await asyncio.gather(*publishing, return_exceptions=True)
    assert [type(one) for one in said] == [type(None)] * (AT_ONCE + 1) + [asyncio.CancelledError]
    with pytest.raises(asyncio.CancelledError):
        publishing[-1].result()
