"""The ways to die, each as one function: it begins, lasts, and ends with everything started again.

A function that fails half way still starts again what it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.broker import RabbitMQ
from tests.cluster import Cluster
from tests.fault.fleet import STOPPED_SECONDS, Fleet
from worker.amqp.topology import claims_queue

BUSY = claims_queue("ipay")
"""A fault of a cluster's node comes to the node that leads this queue."""


async def killed(fleet: Fleet, name: str, *, away: float = 0.0) -> None:
    """`kill -9` one process; it is started again after `away` seconds."""
    child = fleet.members[name].child
    await asyncio.to_thread(child.kill)
    await asyncio.sleep(away)
    await asyncio.to_thread(fleet.members[name].start)


async def terminated(fleet: Fleet, name: str) -> int | None:
    """SIGTERM to one process, which drains and is started again. Returns its exit code."""
    code = await asyncio.to_thread(fleet.members[name].child.stop, STOPPED_SECONDS)
    await asyncio.to_thread(fleet.members[name].start)
    return code


@asynccontextmanager
async def broker_away(fleet: Fleet, *, kill: bool = False) -> AsyncIterator[None]:
    await asyncio.to_thread(fleet.broker.kill if kill else fleet.broker.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(fleet.broker.start)
        if kill:
            await asyncio.to_thread(fleet.broker.mend)


@asynccontextmanager
async def broker_in_alarm(fleet: Fleet) -> AsyncIterator[None]:
    await asyncio.to_thread(fleet.broker.raise_alarm)
    try:
        yield
    finally:
        await asyncio.to_thread(fleet.broker.clear_alarm)


@asynccontextmanager
async def broker_frozen(fleet: Fleet) -> AsyncIterator[None]:
    fleet.broker.freeze()
    try:
        yield
    finally:
        fleet.broker.thaw()


@asynccontextmanager
async def database_away(fleet: Fleet, *, kill: bool = False) -> AsyncIterator[None]:
    await asyncio.to_thread(fleet.database.kill if kill else fleet.database.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(fleet.database.start)


@asynccontextmanager
async def node_killed(fleet: Fleet) -> AsyncIterator[None]:
    node = await busy_node(fleet)
    await asyncio.to_thread(node.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(node.start)


@asynccontextmanager
async def node_frozen(fleet: Fleet) -> AsyncIterator[None]:
    node = await busy_node(fleet)
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


@asynccontextmanager
async def node_in_alarm(fleet: Fleet) -> AsyncIterator[None]:
    node = await busy_node(fleet)
    await asyncio.to_thread(node.raise_alarm)
    try:
        yield
    finally:
        await asyncio.to_thread(node.clear_alarm)


@asynccontextmanager
async def node_cut_off(fleet: Fleet, sides: str) -> AsyncIterator[None]:
    """`sides` as in tests.cluster: `i` cuts it off from the other nodes, `o` from clients."""
    cluster = _cluster(fleet)
    node = await asyncio.to_thread(cluster.leader_of, BUSY)
    cluster.network.cut(node, sides)
    try:
        yield
    finally:
        cluster.network.heal(node)


async def busy_node(fleet: Fleet) -> RabbitMQ:
    cluster = _cluster(fleet)
    return cluster.nodes[await asyncio.to_thread(cluster.leader_of, BUSY)]


def _cluster(fleet: Fleet) -> Cluster:
    assert isinstance(fleet.broker, Cluster), "this fleet's broker is a cluster"
    return fleet.broker
