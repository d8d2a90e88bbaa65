"""`deploy/backup.md`, run word by word: every open payment is asked about again, and no event id is used twice."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from msgspec import Struct

from tests.contract import ROOT
from tests.e2e.buyers import GATEWAYS
from tests.fault.postgres import Postgres, postgres
from tests.harness import READY_SECONDS, Child, Refused, Scene, Stage, System, environment, staged
from tests.processes import directory, until
from worker.postgres.server.cluster import SETTINGS as SERVER_SETTINGS
from worker.postgres.server.cluster import Cluster

TEXT = (ROOT / "deploy/backup.md").read_text()
SECONDS = 120
SETTINGS = """\
return_wait = "1s"

[checks]
claimed = ["300ms", "1s"]
pending = ["1h"]
grace = "1h"
give_up = "2h"
"""


def blocks() -> dict[str, list[str]]:
    """The commands under each heading."""
    sections = re.split(r"^##+ (.+)$", TEXT, flags=re.MULTILINE)[1:]
    headed = zip(sections[::2], sections[1::2], strict=True)
    return {head: re.findall(r"```sh\n(.*?)```", body, re.DOTALL) for head, body in headed}


class Place(Struct):
    """Where the commands run: as the server's user, who may differ from ours, with PostgreSQL's programs."""

    home: Path
    server: Postgres
    names: dict[str, str]

    @property
    def cluster(self) -> Cluster:
        return self.server._cluster

    def run(self, commands: str, **more: str) -> str:
        """Run commands as a shell would; fails with their output."""
        done = self.cluster.identity.run(
            *("/usr/bin/env", *(f"{name}={value}" for name, value in self._names(more).items())),
            *("/bin/bash", "-euo", "pipefail", "-c", commands),
            seconds=SECONDS,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def run_as_ourselves(self, commands: str, settings: Mapping[str, str]) -> str:
        """Run them as our user, who owns the files that payproof's commands read."""
        beside = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", commands],
            env=environment() | dict(settings) | self.names | {"PATH": beside},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def begin(self, commands: str) -> subprocess.Popen[bytes]:
        """Start a command that runs until it is ended."""
        words = [f"{name}={value}" for name, value in self._names({}).items()]
        identity = self.cluster.identity
        return subprocess.Popen(
            [*identity._through_setpriv(), "/usr/bin/env", *words, "/bin/bash", "-c", f"exec {commands}"],
            user=identity.uid if identity.capability is None else None,
            group=identity.gid if identity.capability is None else None,
            extra_groups=[] if identity.uid is not None and identity.capability is None else None,
            cwd="/",
        )

    def _names(self, more: Mapping[str, str]) -> dict[str, str]:
        return self.names | more | {"PATH": f"{self.cluster.programs}:{os.environ['PATH']}"}


@pytest.fixture
def place() -> Iterator[Place]:
    with directory() as home, postgres(home) as server:
        (home / "backups").mkdir()
        (home / "restored").mkdir()
        names = {
            "PAYPROOF_DATABASE_URL": server.url,
            "BACKUPS": str(home / "backups"),
            "MAINTENANCE_URL": _named(server.url, "postgres"),
            "RESTORED_URL": _named(server.url, "payproof_restored"),
            "RESTORED": str(home / "restored"),
        }
        place = Place(home, server, names)
        for name in ("backups", "restored"):
            place.cluster.identity.own(home / name)
        yield place


def _named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


class Installed(Struct):
    """A service on a database of the place, which can be moved to the restored database."""

    system: System
    stage: Stage

    async def opened(self, number: int) -> Scene:
        scene = Scene(self.stage, GATEWAYS["ipay"], number)
        await scene.open()
        return scene

    async def paid(self, number: int) -> Scene:
        scene = await self.opened(number)
        await scene.returns(await scene.at_gateway("pay"))
        await scene.until("opened", "completed")
        return scene

    async def serve(self, url: str) -> None:
        settings = self.system.settings | {"PAYPROOF_DATABASE_URL": url}
        self.system.service = Child(
            "payproof", "worker.cli", "serve", log=self.system.place / "payproof.log", settings=settings
        )
        await asyncio.to_thread(self.system.start_service)

    async def questions(self, scene: Scene) -> int:
        timeline = await self.stage.shop.timeline(scene.payment["payment_id"])
        return sum(entry["kind"] == "answer" for entry in timeline)


@asynccontextmanager
async def installed(place: Place) -> AsyncIterator[Installed]:
    work = place.home / "work"
    work.mkdir()
    system = System(work, settings=SETTINGS)
    system.configure()
    try:
        await asyncio.to_thread(system.sandbox.start)
        at = Installed(system, None)  # type: ignore[arg-type]
        await at.serve(place.server.url)
        await asyncio.to_thread(
            system.sandbox.wait_for, f"{system.sandbox_url}/_control/troubles", seconds=READY_SECONDS
        )
        async with staged(system) as at.stage:
            yield at
            assert at.stage.feed.conflicts == [], "no event id was used twice"
    finally:
        await asyncio.to_thread(system.service.stop)
        await asyncio.to_thread(system.sandbox.stop)


async def come_back(place: Place, at: Installed) -> None:
    """Run the commands of `After either` to its end."""
    prepare, serve = blocks()["After either"]
    settings = at.system.settings
    said = await asyncio.to_thread(place.run_as_ourselves, prepare, settings)
    assert "raised by 1,000 versions" in said
    assert "no   " not in said, said
    assert serve.strip() == "payproof serve"
    await at.serve(place.names["RESTORED_URL"])


async def test_a_restored_dump_asks_again_about_all_that_is_open_and_uses_no_event_id_twice(place: Place) -> None:
    async with installed(place) as at:
        done, found_out, waiting = await at.paid(1), await at.opened(2), await at.opened(3)
        place.run(blocks()["A dump, for a small shop"][0])

        redirect = await found_out.at_gateway("pay")
        await found_out.returns(redirect)
        await found_out.until("opened", "completed")
        forgotten = await at.paid(4)
        request = forgotten.payment
        await asyncio.to_thread(at.system.service.kill)

        place.run(blocks()["Restoring a dump"][0])
        await come_back(place, at)

        await found_out.until("opened", "completed", "completed")
        first, again = at.stage.feed.by_payment[found_out.payment["payment_id"]][1:]
        assert (first.id.rpartition(".")[2], again.id.rpartition(".")[2]) == ("2", "1002")
        await until(lambda: _asked(at, waiting), what="unpaid payments were asked about again")
        kept = await at.stage.shop.payment(done.payment["payment_id"])
        assert (kept["status"], kept["version"]) == ("completed", 1002)

        with pytest.raises(Refused, match="reference_used_at_gateway"):
            await at.stage.shop.open(posted(at, request))

        listed = await at.stage.shop._call("GET", f"/v1/payments?reference={request['reference']}")
        (found,) = listed["payments"]
        assert found["payment_id"] != request["payment_id"]
        await at.stage.shop.verify(found["payment_id"])
        await until(lambda: _completed(at, found["payment_id"]), what="payments opened after the backup are found")


async def _completed(at: Installed, payment_id: str) -> bool:
    return at.stage.feed.words(payment_id)[-1:] == ("completed",)


async def _asked(at: Installed, scene: Scene) -> bool:
    return await at.questions(scene) >= 1


def posted(at: Installed, payment: dict[str, object]) -> dict[str, object]:
    """The body of the shop's POST for it."""
    names = ("account", "reference", "amount", "currency", "description")
    pages = at.stage.shop.pages_url
    return {name: payment[name] for name in names} | {"return_url": f"{pages}/thanks"}


async def test_with_every_change_received_nothing_is_lost(place: Place) -> None:
    once, always, daily = blocks()["Every change, for a shop that must not lose any"]
    async with installed(place) as at:
        before, waiting = await at.paid(1), await at.opened(2)
        place.run(once)
        receiving = place.begin(always.strip())
        try:
            place.run(daily)
            after = await at.paid(3)
            await asyncio.to_thread(at.system.service.kill)
            await until(lambda: _received(place), what="the log was received to its end")
        finally:
            receiving.terminate()
            receiving.wait(30)
        place.server.kill()

        settings = SERVER_SETTINGS | {"unix_socket_directories": place.names["RESTORED"]}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        at_home = place.server.url.replace(str(place.cluster.home), place.names["RESTORED"])
        place.names["RESTORED_URL"] = at_home
        restored = place.cluster.identity
        place.run(blocks()["Restoring every change"][0], OPTIONS=options)
        try:
            await come_back(place, at)
            for scene in (before, after):
                payment = await at.stage.shop.payment(scene.payment["payment_id"])
                assert (payment["status"], payment["version"]) == ("completed", 1002)
            await until(lambda: _asked(at, waiting), what="unpaid payments were asked about again")
            last = await at.paid(5)
            assert last.payment["payment_id"]
            await asyncio.to_thread(at.system.service.stop)
        finally:
            restored.run(
                *(place.cluster.programs / "pg_ctl", "stop", "-D", place.names["RESTORED"], "-m", "fast", "-w"),
                seconds=SECONDS,
            )


async def _received(place: Place) -> bool:
    """Whether the receiver has everything that the server wrote."""
    query = "SELECT coalesce(bool_and(flush_lsn >= pg_current_wal_flush_lsn()), false) FROM pg_stat_replication"
    said = await asyncio.to_thread(place.run, f'psql -XAtd "$PAYPROOF_DATABASE_URL" -c "{query}"')
    return said.strip() == "t"


def test_every_command_is_run() -> None:
    """Commands under other headings would never be tried."""
    assert {head for head, found in blocks().items() if found} == {
        "A dump, for a small shop",
        "Every change, for a shop that must not lose any",
        "Restoring a dump",
        "Restoring every change",
        "After either",
        "By a dump",  # these two in test_postgres_major.py
        "In place",
    }
