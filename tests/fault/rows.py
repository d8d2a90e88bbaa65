"""The rows of the table of chaos: what fails, how, and the block during which it does.

A process that is killed is started again after AWAY_SECONDS, as a supervisor does. A slow process gets a tenth of its
time, and a slow network delays each piece that it carries.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from msgspec import Struct

from tests.broker import RabbitMQ
from tests.fault.clocks import faked
from tests.fault.faults import (
    broker_away,
    broker_frozen,
    broker_in_alarm,
    busy_node,
    database_away,
    node_cut_off,
    node_frozen,
    node_killed,
)
from tests.fault.fleet import Member
from tests.fault.site import ROLES, Site, fill
from worker.runtime.cancellation import end_one

AWAY_SECONDS = 3.0
STOPPED_SECONDS = 8.0
SILENT_SECONDS = 20.0  # longer than heartbeats and deadlines, so that connections are given up
SLOW_SECONDS = 12.0
DELAY_SECONDS = 0.1
ASLEEP_SECONDS, AWAKE_SECONDS = 0.9, 0.1

NETWORK = (
    ("kill", "cut", STOPPED_SECONDS),
    ("stop", "silent", SILENT_SECONDS),
    ("slow", "slow", SLOW_SECONDS),
)
Fault = Callable[[Site], AbstractAsyncContextManager[None]]
Do = Callable[[], object]


class Row(Struct, frozen=True):
    what: str
    how: str
    seconds: float
    fault: Fault


@asynccontextmanager
async def _killed(name: str, site: Site) -> AsyncIterator[None]:
    member = site.fleet.members[name]
    await asyncio.to_thread(member.child.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(member.start)


@asynccontextmanager
async def _stopped(name: str, site: Site) -> AsyncIterator[None]:
    pid = site.fleet.members[name].child.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def _slow(name: str, site: Site) -> AsyncIterator[None]:
    pid = site.fleet.members[name].child.pid
    async with _throttled(lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT)):
        yield


@asynccontextmanager
async def _throttled(freeze: Do, thaw: Do) -> AsyncIterator[None]:
    async def throttle() -> None:
        try:
            while True:
                freeze()
                await asyncio.sleep(ASLEEP_SECONDS)
                thaw()
                await asyncio.sleep(AWAKE_SECONDS)
        finally:
            thaw()

    throttling = asyncio.create_task(throttle())
    try:
        yield
    finally:
        await end_one(throttling)


@asynccontextmanager
async def _postgres_stopped(site: Site) -> AsyncIterator[None]:
    site.fleet.database.freeze()
    try:
        yield
    finally:
        site.fleet.database.thaw()


@asynccontextmanager
async def _disk_full(site: Site) -> AsyncIterator[None]:
    """PostgreSQL ends when it cannot write its log; it is started again when there is room."""
    await asyncio.to_thread(fill, site.disk)
    try:
        yield
    finally:
        (site.disk / "filler").unlink()
        await asyncio.to_thread(site.fleet.database.start)


@asynccontextmanager
async def _our_clocks(by: str, site: Site) -> AsyncIterator[None]:
    """Every process of ours is started again, on a machine whose clock is off."""
    right = dict(site.fleet.members)
    try:
        for name, member in right.items():
            await asyncio.to_thread(member.child.stop)
            site.fleet.members[name] = Member.twin(site.fleet, name, faked(by))
        await asyncio.to_thread(site.fleet.restore)
        yield
    finally:
        for name, member in right.items():
            await asyncio.to_thread(site.fleet.members[name].child.stop)
            site.fleet.members[name] = member
        await asyncio.to_thread(site.fleet.restore)


@asynccontextmanager
async def _its_clock(by: str, site: Site) -> AsyncIterator[None]:
    """PostgreSQL is started again, on a machine whose clock is off."""
    database = site.fleet.database
    await asyncio.to_thread(database.stop)
    await asyncio.to_thread(database.start_at, by)
    try:
        yield
    finally:
        await asyncio.to_thread(database.stop)
        await asyncio.to_thread(database.start)


def _network(name: str, does: str, site: Site) -> AbstractAsyncContextManager[None]:
    proxy = site.to_database if name == "PostgreSQL" else site.to_broker
    assert proxy is not None, "a cluster is cut by its own network"
    match does:
        case "cut":
            return proxy.cut()
        case "silent":
            return proxy.silent()
    return proxy.slow(DELAY_SECONDS)


def _broker_slow(site: Site) -> AbstractAsyncContextManager[None]:
    broker = site.fleet.broker
    assert isinstance(broker, RabbitMQ), "this site's broker is one node"
    return _throttled(broker.freeze, broker.thaw)


def rows() -> Sequence[Row]:
    """The rows of a site with a broker of one node."""
    table = []
    for role in ROLES:
        table.append(Row(role, "kill", AWAY_SECONDS, partial(_killed, role)))
        table.append(Row(role, "stop", STOPPED_SECONDS, partial(_stopped, role)))
        table.append(Row(role, "slow", SLOW_SECONDS, partial(_slow, role)))
    table += [
        Row("PostgreSQL", "kill", AWAY_SECONDS, lambda site: database_away(site.fleet, kill=True)),
        Row("PostgreSQL", "stop", SILENT_SECONDS, _postgres_stopped),
        Row("PostgreSQL", "slow", SLOW_SECONDS, _postgres_slow),
        Row("PostgreSQL's disk", "full", STOPPED_SECONDS, _disk_full),
        Row("RabbitMQ", "kill", AWAY_SECONDS, lambda site: broker_away(site.fleet, kill=True)),
        Row("RabbitMQ", "stop", SILENT_SECONDS, lambda site: broker_frozen(site.fleet)),
        Row("RabbitMQ", "slow", SLOW_SECONDS, _broker_slow),
        Row("RabbitMQ's disk", "full", STOPPED_SECONDS, lambda site: broker_in_alarm(site.fleet)),
    ]
    for server in ("PostgreSQL", "RabbitMQ"):
        for how, does, seconds in NETWORK:
            table.append(Row(f"network to {server}", how, seconds, partial(_network, server, does)))
    for by in ("+1h", "-1h"):
        table.append(Row("our clocks", by, SLOW_SECONDS, partial(_our_clocks, by)))
    for by in ("+1h", "-1h"):
        table.append(Row("PostgreSQL's clock", by, SLOW_SECONDS, partial(_its_clock, by)))
    return table


def _postgres_slow(site: Site) -> AbstractAsyncContextManager[None]:
    return _throttled(site.fleet.database.freeze, site.fleet.database.thaw)


def node_rows() -> Sequence[Row]:
    """The rows of a site whose broker is a cluster; the node is the one that leads a busy queue."""
    return [
        Row("one node of three", "kill", STOPPED_SECONDS, lambda site: node_killed(site.fleet)),
        Row("one node of three", "stop", SILENT_SECONDS, lambda site: node_frozen(site.fleet)),
        Row("one node of three", "slow", SLOW_SECONDS, _node_slow),
        Row("one node of three", "cut off", SILENT_SECONDS, lambda site: node_cut_off(site.fleet, "i")),
    ]


@asynccontextmanager
async def _node_slow(site: Site) -> AsyncIterator[None]:
    node = await busy_node(site.fleet)
    async with _throttled(node.freeze, node.thaw):
        yield
