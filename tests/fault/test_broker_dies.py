"""The broker goes away, freezes, or accepts publishes and confirms nothing: claims go to the spool meanwhile.

`PAYPROOF_TEST_AWAY_SECONDS` is how long it stays away in the tests where it does.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.fault.faults import broker_away, broker_frozen, broker_in_alarm
from tests.fault.fleet import Fleet
from tests.fault.load import buying

AWAY_SECONDS = float(os.environ.get("PAYPROOF_TEST_AWAY_SECONDS") or 8)


@pytest.mark.parametrize("kill", [False, True], ids=["restarted", "killed"])
async def test_it_is_started_again_at_once(fleet: Fleet, kill: bool) -> None:
    async with buying(fleet), broker_away(fleet, kill=kill):
        pass


async def test_it_is_away_for_longer_and_payments_are_verified_meanwhile(fleet: Fleet) -> None:
    async with buying(fleet) as load, broker_away(fleet):
        await load.completed_anew(8)
        await asyncio.sleep(AWAY_SECONDS)


async def test_its_connections_are_cut(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        for _ in range(3):
            await asyncio.to_thread(fleet.broker.cut_connections)
            await load.more(4)


async def test_its_disk_is_full_for_a_while(fleet: Fleet) -> None:
    async with buying(fleet) as load, broker_in_alarm(fleet):
        await load.completed_anew(8)


async def test_it_freezes_for_a_while(fleet: Fleet) -> None:
    """Longer than a publish waits, and shorter than a heartbeat, so that connections stay open without data."""
    async with buying(fleet) as load, broker_frozen(fleet):
        await load.completed_anew(8)
        await asyncio.sleep(4)
