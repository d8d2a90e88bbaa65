"""Two processes on one database, each with a configuration of its own, and buyers who pay by way of either."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from tests.contract import ROOT
from tests.e2e.buyers import GATEWAYS
from tests.harness import (
    READY_SECONDS,
    Browser,
    Child,
    Control,
    DemoFeed,
    Document,
    Scene,
    Stage,
    StoryShop,
    System,
    environment,
    free_ports,
    shop_pages,
)
from tests.processes import loud, until

SECONDS = 60.0


class Ended(Struct, frozen=True):
    code: int
    out: str


class Node:
    """One process of the service. It can be started again with another configuration, or another release's code."""

    def __init__(self, name: str, system: System, dsn: str, port: int) -> None:
        self._config = system.place / f"{name}.toml"
        ops = free_ports(1)[0]
        self.url, self.ops_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ops}"
        self._name, self._place = name, system.place
        self._settings = system.settings | {
            "PAYPROOF_CONFIG": str(self._config),
            "PAYPROOF_DATABASE_URL": dsn,
            "PAYPROOF_LISTEN": f"127.0.0.1:{port}",
            "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
            "PAYPROOF_PUBLIC_URL": system.url,
        }
        self._child: Child | None = None

    async def start(self, config: str, code: Path = ROOT, *, roles: str = "") -> None:
        """Start it, or start it anew, with this configuration, and wait until it is ready."""
        await self.stop()
        self._config.touch(mode=0o600)
        self._config.write_text(config, encoding="utf-8")
        log, settings = self._place / f"{self._name}.log", self._settings | {"PYTHONPATH": str(code)}
        words = ["serve", *([f"--roles={roles}"] if roles else [])]
        self._child = Child(self._name, "worker.cli", *words, log=log, settings=settings)
        await asyncio.to_thread(self._child.start)
        await asyncio.to_thread(self._child.wait_for, f"{self.ops_url}/readyz", seconds=READY_SECONDS)

    @property
    def log(self) -> str:
        """What it logged, over all its starts."""
        return (self._place / f"{self._name}.log").read_text()

    async def stop(self) -> None:
        if self._child is not None:
            assert await asyncio.to_thread(self._child.stop) == 0, self.log[-3000:]
            assert loud(self.log) == []
            self._child = None

    async def says(self, *words: str, code: Path = ROOT) -> Ended:
        """Run a command of payproof with this node's configuration."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "worker.cli", *words),
            cwd=self._place,
            env=environment() | self._settings | {"PYTHONPATH": str(code)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        return Ended(process.returncode or 0, out.decode())


class Shop:
    """The shop and its buyers. `first` is at the address that the gateways know; neither node runs at first."""

    def __init__(self, system: System, dsn: str, http: aiohttp.ClientSession, pages_url: str) -> None:
        self.first = Node("first", system, dsn, int(system.url.rpartition(":")[2]))
        self.second = Node("second", system, dsn, free_ports(1)[0])
        self._system, self._http, self._pages_url = system, http, pages_url
        self._opened = 0

    async def get(self, url: str, key: str | None = None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._http.get(url, headers=headers, allow_redirects=False) as response:
            return response.status, await response.text()

    async def opens(self, gateway: str, at: Node, key: str | None = None) -> Scene:
        shop = StoryShop(self._http, at.url, key or self._system.key, self._pages_url)
        stage = Stage(
            shop=shop,
            control=Control(self._http, self._system.sandbox_url),
            browser=Browser(self._http),
            feed=DemoFeed(shop),
            url=at.url,
            shorten=_unused,
        )
        self._opened += 1
        scene = Scene(stage, GATEWAYS[gateway], self._opened)
        await scene.open()
        return scene

    async def pays(self, scene: Scene, at: Node) -> int:
        """The buyer pays and comes back to this node. Returns the status of the answer."""
        link = await scene.at_gateway("pay", webhook=False)
        status, _ = await self.get(at.url + "/return/" + link.partition("/return/")[2])
        return status

    async def payment(self, scene: Scene, at: Node) -> Document:
        shop = StoryShop(self._http, at.url, self._system.key, self._pages_url)
        return await shop.payment(scene.payment["payment_id"])

    async def completed(self, scene: Scene, at: Node, *, seconds: float = SECONDS) -> None:
        """Wait until the payment is completed. It must not have had another outcome before."""

        async def look() -> bool:
            payment = await self.payment(scene, at)
            assert (payment["status"], payment["hold"]) in (("pending", None), ("completed", None)), payment
            return bool(payment["status"] == "completed")

        await until(look, what=f"{scene.gateway.account} is completed", seconds=seconds)


async def _unused(_: str, __: float) -> None:
    raise AssertionError("no lifetime is shortened here")


@asynccontextmanager
async def shopping(system: System, dsn: str) -> AsyncIterator[Shop]:
    """The sandbox runs; the nodes are started by the test and ended here."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http,
        shop_pages() as pages_url,
    ):
        shop = Shop(system, dsn, http, pages_url)
        async with AsyncExitStack() as ends:  # each, also where another fails
            ends.push_async_callback(asyncio.to_thread, system.sandbox.stop)
            ends.push_async_callback(shop.second.stop)
            ends.push_async_callback(shop.first.stop)
            await asyncio.to_thread(system.sandbox.start)
            troubles = f"{system.sandbox_url}/_control/troubles"
            await asyncio.to_thread(system.sandbox.wait_for, troubles, seconds=READY_SECONDS)
            yield shop


def without_account(config: str, account: str) -> str:
    head, *tables = re.split(r"(?m)^(?=\[\[merchants\.accounts\]\]$)", config)
    kept = [table for table in tables if f'id = "{account}"\n' not in table]
    assert len(kept) == len(tables) - 1, account
    return head + "".join(kept)


def with_webhook(config: str, **keys: Any) -> str:
    """The configuration with these keys in the shop's table of webhooks, and no others; without keys, without it."""
    lines = "".join(f"{name} = {_toml(value)}\n" for name, value in keys.items())
    table = f"[[merchants.webhooks]]\n{lines}\n" if keys else ""
    changed, count = re.subn(r"(?ms)^\[\[merchants\.webhooks\]\]\n.*?\n\n", lambda _: table, config)
    assert count == 1
    return changed


def replaced(config: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert config.count(old) == 1, old
        config = config.replace(old, new)
    return config


def _toml(value: object) -> str:
    return "[" + ", ".join(map(_toml, value)) + "]" if isinstance(value, list) else f'"{value}"'
