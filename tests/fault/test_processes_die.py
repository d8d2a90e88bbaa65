"""`kill -9` of each role, at random moments under load: other processes take up the work that it had begun."""

from __future__ import annotations

import asyncio

import pytest

from tests.fault.faults import killed
from tests.fault.fleet import Fleet
from tests.fault.load import buying


@pytest.mark.parametrize("role", ["ingress", "consumer", "clockwork"])
async def test_a_process_is_killed_again_and_again(fleet: Fleet, role: str) -> None:
    names = [name for name in fleet.members if name.startswith(role)]
    async with buying(fleet) as load:
        for _ in range(3):
            await asyncio.sleep(load.rng.uniform(0, 0.5))
            await killed(fleet, load.rng.choice(names))


async def test_all_of_one_role_are_away_for_a_while(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        await asyncio.gather(*(killed(fleet, name, away=2.0) for name in ("consumer-1", "consumer-2")))
        await load.more(4)
        await asyncio.gather(*(killed(fleet, name, away=2.0) for name in ("clockwork-1", "clockwork-2")))
