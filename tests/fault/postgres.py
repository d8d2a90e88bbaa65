"""A private PostgreSQL for a fleet: the embedded programs, but started, stopped and killed by the test alone.

The service restarts an embedded server that died. To the service this server is only an address, as an operator's
server is, so it stays away until the test starts it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fault.clocks import faked
from worker.postgres.server.cluster import Cluster
from worker.postgres.server.identity import identity_for

GONE_SECONDS = 20.0


class Postgres:
    """One server; `url` names its database `payproof`, which need not exist yet. Every method blocks.

    `programs`: where those of another version are than the embedded server's.
    """

    def __init__(self, place: Path, programs: Path | None = None) -> None:
        place.chmod(0o755)  # the server may run as a user of its own, who must get in
        self._cluster = Cluster(place / "postgres")
        if programs is not None:
            self._cluster.programs = programs
            self._cluster.identity = identity_for(self._cluster.home, programs=programs)
        self._cluster.create()

    @property
    def url(self) -> str:
        return self._cluster.url

    def start(self) -> None:
        self._cluster.start()

    def start_at(self, clock: str) -> None:
        """Start with a clock that is off, as in `+1h`; see tests.fault.clocks."""
        before = dict(os.environ)
        os.environ.update(faked(clock))
        try:
            self._cluster.start()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def freeze(self) -> None:
        """Suspend all its processes: connections stay open, and carry no data."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sign: signal.Signals) -> None:
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink() == self._cluster.home:
                    os.kill(int(entry.name), sign)

    def stop(self) -> None:
        """Stop as an operator would, cutting every connection."""
        self._cluster.stop()

    def kill(self) -> None:
        """End as a crash would."""
        pid = int((self._cluster.home / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + GONE_SECONDS
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < until, "a server that was killed is gone"
            time.sleep(0.01)


@contextmanager
def postgres(place: Path, programs: Path | None = None) -> Iterator[Postgres]:
    """A server that runs, and is ended afterwards."""
    server = Postgres(place, programs)
    server.start()
    try:
        yield server
    finally:
        server.stop()
