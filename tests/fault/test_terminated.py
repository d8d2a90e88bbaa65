"""SIGTERM under load, as every deployment sends it: each process drains within its deadline and exits with 0."""

from __future__ import annotations

import asyncio

from tests.fault.faults import terminated
from tests.fault.fleet import Fleet
from tests.fault.load import buying


async def test_every_process_in_turn_drains_and_loses_nothing(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        for name in fleet.members:
            began = asyncio.get_running_loop().time()
            assert (name, await terminated(fleet, name)) == (name, 0)
            assert asyncio.get_running_loop().time() - began < 30
            await load.more(2)
