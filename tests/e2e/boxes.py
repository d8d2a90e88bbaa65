"""Compose's own services without containers: the same commands, the same environment, the same order, as processes.

This machine must not help. A process gets only the variables that its service names, a user who owns nothing, a home
that it cannot write to, and the virtual environment of the image.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from tests.broker import RabbitMQ, rabbitmq
from tests.deployment import DEPLOY, ROOT, Document, compose, image
from tests.fault.postgres import Postgres, postgres
from tests.harness import free_ports
from tests.logins import as_user
from tests.processes import directory, until

INSTALL_SECONDS = 240
START_SECONDS = 60.0
ONE_SHOT_SECONDS = 60
NOBODY = 65534
LOGINS = ("ingress", "consume", "relay", "deliver", "reconcile", "console")
DATABASE_USERS = {"owner": "payproof"} | {login: f"app_{login}" for login in LOGINS}
"""The users of the database, by the folder that `keys` writes their URL into; each folder stands for a volume."""
LISTENING = {"ingress": 8080, "console": 8070, "sandbox": 8090}
"""The services that others reach, and their ports there; every service of ours has an ops port besides."""


class Owner(Struct, frozen=True):
    """The user who runs a process; without numbers the present user."""

    uid: int | None = None
    gid: int | None = None


NOBODY_ELSE = Owner()


def installed(place: Path) -> Path:
    """The image's virtual environment, made by the image's own steps from only the files that it copies."""
    source, wheels, venv, builder = place / "source", place / "wheel", place / "venv", place / "builder"
    for name in image().sources:
        target = source / (Path(name).name if name.startswith("deploy/") else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    locked = ("--only-binary=:all:", "--require-hashes", "--requirement")
    _run(sys.executable, "-m", "venv", "--without-pip", builder)
    _pip(builder, "install", *locked, source / "requirements-build.txt")
    _pip(builder, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source)
    (wheel,) = wheels.glob("*.whl")
    _run(_python(), "-m", "venv", "--without-pip", venv)
    _pip(venv, "install", *locked, source / "requirements.txt")
    _pip(venv, "install", "--no-deps", wheel)
    listed = ("--output-reproducible", "--output-file", venv / "sbom.cdx.json", venv / "bin/python")
    _run(builder / "bin/cyclonedx-py", "environment", *listed)
    return venv


class Boxes:
    """`url` is where ingress is reached, `sandbox_url` the sandbox, and `key` the shop's, which `keys` drew.

    `ops` are the services' ports for operators.

    `database_url` stands in for those that `keys` writes: the server of the tests is reached only by its socket.
    """

    def __init__(self, place: Path, venv: Path, owner: Owner, *, database_url: str, broker: str) -> None:
        self._place, self._venv, self._owner = place, venv, owner
        self._database_url, self._broker = database_url, broker
        self.services: dict[str, Document] = {
            name: service for name, service in compose()["services"].items() if service["image"].startswith("payproof:")
        }
        ports = iter(free_ports(len(LISTENING) + len(self.services)))
        self._listening = {name: next(ports) for name in LISTENING}
        self.ops = {name: next(ports) for name in self.services}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.keys = place / "keys"
        self.configuration, self.home = place / "configuration", place / "home"
        self.url = f"http://127.0.0.1:{self._listening['ingress']}"
        self.sandbox_url = f"http://127.0.0.1:{self._listening['sandbox']}"

    @property
    def key(self) -> str:
        return (self.keys / "shop" / "shop-api-key").read_text()

    def draw_keys(self) -> None:
        """Do the work of the service `keys` by its own script.

        Also make the configuration folder that compose mounts.
        """
        for place in (self.keys, self.configuration, self.home):
            place.mkdir(mode=0o755, exist_ok=True)
        words = [self._here(word, "keys") for word in self.services["keys"]["entrypoint"]]
        _run(*words, environment=self._environment("keys"))
        for folder, user in DATABASE_USERS.items():
            file = self.keys / folder / "database-url"
            file.unlink()
            file.write_text(as_user(self._database_url, user) if self._database_url else "")
        written = (DEPLOY / "sandbox" / "payproof.toml").read_text()
        for name in self.services:
            (self.configuration / name).mkdir(mode=0o755, exist_ok=True)
            (self.configuration / name / "payproof.toml").write_text(self._here(written, name))

    async def make_logins(self) -> None:
        """Do the work of the service `logins` by its own script, twice, as it runs at every start."""
        service = compose()["services"]["logins"]
        query = parse_qs(urlsplit(self._database_url).query)
        where = {
            "PGHOST": query["host"][0],
            "PGPORT": query["port"][0],
            "PGDATABASE": "postgres",
        }  # users are the server's
        environment = {"PATH": os.environ["PATH"]} | service["environment"] | where
        words = [
            word.replace("/etc/payproof-logins.sh", str(DEPLOY / "postgres" / "logins.sh"))
            for word in service["entrypoint"]
        ]
        for _ in range(2):
            await asyncio.to_thread(
                _run,
                *(word.replace("/run/payproof", str(self.keys / "owner")) for word in words),
                environment=environment,
            )

    async def up(self) -> None:
        """Start every service when the services it depends on are in the state it wants, as compose does."""
        done = {"keys", "logins", "postgres", "rabbitmq"}
        left = [name for name in self.services if name not in done]
        while left:
            ready = [name for name in left if set(self.services[name]["depends_on"]) <= done]
            assert ready, f"{left} wait for each other"
            for name in ready:
                self._start(name)
            await asyncio.gather(*(self._arrives(name) for name in ready))
            done |= set(ready)
            left = [name for name in left if name not in done]

    def terminate(self) -> dict[str, tuple[int, float]]:
        """SIGTERM for all at once; the exit code of each, and after how much of its grace period (1 is all of it)."""
        began = time.monotonic()
        ended = {}
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self._running.items():
            grace = float(self.services[name]["stop_grace_period"].removesuffix("s"))
            code = process.wait(max(0.1, began + grace - time.monotonic()))
            ended[name] = (code, (time.monotonic() - began) / grace)
        return ended

    def end(self, name: str) -> None:
        """End one service and wait for it; `begin` starts it again."""
        process = self._running[name]
        process.terminate()
        process.wait(float(self.services[name]["stop_grace_period"].removesuffix("s")))

    async def begin(self, name: str) -> None:
        """Start a service that was ended. Returns when it is healthy."""
        self._start(name)
        await self._arrives(name)

    def folder(self, name: str) -> Path:
        """The folder that stands for the volume that this service mounts at /run/payproof."""
        mounted = [mount.split(":") for mount in self.services[name].get("volumes", [])]
        found = [source for source, target, *_ in mounted if target == "/run/payproof"]
        return self.keys / found[0] if found else self.keys

    def close(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def words(self, name: str) -> str:
        return (self._place / f"{name}.log").read_text(errors="replace")

    def payproof(self, *words: str | Path, box: str = "consume", **settings: str) -> subprocess.CompletedProcess[str]:
        """A command of payproof in a service's box, with other settings where they are given."""
        return subprocess.run(
            [self._venv / "bin/payproof", *words],
            env=self._environment(box) | settings,
            cwd=self.home,
            user=self._owner.uid,
            group=self._owner.gid,
            extra_groups=None if self._owner.uid is None else [],
            capture_output=True,
            text=True,
            timeout=ONE_SHOT_SECONDS,
            check=False,
        )

    def _start(self, name: str) -> None:
        entry = json.loads(image().all("ENTRYPOINT")[0])
        words = [self._here(word, name) for word in (*entry, *self.services[name]["command"])]
        with (self._place / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [self._venv / "bin" / words[0], *words[1:]],
                env=self._environment(name),
                cwd=self.home,
                user=self._owner.uid,
                group=self._owner.gid,
                extra_groups=None if self._owner.uid is None else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _arrives(self, name: str) -> None:
        process = self._running[name]
        if self.services[name].get("healthcheck", {}).get("disable"):
            code = await asyncio.to_thread(process.wait, ONE_SHOT_SECONDS)
            assert code == 0, self.words(name)
            del self._running[name]
            return

        async def healthy() -> bool:
            assert process.poll() is None, self.words(name)
            return await asyncio.to_thread(self._healthy, name)

        await until(healthy, what=f"{name} is healthy", seconds=START_SECONDS)

    def _healthy(self, name: str) -> bool:
        own = self.services[name].get("healthcheck")
        words = own["test"][1:] if own else json.loads(image().all("HEALTHCHECK")[0].partition("CMD ")[2])
        command = [self._venv / "bin" / words[0], *(self._here(word, name) for word in words[1:])]
        done = subprocess.run(command, env=self._environment(name), capture_output=True, timeout=10, check=False)
        return done.returncode == 0

    def _environment(self, name: str) -> dict[str, str]:
        there = image().environment | self.services[name]["environment"] | {"HOME": str(self.home)}
        there["PATH"] = there["PATH"].replace("/opt/payproof", str(self._venv))
        return {variable: self._here(value, name) for variable, value in there.items()}

    def _here(self, text: str, name: str) -> str:
        """A word of this service with this machine's addresses and folders."""
        public = self._listening.get(name, 0)
        swapped = {
            "/etc/payproof-keys.sh": str(DEPLOY / "keys.sh"),
            "/etc/payproof": str(self.configuration / name),
            "/run/payproof": str(self.folder(name)),
            "0.0.0.0:9090": f"127.0.0.1:{self.ops[name]}",
            "'127.0.0.1', 9090": f"'127.0.0.1', {self.ops[name]}",
            "0.0.0.0:8080": f"127.0.0.1:{public}",
            "0.0.0.0:8070": f"127.0.0.1:{public}",
            "'127.0.0.1', 8090": f"'127.0.0.1', {public}",
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=8090": f"--port={public}",
            "rabbitmq:5672": self._broker,
        }
        for service, port in LISTENING.items():
            for host in (service, "localhost"):
                swapped[f"{host}:{port}"] = f"127.0.0.1:{self._listening[service]}"
        for there, here in swapped.items():
            text = text.replace(there, here)
        return text


@contextmanager
def boxes_beside(venv: Path, *, exports: bool = False) -> Iterator[tuple[Boxes, RabbitMQ, Postgres]]:
    """Compose's services, ready to be started, a real RabbitMQ and a real Postgres; all are ended afterwards.

    They run as a user who is not root, where there is such a user. `exports`: RabbitMQ's exporter runs, too.
    """
    with (
        directory() as place,
        directory() as database,
        rabbitmq(exports=exports) as broker,
        postgres(database) as server,
    ):
        place.chmod(0o755)
        boxes = Boxes(
            place, venv, _owner(venv, database / "postgres"), database_url=server.url, broker=f"127.0.0.1:{broker.port}"
        )
        boxes.draw_keys()
        broker.ctl("import_definitions", str(boxes.keys / "broker" / "definitions.json"))
        try:
            yield boxes, broker, server
        finally:
            boxes.close()


def _owner(venv: Path, cluster: Path) -> Owner:
    """The user that root runs the services as: the user of the database, whose socket is for that user alone."""
    if os.geteuid() != 0:
        return NOBODY_ELSE
    found = cluster.stat()
    owner = Owner(found.st_uid, found.st_gid)
    return owner if lends_itself(venv / "bin/python", owner) else NOBODY_ELSE


def lends_itself(python: Path, to: Owner) -> bool:
    """Whether this user can run that Python, and it is new enough."""
    command = [python, "-c", "import sys, venv; raise SystemExit(sys.version_info < (3, 11))"]
    who: dict[str, Any] = {"user": to.uid, "group": to.gid, "extra_groups": None if to.uid is None else []}
    try:
        done = subprocess.run(command, **who, cwd="/", capture_output=True, timeout=ONE_SHOT_SECONDS, check=False)
    except PermissionError:
        return False
    return done.returncode == 0


def _python() -> Path:
    """A Python that another user may also run, if there is one: files under `/root` are closed to other users."""
    here = Path(sys.executable).resolve()
    if os.geteuid() != 0:
        return here
    nobody = Owner(NOBODY, NOBODY)
    return next((python for python in (here, Path("/usr/bin/python3")) if lends_itself(python, nobody)), here)


def _pip(venv: Path, *words: str | Path) -> None:
    _run(sys.executable, "-m", "pip", "--python", venv / "bin/python", *words)


def _run(*words: str | Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{words[0]} {words[1]}: {done.stdout}{done.stderr}"
