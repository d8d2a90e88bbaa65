"""The Django shop for tests: real Django in an environment of its own, and what buyers and Payproof do with it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from schemas.secret import Secret
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.e2e.kept import INSTALL_SECONDS, KEPT, ROOT, kept
from tests.harness import PAYPARSE, Document, Scene, System, free_ports, staged
from tests.processes import directory, loud, running, until
from worker.deliver.sender import signature_headers

EXAMPLE = ROOT / "deploy" / "django"
ENVIRONMENT = KEPT / "django"
OTHER_SECRET = "whsec_" + "QUJD" * 8
SECONDS = 60.0
ATTEMPT = "from payments.paying import _attempt; print(_attempt({name!r}, {{}}).reference)"


def python() -> Path:
    """The interpreter of an environment with the example's requirements; it is made anew when they change."""
    wanted = EXAMPLE / "requirements.txt"
    with kept(ENVIRONMENT, wanted.read_text(), INSTALL_SECONDS) as make:
        if make:
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True, timeout=INSTALL_SECONDS)
            pip = (ENVIRONMENT / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
            subprocess.run(
                [*pip, "install", "-r", wanted],
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                check=True,
                timeout=INSTALL_SECONDS,
            )
    return ENVIRONMENT / "bin" / "python"


class Site(Struct):
    """A copy of the example with a database of its own. `secret` is what it believes the webhook's secret to be."""

    place: Path
    python: Path
    port: int
    payproof: str = "http://127.0.0.1:9"
    key: str = "of one test"
    secret: str = WEBHOOK_SECRET
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "PAYPROOF"))}
        return kept | {
            "PAYPROOF_URL": self.payproof,
            "PAYPROOF_API_KEY": self.key,
            "PAYPROOF_WEBHOOK_SECRET": self.secret,
            "PAYPROOF_ACCOUNT": "shop-payparse",
            "SHOP_URL": self.url,
            "DJANGO_SECRET_KEY": "of one test",
        }

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [self.python, "manage.py", *words],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def start(self) -> None:
        with (self.place / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(self.python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"),
                cwd=self.place,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

        async def answers() -> bool:
            try:
                async with aiohttp.ClientSession() as http, http.get(f"{self.url}/orders/none/"):
                    return True
            except aiohttp.ClientConnectionError:
                return False

        await until(answers, what=f"Django answers; see {self.place / 'log'}", seconds=SECONDS)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.place / "shop.sqlite", timeout=20)) as database, database:
            return database.execute(sql, values).fetchall()


@contextmanager
def copied() -> Iterator[Site]:
    """The shop alone, with nobody at Payproof's address."""
    interpreter = python()
    with directory() as home:
        (port,) = free_ports(1)
        shutil.copytree(EXAMPLE, home / "shop")
        site = Site(home / "shop", interpreter, port)
        site.manage("migrate")
        yield site


@contextmanager
def beside_payproof() -> Iterator[tuple[Site, System]]:
    with copied() as site:
        hook = f'\n[[merchants.webhooks]]\nurl = "{site.url}/hooks/payproof"\nsecret = "{WEBHOOK_SECRET}"\n'
        with running(merchants=hook, secret=WEBHOOK_SECRET) as system:
            site.payproof, site.key = system.url, system.key
            yield site, system


@asynccontextmanager
async def opened(site: Site, system: System) -> AsyncIterator[Shop]:
    """The shop with its doors open. Afterwards no log holds an error of ours or a secret."""
    site.secret = WEBHOOK_SECRET
    await site.start()
    try:
        async with staged(system) as stage:
            yield Shop(Payproof(system, stage), site)
    finally:
        await site.stop()
    assert loud(system.service.log.read_text()) == []
    for secret in (system.key, WEBHOOK_SECRET):
        assert secret not in (site.place / "log").read_text()


class Shop:
    def __init__(self, payproof: Payproof, site: Site) -> None:
        self.payproof, self.site = payproof, site

    async def ordered(self, name: str, *, script: str | None = None, lives: float | None = None) -> Scene:
        """An order; with a script or a life, its first attempt stands already, as after an answer that was lost."""
        self.site.ask("insert into payments_order (name, total, state) values (?, 1500.50, 'open')", name)
        if script is not None or lives is not None:
            words = ("shell", "-v", "0", "-c", ATTEMPT.format(name=name))
            first = {
                "provider": "payparse",
                "reference": (await asyncio.to_thread(self.site.manage, *words)).strip(),
            }
            if lives is not None:
                await self.payproof.stage.control.post("lifetime", **first, seconds=lives)
            if script is not None:
                await self.payproof.stage.control.post("scripts", **first, script=script)
        return Scene(self.payproof.stage, PAYPARSE, 0)

    async def clicks(self, name: str) -> tuple[int, str, str]:
        """The buyer's click on "Pay": the answer's status, where it leads, and its page."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            async with http.get(f"{self.site.url}/orders/{name}/") as page:
                found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', await page.text())
            token = {"csrfmiddlewaretoken": found[1]} if found else {}
            url = f"{self.site.url}/orders/{name}/pay/"
            async with http.post(url, data=token, allow_redirects=False) as answered:
                return answered.status, answered.headers.get("Location", ""), await answered.text()

    async def payments(self, name: str) -> list[Document]:
        return list((await self.payproof.shop_calls("GET", f"/v1/payments?order={name}")).json["payments"])

    async def at_checkout(self, name: str, **how: Any) -> Scene:
        scene = await self.ordered(name, **how)
        await self.tries(scene, name)
        return scene

    async def tries(self, scene: Scene, name: str) -> None:
        status, url, _ = await self.clicks(name)
        scene.payment = (await self.payments(name))[0]
        assert (status, url) == (303, scene.payment["checkout_url"])

    async def becomes(self, name: str, state: str) -> None:
        """The order has this state, and all its payments are known as they stand."""

        async def look() -> bool:
            asked = "select state from payments_order where name = ?"
            known = self.site.ask(
                "select payment_id, version from payments_attempt where reference like ?", f"{name}-%"
            )
            now = [(one["payment_id"], one["version"]) for one in await self.payments(name)]
            return self.site.ask(asked, name) == [(state,)] and sorted(known) == sorted(now)

        await until(look, what=f"{name} is {state}", seconds=SECONDS)

    def attempts(self, name: str) -> list[str]:
        asked = "select status from payments_attempt where reference like ? order by id"
        return [status for (status,) in self.site.ask(asked, f"{name}-%")]

    def holds(self, name: str) -> list[str]:
        asked = "select hold from payments_attempt where reference like ?"
        return [hold for (hold,) in self.site.ask(asked, f"{name}-%")]

    async def grows_deaf(self) -> None:
        """From now on the site takes no event."""
        await self.site.stop()
        self.site.secret = OTHER_SECRET
        await self.site.start()

    async def was_tried_in_vain(self, scene: Scene) -> None:
        async def failed() -> bool:
            entries = await self.payproof.stage.shop.timeline(scene.payment["payment_id"])
            sent = [one for one in entries if one["kind"] == "delivery" and one["type"] == "payment.completed"]
            return any(one["result"] != "delivered" for one in sent)

        await until(failed, what="the site was tried in vain")

    async def hears(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        """The status that an event is answered with; without headers it is signed by the right secret."""
        signed = signature_headers([Secret(WEBHOOK_SECRET)], "x", datetime.now(UTC), body)
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{self.site.url}/hooks/payproof", data=body, headers=signed if headers is None else headers
            ) as answered,
        ):
            return answered.status


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answered:
        return await answered.text()
