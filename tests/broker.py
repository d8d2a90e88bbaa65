"""A private RabbitMQ: Debian's server on private ports in a temporary directory, ended by its own process ids.

A node would start epmd as a daemon that outlives it. So epmd is started here first, as a child, on a port of its own,
and ended as a child.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.harness import free_ports
from tests.processes import directory
from worker.amqp.message_size import MAX_MESSAGE

SBIN = Path("/usr/lib/rabbitmq/bin")
START_SECONDS = 120.0  # a node that was killed may take a minute on a busy machine
STOP_SECONDS = 30.0
COMMAND_SECONDS = 120.0
CONFIG = """\
listeners.tcp.default = {address}
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = {memory}
loopback_users = none
heartbeat = 5
max_message_size = {max_message}
"""
EXPORTER = """\
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {exporter}
"""

_ELECT = (
    "[ra:trigger_election(amqqueue:get_pid(Q)) || Q <- rabbit_amqqueue:list(), "
    "amqqueue:get_type(Q) =:= rabbit_quorum_queue, element(1, ra:members(amqqueue:get_pid(Q), 2000)) =/= ok]."
)


class Seat(Struct, frozen=True, kw_only=True):
    """Where a node runs. `inside` are the words before each of its commands; `long_names`: its name has an address."""

    host: str
    port: int
    distribution: int
    epmd: int
    epmd_address: str
    node: str
    config: str
    emulator: str
    inside: tuple[str, ...] = ()
    long_names: bool = False


class RabbitMQ:
    """One node; `url` is where it is reached. It keeps its data when it is stopped, killed and started again.

    `more`: further lines of its configuration. `exports`: its exporter for Prometheus runs too, at `exporter`.
    """

    def __init__(self, place: Path, more: str = "", *, exports: bool = False, seat: Seat | None = None) -> None:
        self.place, self.seat = place, seat or _seat()
        self.port, self.node = self.seat.port, self.seat.node
        self.url = f"amqp://guest:guest@{self.seat.host}:{self.port}/"
        (exporter,) = free_ports(1)
        self.exporter = f"127.0.0.1:{exporter}"
        for name in ("home", "data", "log"):
            (place / name).mkdir(exist_ok=True)
        exporting = EXPORTER.format(exporter=exporter) if exports else ""
        (place / "rabbitmq.conf").write_text(self.seat.config + exporting + more)
        (place / "enabled_plugins").write_text("[rabbitmq_prometheus]." if exports else "[].")
        self._environment = os.environ | {
            "HOME": str(place / "home"),
            "ERL_EPMD_PORT": str(self.seat.epmd),
            "ERL_EPMD_ADDRESS": self.seat.epmd_address,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_USE_LONGNAME": str(self.seat.long_names).lower(),
            "RABBITMQ_DIST_PORT": str(self.seat.distribution),
            "RABBITMQ_MNESIA_BASE": str(place / "data"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(place / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self.seat.emulator,
        }
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the node. Returns when it takes connections."""
        if not (SBIN / "rabbitmq-server").exists():
            raise AssertionError("there is no rabbitmq-server; deploy/dev test installs it")
        if self._epmd is None:
            self._epmd = self._popen("epmd", "-port", str(self.seat.epmd), "-address", self.seat.epmd_address)
        self._server = self._popen(str(SBIN / "rabbitmq-server"))
        until = time.monotonic() + START_SECONDS
        while not self.greets():
            if self._server.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"rabbitmq-server did not come up; see {self.place / 'server.log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the node as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Suspend the node: its connections stay open, and carry no data."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End all processes that were started."""
        self.kill()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait(STOP_SECONDS)
            self._epmd = None

    def raise_alarm(self) -> None:
        """Make the disk count as full: publishers are blocked."""
        self.ctl("set_disk_free_limit", "900GB")

    def clear_alarm(self) -> None:
        self.ctl("set_disk_free_limit", "1MB")

    @contextmanager
    def any_size(self) -> Iterator[None]:
        """Have the node take messages of up to 512 MB, on channels that are opened from now on."""
        self._limit(2**29)
        try:
            yield
        finally:
            self._limit(MAX_MESSAGE)

    def _limit(self, size: int) -> None:
        self.ctl("eval", f"application:set_env(rabbit, max_message_size, {size}).")

    def cut_connections(self) -> None:
        self.ctl("close_all_connections", "cut by a test")

    def mend(self) -> None:
        """Have every queue without a leader elect a leader.

        A node that was killed and comes back may leave a quorum queue without a leader (seen with 3.10), when a client
        asks for it before its election. The queue then waits until an election is requested.
        """
        self.ctl("eval", _ELECT)

    def queues(self) -> str:
        """The waiting and delivered messages and the consumers of each queue, one queue a line, for debugging."""
        return self.ctl("list_queues", "name", "messages_ready", "messages_unacknowledged", "consumers", "state")

    def ctl(self, *words: str) -> str:
        done = subprocess.run(
            [*self.seat.inside, str(SBIN / "rabbitmqctl"), "-q", *words],
            env=self._environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=True,
        )
        return done.stdout

    def greets(self) -> bool:
        try:
            with socket.create_connection((self.seat.host, self.port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                connection.settimeout(2)
                return bool(connection.recv(1))
        except OSError:
            return False

    def _popen(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.place / "server.log").open("ab") as log:
            return subprocess.Popen(
                [*self.seat.inside, *command],
                env=self._environment,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _signal(self, sign: signal.Signals) -> None:
        if self._server is not None and self._server.poll() is None:
            os.killpg(self._server.pid, sign)

    def _end(self, sign: signal.Signals) -> None:
        self._signal(sign)
        if self._server is not None:
            try:
                self._server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._server.wait(STOP_SECONDS)


def _seat() -> Seat:
    port, distribution, epmd = free_ports(3)
    return Seat(
        host="127.0.0.1",
        port=port,
        distribution=distribution,
        epmd=epmd,
        epmd_address="127.0.0.1",
        node=f"payproof-{port}@localhost",
        config=CONFIG.format(address=f"127.0.0.1:{port}", memory="1GB", max_message=MAX_MESSAGE),
        emulator="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +S 2:2",
    )


@contextmanager
def rabbitmq(more: str = "", *, exports: bool = False) -> Iterator[RabbitMQ]:
    """A running node, made with these parameters; everything is ended afterwards."""
    with directory() as place:
        broker = RabbitMQ(place, more, exports=exports)
        try:
            broker.start()
            yield broker
        finally:
            broker.close()
