"""Machines whose clocks are minutes apart: payproof's clock is the database's, and nothing may depend on another clock.

The wall clock is moved by libfaketime, which Debian has. The monotonic clock is not moved, as a wrong date does not
move it.
"""

from __future__ import annotations

import asyncio

from tests.fault.clocks import faked
from tests.fault.fleet import Fleet, Member
from tests.fault.load import buying

OFF = {"ingress": "-7m", "consumer-1": "+11m", "clockwork-1": "+5m", "clockwork-2": "-9m"}


async def test_clocks_minutes_apart(fleet: Fleet) -> None:
    off = {name: Member.twin(fleet, name, faked(by)) for name, by in OFF.items()}
    right = {name: fleet.members[name] for name in off}
    try:
        for name, member in off.items():
            await asyncio.to_thread(right[name].child.stop)
            fleet.members[name] = member
        await asyncio.to_thread(fleet.restore)
        async with buying(fleet) as load:
            await load.completed_anew(8)
            await load.more(20)
    finally:
        for name, member in off.items():
            await asyncio.to_thread(member.child.stop)
            fleet.members[name] = right[name]
        await asyncio.to_thread(fleet.restore)
