"""Child processes: their output goes to a file, they are watched, and ended by their own id.

No child is left behind. A child is asked to stop, given time to drain, and then killed; its owner ends it in any case.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path

STOP_SECONDS = 60.0
LOOK_SECONDS = 0.02
PORTS = range(12_000, 32_000)
OWNED = "worker.playground.demo.owned_child"
_ROOT = Path(__file__).resolve().parents[3]


class ChildError(Exception):
    """A child did not come up. The message says why, or names its log."""


class Child:
    """One program of ours, `python -m` a module. It can be started again after it ended; its log goes on.

    `own_group` False: Ctrl-C, and whatever else ends its owner's process group, reaches it too; and it is asked to stop
    where its owner was killed.
    """

    def __init__(
        self, name: str, module: str, *words: str, log: Path, settings: Mapping[str, str], own_group: bool = True
    ) -> None:
        self.name = name
        self.log = log
        owned = () if own_group else (OWNED, str(os.getpid()))
        self._command = (sys.executable, "-P", "-m", *owned, module, *words)
        self._environment = environment() | dict(settings)
        self._own_group = own_group
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules by our own interpreter
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                env=self._environment,
                start_new_session=self._own_group,  # then Ctrl-C reaches only its owner, which then ends it in order
            )

    def kill(self) -> None:
        """End it as a crash would: nothing is drained, nothing is closed."""
        self._end(signal.SIGKILL, STOP_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """Ask it to stop and wait; kill it when it does not. Returns its exit code; None when it never ran."""
        try:
            self._end(signal.SIGTERM, seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        return None if self._process is None else self._process.returncode

    def wait_for(self, url: str, *, seconds: float) -> float:
        """Wait until `url` answers 200. Returns the seconds that it took. Raises ChildError."""
        host, _, path = url.partition("://")[2].partition("/")
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if _answers(host, f"/{path}"):
                return time.monotonic() - began
            if not self.running:
                raise ChildError(f"{self.name} ended before it was ready: {self._last_words()}")
            time.sleep(LOOK_SECONDS)
        raise ChildError(f"{self.name} was not ready within {seconds:g} s; see {self.log}")

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"see {self.log}")

    def _end(self, sign: signal.Signals, seconds: float) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sign)
            self._process.wait(seconds)


def free_ports(count: int) -> Sequence[int]:
    """Ports of loopback without a listener, which no other process of ours is given while this process runs.

    They lie below those that the system hands out by itself, so that a port whose server is away for a while stays
    free.
    """
    numbers = _ports()
    return [next(numbers) for _ in range(count)]


@cache
def _ports() -> Iterator[int]:
    return (port for port in PORTS if _reserved(port) and _unused(port))


def _reserved(port: int) -> bool:
    """Reserve the port by taking the UDP port of the same number. The kernel frees it when this process ends."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        one.close()
        return False
    one.detach()  # the socket stays open without its object
    return True


def _unused(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def environment() -> dict[str, str]:
    """Our environment without its settings of payproof; the packages are found from a checkout as well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAYPROOF_")}
    path = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _answers(host: str, path: str) -> bool:
    connection = HTTPConnection(host, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
