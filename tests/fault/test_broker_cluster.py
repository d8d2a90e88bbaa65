"""The broker is a cluster of three nodes: one of them is killed, suspended, cut off or out of disk, under load.

The node is always the leader of a busy gateway's queue. The other nodes elect a new leader, and the fleet's connections
move to them; meanwhile claims go to the spool.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import aiohttp
import pytest

from tests.cluster import cluster
from tests.fault.faults import node_cut_off, node_frozen, node_in_alarm, node_killed
from tests.fault.fleet import Fleet, running_fleet
from tests.fault.load import Load, buying
from tests.processes import until

FLOW_SECONDS = 30.0

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]


@pytest.fixture(scope="module")
def clustered() -> Iterator[Fleet]:
    with running_fleet(brokers=cluster) as fleet:
        yield fleet


@pytest.fixture
async def fleet(clustered: Fleet) -> Fleet:
    await asyncio.to_thread(clustered.restore)
    return clustered


async def test_it_is_killed_and_the_flow_goes_on_over_the_others(fleet: Fleet) -> None:
    async with buying(fleet) as load, node_killed(fleet):
        await flows(fleet, load)


async def test_it_is_suspended(fleet: Fleet) -> None:
    async with buying(fleet) as load, node_frozen(fleet):
        await flows(fleet, load)


@pytest.mark.parametrize("sides", ["i", "io"], ids=["from the other nodes", "from everyone"])
async def test_it_is_cut_off(fleet: Fleet, sides: str) -> None:
    """Cut off from the others alone, it goes on taking connections, and none of its queues answers."""
    async with buying(fleet) as load, node_cut_off(fleet, sides):
        await flows(fleet, load)


async def test_its_disk_is_full_and_payments_are_verified_over_the_spool(fleet: Fleet) -> None:
    """An alarm of one node blocks what is published at every node."""
    async with buying(fleet) as load, node_in_alarm(fleet):
        await until(lambda: ingress_says(fleet, spooling=True), what="ingress says that it spools")
        await load.completed_anew(4)
    await until(lambda: ingress_says(fleet, spooling=False), what="ingress publishes again")


async def flows(fleet: Fleet, load: Load) -> None:
    """Payments that are opened from now on are completed and told over the broker, and every queue is consumed."""
    took = await load.flows_again(fleet.subscriber.heard, seconds=FLOW_SECONDS)
    print(f"the flow goes on after {took:.1f} s")


async def ingress_says(fleet: Fleet, *, spooling: bool) -> bool:
    """Whether it is ready, and says that what RabbitMQ should get goes to Postgres, or that it does not."""
    async with aiohttp.ClientSession() as http, http.get(f"{fleet.members['ingress'].ops_url}/readyz") as answer:
        told = await answer.json()
    return bool(told["ready"]) and told["spooling"] == spooling
