"""The receivers and return pages that shops begin from, as processes of their own, run as they stand."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from msgspec import Struct

from tests.harness import free_ports
from tests.processes import until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy" / "receivers"
ENDINGS = {"python": "py", "node": "mjs", "php": "php"}
PATH = {"receiver": "/hooks/payproof", "thanks": "/thanks"}


class Example(Struct):
    """One example on a port of its own, in a directory of its own; `process` is the last that was started."""

    kind: str
    does: str
    place: Path
    port: int
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH[self.does]}"

    async def start(self) -> None:
        """Start it. Returns when it answers."""
        name = f"{self.does}.{ENDINGS[self.kind]}"
        shutil.copy(EXAMPLES / name, self.place / name)
        match self.kind:
            case "python":
                command = [sys.executable, name]
            case "node":
                command = ["node", name]
                if not (self.place / "node_modules").is_symlink():
                    (self.place / "node_modules").symlink_to(ROOT / "tests" / "node_modules")
            case _:
                command = ["php", "-S", f"127.0.0.1:{self.port}", name]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.place,
                env=os.environ | {"PORT": str(self.port)} | self.environment,
                stdout=log,
                stderr=log,
            )
        await until(self.answers, what=f"{name} answers; see {self.log}")

    @property
    def log(self) -> Path:
        return self.place / f"{self.does}.log"

    async def answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"it ended; see {self.log}"
        try:
            async with aiohttp.ClientSession() as http, http.get(self.url):
                return True
        except aiohttp.ClientConnectionError:
            return False

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def forget(self, *payments: str) -> None:
        """Delete what the shop knows of these payments, which Payproof never had."""
        for name in payments:
            await self.ask(f"delete from payments where id = 'pay_{name}'")
            await self.ask(f"delete from shipments where order_id = '{name}'")

    async def leaving(self, order: str) -> list[tuple[Any, ...]]:
        """Its row, if the order may leave."""
        return await self.ask(f"select order_id from shipments where order_id = '{order}' and stop is null")

    async def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the shop's database; none where its tables are not made yet."""
        if self.kind == "node":
            connection = await asyncpg.connect(host=self.environment["PGHOST"], user="payproof", database="shop")
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()
        name = self.environment.get("DATABASE", "")
        if name.startswith("mysql:"):
            socket = dict(field.split("=") for field in name.removeprefix("mysql:").split(";"))["unix_socket"]
            command = ["mariadb", "--no-defaults", f"--socket={socket}", "-uroot", "-N", "shop", "-e", sql]
            done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
            return [tuple(line.split("\t")) for line in done.stdout.splitlines()]
        with closing(sqlite3.connect(self.place / "shop.sqlite", timeout=20)) as database:
            try:
                with database:
                    return database.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise


def examples(does: str, place: Path, secret: str, postgres: Path) -> list[Example]:
    """One in each language. `postgres` is the directory of the socket of the shop's server."""
    made = []
    for kind, port in zip(ENDINGS, free_ports(len(ENDINGS)), strict=True):
        home = place / f"{does}-{kind}"
        home.mkdir()
        environment = {"PAYPROOF_WEBHOOK_SECRET": secret}
        if kind == "node":
            environment |= {"PGHOST": str(postgres), "PGUSER": "payproof", "PGDATABASE": "shop", "PGPORT": "5432"}
        made.append(Example(kind, does, home, port, environment))
    return made
