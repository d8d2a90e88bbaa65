"""A fleet: every role as processes of their own, on one Postgres and one RabbitMQ, with the sandbox for gateways.

`restore` brings the fleet back to all of it running after any test, and `stop` ends everything by its own id.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.broker import RabbitMQ, rabbitmq
from tests.cluster import Cluster
from tests.fault.postgres import Postgres, postgres
from tests.fault.subscriber import Subscriber
from tests.harness import READY_SECONDS, Child, System, free_ports
from tests.processes import directory, loud
from tests.standby import Pair

SETTINGS = """\
return_wait = "1s"

[checks]
claimed = ["300ms", "500ms", "1s"]
pending = ["1s", "2s"]
closed = ["3s"]
refunds = ["1s", "2s", "20s"]
grace = "1s"
confirm_end = "5s"
give_up = "1h"
"""
ROLES = {
    "ingress": "ingress",
    "consumer-1": "consume",
    "consumer-2": "consume",
    "clockwork-1": "sweep,relay",
    "clockwork-2": "sweep,relay",
}
STOPPED_SECONDS = 60.0


class Member:
    """One process of the fleet, and the address where it reports that it is ready.

    `extra` is added to its environment.
    """

    def __init__(self, fleet: Fleet, name: str, roles: str, extra: dict[str, str] | None = None) -> None:
        (port,) = free_ports(1)
        self.ops_url = f"http://127.0.0.1:{port}"
        self.child = Child(
            *(name, "worker.cli", "serve", f"--roles={roles}"),
            log=fleet.place / f"{name}.log",
            settings=fleet.settings | {"PAYPROOF_OPS_LISTEN": f"127.0.0.1:{port}"} | (extra or {}),
        )

    @classmethod
    def twin(cls, fleet: Fleet, name: str, extra: dict[str, str]) -> Member:
        """A process that can replace a member, in another environment."""
        return cls(fleet, name, fleet.roles[name], extra)

    def start(self) -> None:
        self.child.start()
        self.ready()

    def ready(self) -> None:
        """Wait until it reports that it is ready. Blocks. Raises ChildError."""
        self.child.wait_for(f"{self.ops_url}/readyz", seconds=READY_SECONDS)


class Fleet:
    """`url`, `key` and `sandbox_url` are the installation's, as in tests.harness.System.

    `roles` are the processes by name; `merchants` as there; `through` are settings of the processes alone, such as the
    address of a proxy before a server.
    """

    def __init__(
        self,
        place: Path,
        database: Postgres | Pair,
        broker: RabbitMQ | Cluster,
        settings: str = SETTINGS,
        *,
        roles: Mapping[str, str] = ROLES,
        merchants: str = "",
        through: Mapping[str, str] | None = None,
    ) -> None:
        self._system = System(place, settings=settings, merchants=merchants)
        self.roles, self.place, self.database, self.broker = roles, place, database, broker
        self.url, self.key, self.sandbox_url = self._system.url, self._system.key, self._system.sandbox_url
        self.settings = self._system.settings | {
            "PAYPROOF_DATABASE_URL": database.url,
            "PAYPROOF_AMQP_URL": broker.url,
            **(through or {}),
        }
        self.subscriber = Subscriber(broker.url)
        self.members = {name: Member(self, name, of) for name, of in roles.items()}
        self._read: dict[Path, int] = {}

    def start(self) -> None:
        self._system.configure()
        self._system.sandbox.start()
        for member in self.members.values():
            member.child.start()
        for member in self.members.values():
            member.ready()
        self._system.sandbox.wait_for(f"{self.sandbox_url}/_control/troubles", seconds=READY_SECONDS)

    @contextmanager
    def joined(self) -> Iterator[str]:
        """The URL of the database."""
        yield self.database.url

    def restore(self) -> None:
        """Start every process that does not run, and wait until all are ready."""
        for member in self.members.values():
            if not member.child.running:
                member.child.start()
        for member in self.members.values():
            member.ready()

    def stop(self) -> None:
        for member in self.members.values():
            member.child.kill()
        self._system.sandbox.stop()

    def loud(self) -> list[str]:
        """The log events since the last call that should wake an operator."""
        lines = []
        for log in sorted(self.place.glob("*.log")):
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                said, end, _ = file.read().rpartition(b"\n")  # the last line may not be written whole yet
            self._read[log] = self._read.get(log, 0) + len(said + end)
            lines += [f"{log.stem}: {line}" for line in loud(said.decode(errors="replace"))]
        return lines


@contextmanager
def running_fleet(
    settings: str = SETTINGS,
    *,
    merchants: str = "",
    roles: Mapping[str, str] = ROLES,
    brokers: Callable[[], AbstractContextManager[RabbitMQ | Cluster]] = rabbitmq,
) -> Iterator[Fleet]:
    """A running fleet and its servers; everything is ended afterwards. Blocks.

    `merchants` and `roles` are those of Fleet. `PAYPROOF_TEST_LOGS`: where its logs are kept.
    """
    with directory() as place, brokers() as broker, postgres(place) as database:
        fleet = Fleet(place, database, broker, settings, merchants=merchants, roles=roles)
        try:
            with ThreadPoolExecutor(1) as aside:  # a test's event loop may be running here
                aside.submit(asyncio.run, fleet.subscriber.bind()).result()
            fleet.start()
            yield fleet
        finally:
            fleet.stop()
            if kept := os.environ.get("PAYPROOF_TEST_LOGS"):
                for log in place.glob("*.log"):
                    shutil.copy(log, kept)
