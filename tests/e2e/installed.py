"""An installation of several processes beside one sandbox: started together, and looked at after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from tests.e2e.buyers import Payproof
from tests.harness import READY_SECONDS, Child, System, free_ports, staged
from tests.processes import loud


class Installed:
    """`children` are the processes by name, each with the address of its operators' endpoints."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.children: dict[str, tuple[Child, str]] = {}

    def add(self, name: str, roles: str, settings: Mapping[str, str]) -> None:
        """A process of these roles. That of ingress has the address that the shop's settings name."""
        own = dict(settings)
        if name != "ingress":
            own["PAYPROOF_OPS_LISTEN"] = f"127.0.0.1:{free_ports(1)[0]}"
        log = self.system.place / f"{name}.log"
        child = Child(name, "worker.cli", "serve", f"--roles={roles}", log=log, settings=own)
        self.children[name] = child, f"http://{own['PAYPROOF_OPS_LISTEN']}"

    def start(self) -> None:
        self.system.sandbox.start()
        self.system.sandbox.wait_for(f"{self.system.sandbox_url}/_control/troubles", seconds=READY_SECONDS)
        for child, _ in self.children.values():
            child.start()
        for child, ops in self.children.values():
            child.wait_for(f"{ops}/readyz", seconds=READY_SECONDS)

    def stop(self) -> None:
        for child, _ in self.children.values():
            child.stop()
        self.system.sandbox.stop()

    @asynccontextmanager
    async def used(self, refusals: Collection[str] = ()) -> AsyncIterator[Payproof]:
        """Afterwards every process runs, and none has logged an error or one of these words."""
        async with staged(self.system) as stage:
            yield Payproof(self.system, stage)
        for child, _ in self.children.values():
            log = child.log.read_text()
            assert child.running, child.name
            assert [word for word in refusals if word in log] == [], child.name
            assert loud(log) == [], child.name
