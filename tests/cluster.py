"""A private RabbitMQ cluster: three nodes, each in a network namespace of its own, so that each can be cut off.

A node has two networks. Over the inner one the nodes talk to each other; over the outer one clients reach them. A cut
drops what is sent and closes nothing, as a broken switch does. Making networks needs root and iproute2.

The names of namespaces and links hold the id of the process that made them. Those of a process that was killed are
removed by the next one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.broker import CONFIG, RabbitMQ, Seat
from tests.processes import directory
from worker.amqp.message_size import MAX_MESSAGE

NODES = (1, 2, 3)
COOKIE = "PAYPROOFTESTS"
COMMAND_SECONDS = 20.0
MEMORY = "256MB"
CLUSTERED = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
cluster_partition_handling = pause_minority
net_ticktime = 8
"""
DISABLED, FORWARDING = "0", "3"


class Network:
    """Namespaces for the nodes, joined by two bridges: `i` between the nodes, `o` to this machine's processes."""

    def __init__(self) -> None:
        self._own = f"pp{os.getpid()}"
        used = _ip("-o", "-4", "addr")
        self._third = next(third for third in range(256) if f" 10.213.{third}." not in used)

    def inner(self, node: int) -> str:
        return f"10.213.{self._third}.{10 + node}"

    def outer(self, node: int) -> str:
        return f"10.214.{self._third}.{10 + node}"

    def inside(self, node: int) -> tuple[str, ...]:
        return ("ip", "netns", "exec", f"{self._own}-{node}")

    def build(self) -> None:
        """Make the namespaces and bridges. Raises PermissionError without root."""
        if os.geteuid() != 0:
            raise PermissionError("networks are made by root alone: run this as root")
        for side, second in (("i", 213), ("o", 214)):
            bridge = self._own + side
            _ip("link", "add", bridge, "type", "bridge")
            _ip("addr", "add", f"10.{second}.{self._third}.1/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
        for node in NODES:
            space = f"{self._own}-{node}"
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            for side, address in (("i", self.inner(node)), ("o", self.outer(node))):
                link = f"{self._own}{side}{node}"
                _ip("link", "add", link, "type", "veth", "peer", "name", side, "netns", space)
                _ip("link", "set", link, "master", self._own + side, "up")
                _ip("-n", space, "addr", "add", f"{address}/24", "dev", side)
                _ip("-n", space, "link", "set", side, "up")

    def cut(self, node: int, sides: str) -> None:
        """Drop everything to and from a node on these sides."""
        self._set(node, sides, DISABLED)

    def heal(self, node: int, sides: str = "io") -> None:
        self._set(node, sides, FORWARDING)

    def _set(self, node: int, sides: str, state: str) -> None:
        for side in sides:
            _run("bridge", "link", "set", "dev", f"{self._own}{side}{node}", "state", state)


class Cluster:
    """Three nodes with one `url`, which names them all. It is used as a fleet's broker; every method blocks."""

    def __init__(self, place: Path) -> None:
        self.network = Network()
        self.nodes = {node: self._node(place / f"node-{node}", node) for node in NODES}
        self.url = ",".join(node.url for node in self.nodes.values())

    def start(self) -> None:
        """Start the first node, which makes the cluster, and then the others together, which join it."""
        self.network.build()
        first, *others = self.nodes.values()
        first.start()
        with ThreadPoolExecutor(len(others)) as together:
            for started in [together.submit(node.start) for node in others]:
                started.result()

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
        remove(os.getpid())

    def leader_of(self, queue: str) -> int:
        """The number of the node that leads a queue."""
        told = json.loads(self._any().ctl("list_queues", "name", "leader", "--formatter", "json"))
        leader = next(one["leader"] for one in told if one["name"] == queue)
        return next(number for number, node in self.nodes.items() if node.node == leader)

    def running(self) -> list[str]:
        """The nodes that see each other, as one of them says."""
        told = json.loads(self._any().ctl("cluster_status", "--formatter", "json"))
        return sorted(told["running_nodes"])

    def queues(self) -> str:
        return self._any().queues()

    def cut_connections(self) -> None:
        for node in self.nodes.values():
            node.cut_connections()

    def _any(self) -> RabbitMQ:
        return next(node for node in self.nodes.values() if node.greets())

    def _node(self, place: Path, number: int) -> RabbitMQ:
        (place / "home").mkdir(parents=True)
        cookie = place / "home" / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)
        names = {each: f"rabbit@{self.network.inner(each)}" for each in NODES}
        peers = "".join(f"cluster_formation.classic_config.nodes.{each} = {name}\n" for each, name in names.items())
        return RabbitMQ(
            place,
            seat=Seat(
                host=self.network.outer(number),
                port=5672,
                distribution=25672,
                epmd=4369,
                epmd_address=self.network.inner(number),
                node=names[number],
                config=CONFIG.format(address="5672", memory=MEMORY, max_message=MAX_MESSAGE) + CLUSTERED + peers,
                emulator="+sbwt none +S 1:1",
                inside=self.network.inside(number),
                long_names=True,
            ),
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster; everything is ended and removed afterwards."""
    remove_stale()
    with directory() as place:
        broker = Cluster(place)
        try:
            broker.start()
            yield broker
        finally:
            broker.close()


def remove_stale() -> None:
    """Remove the processes, namespaces and links of processes that were killed before they could."""
    owners = {int(owner) for owner in re.findall(r"\bpp(\d+)(?:-\d|[io])\b", _ip("netns", "list") + _ip("-o", "link"))}
    for owner in owners:
        if not Path(f"/proc/{owner}").exists():
            remove(owner)


def remove(owner: int) -> None:
    """End the processes in the namespaces that a process made, and remove these and their links."""
    spaces = re.findall(rf"^pp{owner}-\d\b", _ip("netns", "list"), re.MULTILINE)
    for space in spaces:
        for pid in _ip("netns", "pids", space).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "del", space)
    for bridge in re.findall(rf"\bpp{owner}[io]\b(?=:)", _ip("-o", "link")):
        _ip("link", "del", bridge)


def _ip(*words: str) -> str:
    return _run("ip", *words)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
    return done.stdout
