"""A primary and its streaming standby: two real servers that a test cuts off, kills and promotes.

`url` names both servers and takes the one that can be written to, as a deployment does that has no proxy. `moved_url`
leads to one server by a link in the file system, as a proxy or a name does that an operator moves.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from worker.postgres.server.cluster import PORT, Cluster

SECONDS = 60.0


class Pair:
    """`primary` runs and has the empty database `payproof`; `standby` follows it. Every method blocks."""

    def __init__(self, place: Path) -> None:
        place.chmod(0o755)  # the servers may run as a user of their own, who must get in
        self.primary, self.standby = Cluster(place / "a"), Cluster(place / "b")
        self._link = place / "here"

    @property
    def url(self) -> str:
        hosts = ",".join(quote(str(one.home), safe="/") for one in (self.primary, self.standby))
        return f"postgresql://payproof@/payproof?host={hosts}&port={PORT}&target_session_attrs=read-write"

    @property
    def moved_url(self) -> str:
        return f"postgresql://payproof@/payproof?host={quote(str(self._link), safe='/')}&port={PORT}"

    def start(self) -> None:
        self.primary.create()
        self.primary.start()
        self.says(self.primary, "CREATE DATABASE payproof", database="postgres")
        self._follow()
        self.move(self.primary)

    def move(self, cluster: Cluster) -> None:
        """Let `moved_url` lead to that server."""
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(cluster.home)

    def synchronous(self) -> None:
        """From now on a commit is acknowledged when the standby has it."""
        self.says(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.says(self.primary, "SELECT pg_reload_conf()")
        self._until(self.primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1")

    def cut(self) -> None:
        """Cut the standby off: it gets no more commits, and the primary goes on."""
        self.says(self.standby, "ALTER SYSTEM SET primary_conninfo = ''")
        self.says(self.standby, "SELECT pg_reload_conf()")
        self._until(self.primary, "SELECT count(*) FROM pg_stat_replication", "0")

    def caught_up(self) -> None:
        """Wait until the standby has all that is on the primary now."""
        at = self.says(self.primary, "SELECT pg_current_wal_flush_lsn()")
        self._until(self.standby, f"SELECT pg_last_wal_replay_lsn() >= '{at}'", "t")

    def kill(self) -> None:
        """End the primary as a crash would."""
        pid = int((self.primary.home / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while self.primary._processes():
            assert time.monotonic() < until, "a server that was killed is gone, with its children"
            time.sleep(0.01)

    def promote(self) -> None:
        done = self.standby.identity.run(
            *(self.standby.programs / "pg_ctl", "promote", "-w", "-t", str(int(SECONDS)), "-D", self.standby.home),
            seconds=SECONDS + 10,
        )
        assert done.returncode == 0, done.stdout

    def stop(self) -> None:
        for cluster in (self.primary, self.standby):
            if (cluster.home / "PG_VERSION").exists():
                cluster.stop()

    def says(self, cluster: Cluster, sql: str, *, database: str = "payproof") -> str:
        """Run a statement as the superuser. Returns its only value."""
        flags = ("-h", cluster.home, "-p", str(PORT), "-U", "payproof", "-d", database)
        done = cluster.identity.run(cluster.programs / "psql", "-XAtq", *flags, "-c", sql, seconds=SECONDS)
        assert done.returncode == 0, f"{sql}: {done.stdout}"
        return done.stdout.strip()

    def _follow(self) -> None:
        flags = ("-h", self.primary.home, "-p", str(PORT), "-U", "payproof")
        done = self.primary.identity.run(
            *(self.primary.programs / "pg_basebackup", *flags),
            *("-D", self.standby.home, "--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"),
            seconds=SECONDS,
        )
        assert done.returncode == 0, done.stdout
        for copied in self.standby.home.glob(".s.PGSQL.*"):  # the primary keeps its socket in its data directory
            copied.unlink()
        self.standby.start()
        self._until(self.primary, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "1")

    def _until(self, cluster: Cluster, sql: str, value: str) -> None:
        until = time.monotonic() + SECONDS
        while (said := self.says(cluster, sql)) != value:
            assert time.monotonic() < until, f"{sql} says {said} instead of {value}"
            time.sleep(0.05)


@contextmanager
def pair(place: Path) -> Iterator[Pair]:
    """Both servers run; they are ended afterwards."""
    servers = Pair(place)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
