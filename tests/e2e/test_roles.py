"""Ingress and the workers as processes with database users of their own: payments go their whole way all the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from tests.e2e.buyers import ASKED, Payproof
from tests.e2e.conformance_whole_way import WholeWay
from tests.harness import QUICK, READY_SECONDS, Child, System, environment, free_ports, staged
from tests.logins import LOGINS, as_user, make_logins
from tests.processes import directory, loud, until
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations
from worker.runtime.encryption import new_archive_key

PROCESSES = {
    "ingress": ("ingress", "ingress"),
    "consume": ("consume", "worker"),
    "clockwork": ("sweep,relay", "worker"),
}
ARCHIVE = '[archive]\nkeys = ["env:PAYPROOF_ARCHIVE_KEY"]\n\n'


class Apart:
    """The installation; `urls` are the database's by user, the owner's under "owner"."""

    def __init__(self, system: System, url: str) -> None:
        self.system = system
        self.urls = {group: as_user(url, login) for group, login in LOGINS.items()} | {"owner": url}
        self.settings = system.settings | {"PAYPROOF_ARCHIVE_KEY": new_archive_key()}
        self.ops: list[str] = []
        self.children = [self._child(name, *how) for name, how in PROCESSES.items()]

    def _child(self, name: str, roles: str, group: str) -> Child:
        settings = self.settings | {"PAYPROOF_DATABASE_URL": self.urls[group]}
        if name != "ingress":
            settings["PAYPROOF_OPS_LISTEN"] = f"127.0.0.1:{free_ports(1)[0]}"
        log = self.system.place / f"{name}.log"
        child = Child(name, "worker.cli", "serve", f"--roles={roles}", log=log, settings=settings)
        self.ops.append(f"http://{settings['PAYPROOF_OPS_LISTEN']}")
        return child

    def start(self) -> None:
        for child in self.children:
            child.start()
        for child, ops in zip(self.children, self.ops, strict=True):
            child.wait_for(f"{ops}/readyz", seconds=READY_SECONDS)

    def stop(self) -> None:
        for child in self.children:
            child.stop()
        self.system.sandbox.stop()

    def command(self, group: str, *words: str) -> subprocess.CompletedProcess[str]:
        """One of payproof's commands as this user."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "worker.cli", *words],
            env=environment() | self.settings | {"PAYPROOF_DATABASE_URL": self.urls[group]},
            cwd=self.system.place,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with directory() as place, embedded_here(place / "data") as url:

        async def prepare() -> None:
            await apply_migrations(url)
            await make_logins(url)

        with ThreadPoolExecutor(1) as aside:
            aside.submit(asyncio.run, prepare()).result()
        system = System(place, settings=QUICK.replace("\n[checks]", f"\n{ARCHIVE}[checks]"))
        system.configure()
        apart = Apart(system, url)
        try:
            system.sandbox.start()
            system.sandbox.wait_for(f"{system.sandbox_url}/_control/troubles", seconds=READY_SECONDS)
            apart.start()
            yield apart
        finally:
            apart.stop()


@pytest.fixture
async def payproof(apart: Apart) -> AsyncIterator[Payproof]:
    """Afterwards no process was refused any access, nor died of it."""
    async with staged(apart.system) as stage:
        yield Payproof(apart.system, stage)
    for child in apart.children:
        assert child.running, child.name
        log = child.log.read_text()
        for never in ("InsufficientPrivilege", "permission denied"):
            assert never not in log, child.name
        assert loud(log) == [], child.name


@pytest.mark.parametrize("name", ASKED)
async def test_a_buyer_pays_and_the_shop_is_told(payproof: Payproof, name: str) -> None:
    scene = await payproof.opened(name, order=f"order-{name}")
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")


class TestWholeWay(WholeWay):
    pass


async def test_every_process_tells_how_things_stand(payproof: Payproof, apart: Apart) -> None:
    async with aiohttp.ClientSession() as http:
        for ops in apart.ops:
            async with http.get(f"{ops}/metrics") as scraped:
                assert scraped.status == 200, ops
                assert "payproof_database_up 1.0" in await scraped.text(), ops


async def test_the_callback_is_sealed_and_only_the_owner_reads_it(payproof: Payproof, apart: Apart) -> None:
    scene = await payproof.opened("payparse")
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")
    claim = (await payproof.claims(scene.payment["payment_id"], "return"))[0]["claim_id"]
    shown = apart.command("owner", "archive", "show", claim)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["callback"]["source"] == "return"
    for group in LOGINS.keys() - {"console"}:  # there an auditor reveals a callback
        refused = apart.command(group, "archive", "show", claim)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "the database's user may not do this" in refused.stderr


async def test_the_house_is_kept_by_whoever_may(apart: Apart) -> None:
    """Partitions of the archive are made by a worker that may create no table."""
    ingress, consume, clockwork = (child.log for child in apart.children)
    await until(lambda: '"archive.maintained"' in consume.read_text(), what="the partitions are made")
    assert '"archive.maintained"' not in ingress.read_text() + clockwork.read_text()


async def test_a_reader_reads_and_may_do_nothing_else(payproof: Payproof, apart: Apart) -> None:
    scene = await payproof.opened("moneybag")
    await scene.returns(await scene.at_gateway("pay", amount="2.00"))
    await scene.until("opened", "held")
    payment_id = scene.payment["payment_id"]
    for words in (("payments", "list"), ("payments", "show", payment_id), ("explain", payment_id)):
        done = apart.command("reader", *words)
        assert (done.returncode, payment_id in done.stdout) == (0, True), (words, done.stderr)
    refused = apart.command("reader", "payments", "verify", payment_id)
    assert refused.returncode == 1
    assert "may not do this" in refused.stderr
    migrated = apart.command("worker", "migrate")
    assert migrated.returncode == 1
    assert "Traceback" not in migrated.stderr
