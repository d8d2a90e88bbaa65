"""The real servers of the benchmark: Debian's PostgreSQL with fsync on and `pg_stat_statements`, and RabbitMQ.

Nothing that a shop needs is switched off, and every contender uses the same two servers. Each server that was started
is ended by its own process id.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.broker import RabbitMQ, rabbitmq

DEBIAN = Path("/usr/lib/postgresql")
USER = "postgres"
PORT = 5432
SECONDS = 120.0
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "wal_compression": "zstd",  # as in deploy's own files
    "checkpoint_timeout": "15min",
    "autovacuum": "on",
    "timezone": "UTC",
}
"""The usual settings of PostgreSQL for a payment service: memory, and no checkpoint every minute."""


class Missing(Exception):
    """A server is not installed. The message says which package brings it."""


class Postgres:
    """One cluster in `home`, created when it does not exist. Every method blocks.

    `url` names its database `payproof`.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is added to the server's."""
        self._programs, self.home = _programs(), home
        self._environment = os.environ | (environment or {})
        self._user = USER if os.geteuid() == 0 else None  # the server refuses to run as root
        self._server: subprocess.Popen[bytes] | None = None
        self._sockets = Path(tempfile.mkdtemp(prefix="payproof-"))  # below a deep checkout its path would be too long
        self._own(self._sockets)
        if not (home / "PG_VERSION").exists():
            self._create()

    @property
    def url(self) -> str:
        return f"postgresql://payproof@/payproof?host={quote(str(self._sockets), safe='/')}&port={PORT}"

    def start(self, **settings: str) -> None:
        """Start the server; `settings` come before SETTINGS."""
        settings = {**SETTINGS, "unix_socket_directories": str(self._sockets), **settings}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.home / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.home, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                user=self._user,
                cwd=self.home,
                start_new_session=True,
            )
        until = time.monotonic() + SECONDS
        while self._run("pg_isready", "-q", "-h", str(self._sockets), "-p", str(PORT)).returncode != 0:
            if self._server.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"PostgreSQL did not come up; see {self.home / 'server.log'}")
            time.sleep(0.05)
        exists = "SELECT 1 FROM pg_database WHERE datname = 'payproof'"
        if not self._output("psql", *self._where(), "-Atc", exists, "postgres"):
            self._output("createdb", *self._where(), "payproof")
            self._output("psql", *self._where(), "-c", "CREATE EXTENSION pg_stat_statements", "payproof")

    def page_bytes(self, since: str, until: str) -> int:
        """The bytes of whole pages in the WAL between two positions, such as `0/1A2B3C4D`.

        A page is written whole once after each checkpoint.
        """
        words = ("--stats", f"--path={self.home / 'pg_wal'}", f"--start={since}", f"--end={until}")
        total = re.search(r"^Total\s+\d+\s+\d+ \[[\d.]+%\]\s+(\d+)", self._output("pg_waldump", *words), re.MULTILINE)
        assert total is not None, "pg_waldump adds up"
        return int(total[1])

    def stop(self) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)  # fast: cuts connections, and ends with a checkpoint
            self._server.wait(SECONDS)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _own(self, directory: Path) -> None:
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(directory, account.pw_uid, account.pw_gid)

    def _create(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._own(self.home)
        self.home.chmod(0o700)
        flags = ("--username=payproof", "--auth=trust", "--no-locale", "--encoding=UTF8")
        self._output("initdb", *flags, "-D", str(self.home))

    def _where(self) -> tuple[str, ...]:
        return ("-h", str(self._sockets), "-p", str(PORT), "-U", "payproof")

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._programs / program, *words],
            user=self._user,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def _output(self, program: str, *words: str) -> str:
        done = self._run(program, *words)
        if done.returncode != 0:
            raise AssertionError(f"{program}: {done.stderr.strip()}")
        return done.stdout


def postgres_version() -> str:
    """The version of the installed server. Raises Missing."""
    done = subprocess.run([_programs() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[2]


def _programs() -> Path:
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise Missing("there is no PostgreSQL server; on Debian: apt-get install postgresql")
    return found[-1].parent


class Servers:
    """Both servers, running. `place` is a directory whose files are removed with them."""

    def __init__(self, place: Path, database: Postgres, broker: RabbitMQ) -> None:
        self.place, self.database, self.broker = place, database, broker

    def versions(self) -> dict[str, str]:
        return {"postgres": postgres_version(), "rabbitmq": self.broker.ctl("version").strip()}


@contextmanager
def servers(place: Path, template: Path | None = None) -> Iterator[Servers]:
    """Both started anew in the empty `place`, and ended afterwards; `template` is a cluster to copy at the start."""
    place.chmod(0o755)  # the database's own user must get through
    home = place / "postgres"
    if template is not None:
        subprocess.run(["cp", "-a", "--reflink=auto", template, home], check=True)
    database = Postgres(home)
    try:
        database.start()
        with rabbitmq() as broker:
            yield Servers(place, database, broker)
    finally:
        database.stop()
        shutil.rmtree(home, ignore_errors=True)
