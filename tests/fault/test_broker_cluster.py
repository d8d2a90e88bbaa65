"""The broker is a cluster of three nodes: one of them is killed, suspended, cut off or out of disk, under load.

The node is always the leader of a busy gateway's queue. The other nodes elect a new leader, and the fleet's connections
move to them; meanwhile claims go to the spool.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.cluster import cluster, remove_stale
from tests.fault.faults import node_cut_off, node_frozen, node_in_alarm, node_killed
from tests.fault.fleet import Fleet, running_fleet
from tests.fault.load import Load, buying
from tests.processes import told_until_its_end, until

FLOW_SECONDS = 30.0

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def clustered() -> Iterator[Fleet]:
    with running_fleet(brokers=cluster) as fleet:
        yield fleet


@pytest.fixture
async def fleet(clustered: Fleet) -> Fleet:
    await asyncio.to_thread(clustered.restore)
    return clustered


async def test_it_is_killed_and_the_flow_goes_on_over_the_others(fleet: Fleet) -> None:
    async with buying(fleet, buyers=4) as load, node_killed(fleet):
        await flows(fleet, load)


async def test_it_is_suspended(fleet: Fleet) -> None:
    async with buying(fleet, buyers=4) as load, node_frozen(fleet):
        await flows(fleet, load)


async def test_it_is_cut_off_from_the_other_nodes(fleet: Fleet) -> None:
    """It goes on taking connections, and none of its queues answers."""
    async with buying(fleet, buyers=4) as load, node_cut_off(fleet, "i"):
        await flows(fleet, load)


async def test_its_disk_is_full_and_payments_are_verified_over_the_spool(fleet: Fleet) -> None:
    """An alarm of one node blocks what is published at every node."""
    async with buying(fleet, buyers=4) as load, node_in_alarm(fleet):
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


async def test_what_a_killed_process_left_is_removed_by_the_next() -> None:
    dying = (
        "import os, subprocess; from tests.cluster import Network\n"
        "network = Network(); network.build()\n"
        "words = [*network.inside(1), 'sleep', '600']\n"
        "left = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "print(os.getpid(), left.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", dying, stdout=subprocess.PIPE)
    owner, left = (await told_until_its_end(process, 60))[0].decode().split()
    assert f"pp{owner}-1" in networks()
    remove_stale()
    assert f"pp{owner}" not in networks()
    words = Path(f"/proc/{left}/cmdline")  # empty once it has ended
    await until(lambda: not words.exists() or not words.read_bytes(), what="its process has ended")


def networks() -> str:
    commands = (["ip", "netns", "list"], ["ip", "-o", "link"])
    return "".join(subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in commands)
