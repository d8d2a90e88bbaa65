"""Payproof as a shop runs it, started and ended: one process with every role, or each line of a layout in its own.

The one thing to get wrong: beginning too early. A process that is ready may still connect its consumers; so whoever
measures sends something to warm up first, and counts what comes after.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Final

from msgspec import Struct

from tests.bench.installation import config
from tests.bench.servers import Servers
from worker.demo.children import Child, free_ports

ALL_IN_ONE: Final = ("ingress,consume,sweep,relay,deliver",)
APART: Final = ("ingress", "consume", "sweep,relay")
"""Layouts: the roles of each process."""

READY_SECONDS = 60.0


class Serving(Struct, frozen=True, kw_only=True):
    """What runs: the port that callbacks come to, and the processes in the order of the layout."""

    port: int
    processes: Sequence[Child]

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self.processes)


class Gateways(Struct, frozen=True):
    """The simulated gateways, all in one process."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def delay(self, gateway: str, seconds: float) -> None:
        """From now on this gateway answers so late; what it was asked before comes as it was to come."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("PUT", f"/delay/{gateway}/{seconds}")
            assert connection.getresponse().status == 200
        finally:
            connection.close()


@contextmanager
def simulated_gateways(servers: Servers, delay: float = 0.0) -> Iterator[Gateways]:
    """They run and answer, after `delay` seconds each."""
    (port,) = free_ports(1)
    child = Child(
        "gateways", "tests.bench.gateway", str(port), f"--delay={delay}", log=servers.place / "gateway.log", settings={}
    )
    child.start()
    try:
        child.wait_for(f"http://127.0.0.1:{port}/ipay/ses-0000000001", seconds=READY_SECONDS)
        yield Gateways(port)
    finally:
        child.kill()


@contextmanager
def serving(
    servers: Servers,
    gateways: Gateways,
    layout: Sequence[str] = ALL_IN_ONE,
    *,
    broker: bool = True,
    return_wait: str | None = None,
) -> Iterator[Serving]:
    """Payproof, ready, a process for each entry of `layout`; without `broker` its bus is Postgres.

    `return_wait` as the configuration writes it; None leaves what it comes with.
    """
    toml = servers.place / "payproof.toml"
    toml.write_text((f'return_wait = "{return_wait}"\n' if return_wait else "") + config(gateways.url))
    port, *ops = free_ports(1 + len(layout))
    settings = {
        "PAYPROOF_CONFIG": str(toml),
        "PAYPROOF_DATABASE_URL": servers.database.url,
        "PAYPROOF_LISTEN": f"127.0.0.1:{port}",
        "PAYPROOF_LOG": "json",
    } | ({"PAYPROOF_AMQP_URL": servers.broker.url} if broker else {})
    with ExitStack() as started:
        processes = []
        for roles, own in zip(layout, ops, strict=True):
            child = Child(
                roles,
                *("worker.cli", "serve", f"--roles={roles}"),
                log=servers.place / "payproof.log",
                settings=settings | {"PAYPROOF_OPS_LISTEN": f"127.0.0.1:{own}"},
            )
            child.start()
            started.callback(child.kill)
            processes.append(child)
        until = time.monotonic() + READY_SECONDS
        for child, own in zip(processes, ops, strict=True):
            child.wait_for(f"http://127.0.0.1:{own}/readyz", seconds=until - time.monotonic())
        yield Serving(port=port, processes=processes)
