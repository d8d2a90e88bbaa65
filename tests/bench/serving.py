"""Payproof as a shop runs it, started and ended: one process with every role, or a process for each line of a layout.

A process that is ready may still be connecting its consumers. So a measurement sends a warm-up first and counts only
what comes after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from msgspec import Struct

from tests.bench.installation import READY_SECONDS, Gateways, config, settings_of
from tests.bench.servers import Servers
from tests.harness import Child, free_ports

ALL_IN_ONE: Final = ("ingress,consume,sweep,relay,deliver",)
APART: Final = ("ingress", "consume", "sweep,relay")
TWO_CONSUME: Final = ("ingress", "consume", "consume", "sweep,relay")
"""Layouts: the roles of each process."""


class Serving(Struct, frozen=True, kw_only=True):
    """The running processes, in the order of the layout, and the port for callbacks.

    `ready` is the address at which each process reports that it is ready.
    """

    port: int
    processes: Sequence[Child]
    ready: Sequence[str]

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self.processes)


@contextmanager
def serving(
    servers: Servers,
    gateways: Gateways,
    layout: Sequence[str] = ALL_IN_ONE,
    *,
    broker: bool = True,
    return_wait: str | None = None,
) -> Iterator[Serving]:
    """Start payproof, a process for each entry of `layout`, and wait until it is ready.

    Without `broker` its bus is Postgres. `return_wait` as the configuration writes it; None leaves the default.
    """
    toml = servers.place / "payproof.toml"
    toml.write_text((f'return_wait = "{return_wait}"\n' if return_wait else "") + config(gateways.url))
    port, *ops = free_ports(1 + len(layout))
    settings = settings_of(servers, toml, port) | ({"PAYPROOF_AMQP_URL": servers.broker.url} if broker else {})
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
        ready = [f"http://127.0.0.1:{own}/readyz" for own in ops]
        for child, address in zip(processes, ready, strict=True):
            child.wait_for(address, seconds=until - time.monotonic())
        yield Serving(port=port, processes=processes, ready=ready)
