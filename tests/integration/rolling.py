"""A fleet that is upgraded: an older and a newer version of the service on one database, behind one front.

The front gives each connection to the next node that listens, as a load balancer does. A call that is about a certain
node goes to that node, past the front.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import asyncpg
from msgspec.structs import replace

from tests.e2e.buyers import GATEWAYS
from tests.harness import CHECKED as FIRST
from tests.harness import (
    QUICK,
    READY_SECONDS,
    Child,
    DemoFeed,
    Scene,
    Stage,
    StoryShop,
    System,
    ToldEvent,
    free_ports,
    staged,
)
from tests.processes import loud, until
from worker.runtime.cancellation import ended_at_exit

CHECKED = tuple(gateway.provider for gateway in FIRST)
"""The gateways that the releases know."""

THINKING = {"onepaybd": "execute", "ipay": "status", "moneybag": "status"}
"""Gateways that are asked while the fleet changes, and which of their calls takes long."""
THINKING_SECONDS = 6.0
TOLD = ("opened", "completed")
TOLD_SECONDS = 60.0
"""Longer than a lease of 0.1.0, which drops a reply that it cannot record and asks again when the lease ends."""

_KNOWN = "|".join(CHECKED)
NEWER_GATEWAY = re.compile(rf'^provider = "(?!(?:{_KNOWN})")', re.MULTILINE)
"""In an account's table: its gateway is one that no release knows yet."""

SETTINGS = QUICK.replace('give_up = "20s"', 'give_up = "1h"')
"""No payment is given up while the fleet changes."""


def without_newer_gateways(config: str) -> str:
    """The configuration as a release can read it, without accounts at gateways that it does not know."""
    tables = re.split(r"^(?=\[(?!merchants\.accounts\.))", config, flags=re.MULTILINE)
    return "".join(table for table in tables if not NEWER_GATEWAY.search(table))


class Node:
    """One process of the service, of one version, and its address."""

    def __init__(self, name: str, code: Path, system: System, settings: Mapping[str, str]) -> None:
        self.port, ops = free_ports(2)
        self.url, self._ops_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{ops}"
        own = {"PAYPROOF_LISTEN": f"127.0.0.1:{self.port}", "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}"}
        self.child = Child(
            *(name, "worker.cli", "serve"),
            log=system.place / f"{name}.log",
            settings={**settings, **own, "PYTHONPATH": str(code)},
        )

    async def start(self) -> None:
        """Start the process, which migrates, and wait until it is ready."""
        await asyncio.to_thread(self.child.start)
        await asyncio.to_thread(self.child.wait_for, f"{self._ops_url}/readyz", seconds=READY_SECONDS)

    async def stop(self) -> None:
        code = await asyncio.to_thread(self.child.stop)
        assert code == 0, f"it drains and ends in good order, and not by {code}:\n{self.child.log.read_text()[-3000:]}"

    def loud(self) -> list[str]:
        """The lines of its log that should wake a person."""
        return loud(self.child.log.read_text()) if self.child.log.exists() else []


class Front:
    """Where the shop, its buyers and the gateways' webhooks reach the fleet."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._ports = deque(node.port for node in nodes)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(len(self._ports)):
            self._ports.rotate()
            with suppress(OSError):
                answers, asking = await asyncio.open_connection("127.0.0.1", self._ports[0])
                await asyncio.gather(_pass_on(reader, asking), _pass_on(answers, writer))
                return
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class Fleet:
    """The two nodes, not yet started, and every payment that was opened at either.

    The stage's feed reads from one node for as long as that runs. `feed` reads each page from another node.
    """

    def __init__(self, older: Node, newer: Node, stage: Stage, http: aiohttp.ClientSession, key: str) -> None:
        self.older, self.newer, self.stage = older, newer, stage
        self._http, self._key = http, key
        self.feed = DemoFeed(self._shop(stage.url))
        self.scenes: list[Scene] = []

    async def opens(self, gateways: Iterable[str], at: Node) -> list[Scene]:
        """Payments that the shop opens by way of this node."""
        opened, stage = [], replace(self.stage, shop=self._shop(at.url))
        for gateway in gateways:
            scene = Scene(stage, GATEWAYS[gateway], len(self.scenes) + 1)
            await scene.open()
            self.scenes.append(scene)
            opened.append(scene)
        return opened

    async def pays(self, scenes: Iterable[Scene], at: Node) -> None:
        """The buyers pay and come back to this node, and the shop is told."""
        for scene in scenes:
            await self._returns(await scene.at_gateway("pay"), at)
            await scene.until(*TOLD, seconds=TOLD_SECONDS)

    @asynccontextmanager
    async def asking(self, at: Node) -> AsyncIterator[Callable[[Node], Awaitable[None]]]:
        """Buyers return to this node, their gateways think while the block runs, and then all outcomes are published.

        Yields a call that has the same buyers return to another node as well.
        """
        scenes = await self.opens(THINKING, at)
        for scene in scenes:
            slow = {"trouble": "slow", "on": THINKING[scene.gateway.provider], "seconds": THINKING_SECONDS}
            await self.stage.control.post("troubles", **_named(scene), **slow)
        links = [await scene.at_gateway("pay") for scene in scenes]

        async def come_back(to: Node) -> None:
            await asyncio.gather(*[self._returns(link, to) for link in links])

        async def all_asked() -> bool:
            return all([await self._calls(scene, THINKING[scene.gateway.provider]) for scene in scenes])

        async with asyncio.TaskGroup() as group:
            group.create_task(come_back(at))
            await until(all_asked, what="every gateway is asked")
            yield come_back
        for scene in scenes:
            await scene.until(*TOLD, seconds=TOLD_SECONDS)

    async def all_is_told(self) -> list[ToldEvent]:
        """Wait until both feeds have an outcome of every payment. Returns the whole log, read from its beginning."""

        async def told() -> bool:
            return all(
                feed.words(scene.payment["payment_id"]) == TOLD
                for scene in self.scenes
                for feed in (self.feed, self.stage.feed)
            )

        await until(told, what="the shop is told of every payment by both feeds")
        anew = DemoFeed(self.stage.shop)
        async with ended_at_exit({"anew": asyncio.create_task(anew.run())}):

            async def all_read() -> bool:
                return len(anew.all) >= 2 * len(self.scenes)

            await until(all_read, what="the log is read from its beginning")
        return anew.all

    async def executes(self) -> list[int]:
        """How often each payment that takes an Execute was executed, by the gateway's own count."""
        return [await self._calls(one, "execute") for one in self.scenes if one.gateway.provider == "onepaybd"]

    def _shop(self, url: str) -> StoryShop:
        return StoryShop(self._http, url, self._key, self.stage.shop.pages_url)

    async def _returns(self, link: str, at: Node) -> None:
        """The browser returns, and retries as the page asks while the node cannot store a claim (503)."""
        path = link.partition("/return/")[2]

        async def answered() -> int | None:
            status, *_ = await self.stage.browser.get(f"{at.url}/return/{path}")
            return status if status != 503 else None

        status = await until(answered, what="the node keeps the claim")
        assert status in (200, 303), "the confirming page, or the shop"

    async def _calls(self, scene: Scene, kind: str) -> int:
        by: dict[str, int] = (await self.stage.control.get("calls", **_named(scene)))["by"]
        return by[kind]


def _named(scene: Scene) -> dict[str, str]:
    return {"provider": scene.gateway.provider, "reference": scene.payment["reference"]}


@asynccontextmanager
async def rolling(
    system: System, dsn: str, older: Path, newer: Path, *, broker_url: str | None = None
) -> AsyncIterator[Fleet]:
    """A fleet of these codes with `system`'s sandbox.

    At the end neither node may have logged an error.
    """
    settings = {name: value for name, value in system.settings.items() if name != "PAYPROOF_AMQP_URL"}
    settings |= {"PAYPROOF_DATABASE_URL": dsn, "PAYPROOF_PUBLIC_URL": system.url}
    settings |= {} if broker_url is None else {"PAYPROOF_AMQP_URL": broker_url}
    # The newer node traces, so that its claims have a traceparent, which those of the older node may not have.
    tracing = settings | {"OTEL_TRACES_EXPORTER": "console"}
    nodes = Node("older", older, system, settings), Node("newer", newer, system, tracing)
    front = await asyncio.start_server(Front(nodes).carry, "127.0.0.1", int(system.url.rpartition(":")[2]))
    try:
        await asyncio.to_thread(system.sandbox.start)
        await asyncio.to_thread(
            system.sandbox.wait_for, f"{system.sandbox_url}/_control/troubles", seconds=READY_SECONDS
        )
        async with (
            staged(system) as stage,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
        ):
            fleet = Fleet(*nodes, stage, http, system.key)
            async with ended_at_exit({"feed": asyncio.create_task(fleet.feed.run())}):
                yield fleet
        loud = [line for node in nodes for line in node.loud()]
        assert not loud, loud
    finally:
        for child in (*(node.child for node in nodes), system.sandbox):
            await asyncio.to_thread(child.stop)
        front.close()


async def dead(dsn: str) -> Sequence[asyncpg.Record]:
    """The dead letters in the database."""
    database = await asyncpg.connect(dsn)
    try:
        return await database.fetch("SELECT * FROM dead")
    finally:
        await database.close()


def versions(bodies: Iterable[bytes]) -> dict[str, list[int]]:
    """The versions of each payment, in the order of its events."""
    found = defaultdict[str, list[int]](list)
    for body in bodies:
        event = json.loads(body)
        found[event["subject"]].append(event["data"]["version"])
    return dict(found)
