"""A rolling upgrade: the code of each release, from its commit, runs on today's schema beside today's code."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.contract import released
from tests.e2e.buyers import GATEWAYS
from tests.processes import directory, until
from tests.schema import archived, breaks, commit_of, has_history, schema_of
from worker.demo.children import Child, environment, free_ports
from worker.demo.feed import Feed
from worker.demo.playing import staged
from worker.demo.scene import Scene, Stage
from worker.demo.shop import Shop
from worker.demo.system import READY_SECONDS, System
from worker.postgres.database import connect

RELEASES = released()
NEWER = ("confirm_end = ", "not_found = ")
"""Keys of the demo's configuration that no release knows yet; both run by one file."""


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
async def test_the_schema_only_grew_since_a_release(release: Path, dsn: str) -> None:
    """Unless a contraction says so: then that release cannot run here any more, and is told so."""
    async with connect(dsn) as database:
        contracted = await database.fetch("SELECT version FROM contractions")
    found = breaks((release / "schema.txt").read_text().splitlines(), await schema_of(dsn))
    assert found == [] or contracted


class Node(Struct, frozen=True):
    """One process of the service and where it is reached."""

    child: Child
    url: str
    ops_url: str

    async def start(self) -> None:
        await asyncio.to_thread(self.child.start)
        await asyncio.to_thread(self.child.wait_for, f"{self.ops_url}/readyz", seconds=READY_SECONDS)


class Beside(Struct, frozen=True):
    """Both, on one database and with one configuration; the stage's shop calls the older."""

    older: Node
    newer: Node
    stage: Stage
    http: aiohttp.ClientSession
    system: System

    def through(self, node: Node) -> Stage:
        """The same stage, but the shop and the buyer reach this node."""
        shop = Shop(self.http, node.url, self.system.key, self.stage.shop.pages_url)
        return replace(self.stage, shop=shop, url=node.url)


@pytest.fixture(scope="module")
def older_code() -> Iterator[Path]:
    if not has_history():
        pytest.skip("what was released is in the history, and this copy has none")
    with tempfile.TemporaryDirectory(prefix="payproof-released-") as place:
        yield archived(commit_of(RELEASES[-1]), Path(place))


def test_the_released_code_is_what_runs(older_code: Path) -> None:
    settings = environment() | {"PYTHONPATH": str(older_code)}
    for name in ("worker.process", "consumers.pipeline", "schemas.callbacks"):
        words = [sys.executable, "-P", "-c", f"import {name}; print({name}.__file__)"]
        where = subprocess.run(words, env=settings, cwd="/", capture_output=True, text=True, check=True).stdout
        assert Path(where.strip()).is_relative_to(older_code)


@asynccontextmanager
async def beside(dsn: str, code: Path) -> AsyncIterator[Beside]:
    with directory() as place:
        system = System(place)
        system.configure()
        known = [line for line in system.config.read_text().splitlines(keepends=True) if not line.startswith(NEWER)]
        system.config.write_text("".join(known))

        def node(name: str, **more: str) -> Node:
            listen, ops = (f"127.0.0.1:{port}" for port in free_ports(2))
            environ = {"PAYPROOF_DATABASE_URL": dsn, "PAYPROOF_PUBLIC_URL": system.url, "PAYPROOF_OPS_LISTEN": ops}
            settings = system.settings | environ | {"PAYPROOF_LISTEN": listen} | more
            child = Child(name, "worker.cli", "serve", log=place / f"{name}.log", settings=settings)
            return Node(child, f"http://{listen}", f"http://{ops}")

        # The newer one traces, so that its claims have what the older one's do not.
        nodes = node("older", PYTHONPATH=str(code)), node("newer", OTEL_TRACES_EXPORTER="console")
        try:
            await asyncio.to_thread(system.sandbox.start)
            await nodes[0].start()
            await asyncio.to_thread(
                system.sandbox.wait_for, f"{system.sandbox_url}/_control/troubles", seconds=READY_SECONDS
            )
            system.url = nodes[0].url
            async with staged(system) as stage, aiohttp.ClientSession() as http:
                yield Beside(*nodes, stage, http, system)
            for one in nodes:
                log = one.child.log.read_text() if one.child.log.exists() else ""
                assert "Traceback" not in log
                assert '"level": "error"' not in log
        finally:
            for one in nodes:
                await asyncio.to_thread(one.child.stop)
            await asyncio.to_thread(system.sandbox.stop)


async def opened(stage: Stage, gateway: str, number: int) -> Scene:
    scene = Scene(stage, GATEWAYS[gateway], number)
    await scene.open()
    return scene


async def paid(scene: Scene, at: Stage) -> None:
    """Paid at the gateway; the browser comes back to that node, and the shop is told."""
    scene.stage = at
    redirect = await scene.at_gateway("pay", webhook=False)
    path = redirect.partition("/return/")[2]
    await scene.returns(f"{at.url}/return/{path}")
    await scene.until("opened", "completed")


async def test_the_released_code_goes_on_beside_todays_on_the_schema_of_today(dsn: str, older_code: Path) -> None:
    async with beside(dsn, older_code) as at:
        old = at.through(at.older)
        alone = await opened(old, "ipay", 1)
        await paid(alone, old)
        began = [
            await opened(old, gateway, 2 + number) for number, gateway in enumerate(("ipay", "moneybag", "shadhinpay"))
        ]

        await at.newer.start()
        new = at.through(at.newer)
        for scene in began:  # opened by the older one, paid by way of the newer
            await paid(scene, new)
        crossed = [
            await opened(new, gateway, 10 + number) for number, gateway in enumerate(GATEWAYS) if gateway != "blind"
        ]
        for scene in crossed:  # and the other way about; the questions are asked by whichever comes first
            await paid(scene, old)

        assert await asyncio.to_thread(at.older.child.stop) == 0, "it drains and ends in good order"
        last = await opened(new, "ipay", 30)
        feed = Feed(new.shop)
        reading = asyncio.create_task(feed.run())
        last.stage = replace(new, feed=feed)
        await paid(last, last.stage)

        async def all_told() -> bool:
            return {scene.payment["payment_id"] for scene in [alone, *began, *crossed, last]} <= {
                told.subject for told in feed.all if told.word == "completed"
            }

        await until(all_told, what="everything is in the log")
        reading.cancel()
        ids = [told.id for told in feed.all]
        assert len(ids) == len(set(ids)), "every event once"
        assert {json.loads(told.raw)["data"]["hold"] for told in feed.all} == {None}


async def test_the_released_code_refuses_what_was_taken_away_if_it_knows_to(dsn: str) -> None:
    """Today's code does, and is the next release."""
    async with connect(dsn) as database:
        await database.execute("INSERT INTO contractions VALUES ('9999')")
    with directory() as place:
        system = System(place)
        system.configure()
        child = Child(
            *("refused", "worker.cli", "serve"),
            log=place / "refused.log",
            settings=system.settings | {"PAYPROOF_DATABASE_URL": dsn},
        )
        child.start()

        async def ended() -> bool:
            return not child.running

        try:
            await until(ended, what="it ended by itself", seconds=60)
        finally:
            code = child.stop()
        assert code == 1
        assert "newer than this program (9999)" in child.log.read_text()
