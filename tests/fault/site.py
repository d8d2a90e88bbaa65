"""Where the rows of the table of chaos play: a process for each role, behind proxies, and a shop's webhook endpoint.

PostgreSQL's data lies on a small disk of its own, so that it can be filled. Mounting one needs root.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from tests.broker import RabbitMQ, rabbitmq
from tests.cluster import cluster
from tests.fault.fleet import Fleet
from tests.fault.postgres import postgres
from tests.fault.proxy import Proxy
from tests.harness import free_ports
from tests.integration.endpoints import SECRET, Hook, hooking
from tests.processes import directory

ROLES = {name: name for name in ("ingress", "consume", "relay", "deliver", "sweep")}
ENDPOINT = '\n[[merchants.webhooks]]\nurl = "{url}"\nsecret = "{secret}"\n'
DISK = "600m"
PIECE = 1 << 20
SOCKET = ".s.PGSQL.5432"


class Site(Struct, frozen=True):
    """`to_database` and `to_broker` are the networks between the processes and their servers."""

    fleet: Fleet
    hook: Hook
    disk: Path
    to_database: Proxy
    to_broker: Proxy | None

    def webhooks(self) -> set[str]:
        """The ids of the events that the shop's endpoint took."""
        return set(self.hook.taken)

    def __contains__(self, event: object) -> bool:
        """Whether an event, by its id, came over AMQP and by webhook."""
        return event in self.fleet.subscriber.heard and event in self.webhooks()


@asynccontextmanager
async def built(*, clustered: bool) -> AsyncIterator[Site]:
    """A running site; `clustered`: its broker is a cluster, which is reached without a proxy."""
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(hooking(Hook()))
        place = stack.enter_context(directory())
        place.chmod(0o755)
        disk = stack.enter_context(small_disk(place / "disk"))
        broker = await asyncio.to_thread(stack.enter_context, cluster() if clustered else rabbitmq())
        database = await asyncio.to_thread(stack.enter_context, postgres(disk))
        host = parse_qs(urlsplit(database.url).query)["host"][0]
        to_database = Proxy(lambda: asyncio.open_unix_connection(f"{host}/{SOCKET}"))
        await _serve(stack, to_database, asyncio.start_unix_server(to_database.carry, place / SOCKET))
        through = {"PAYPROOF_DATABASE_URL": database.url.replace(host, str(place))}
        to_broker = None
        if isinstance(broker, RabbitMQ):
            (port,) = free_ports(1)
            to_broker = Proxy(lambda: asyncio.open_connection("127.0.0.1", broker.port))
            await _serve(stack, to_broker, asyncio.start_server(to_broker.carry, "127.0.0.1", port))
            through["PAYPROOF_AMQP_URL"] = f"amqp://guest:guest@127.0.0.1:{port}/"
        fleet = Fleet(
            *(place, database, broker),
            roles=ROLES,
            merchants=ENDPOINT.format(url=hook.url, secret=SECRET),
            through=through,
        )
        stack.callback(fleet.stop)
        await fleet.subscriber.bind()
        await asyncio.to_thread(fleet.start)
        yield Site(fleet, hook, disk, to_database, to_broker)


async def _serve(stack: AsyncExitStack, proxy: Proxy, starting: Awaitable[asyncio.Server]) -> None:
    server = await starting
    stack.push_async_callback(proxy.close)
    stack.callback(server.close)


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of DISK. Those of processes that were killed are unmounted first. Raises PermissionError without root."""
    if os.geteuid() != 0:
        raise PermissionError("a small disk is mounted by root alone: run this as root")
    place.mkdir()
    for line in Path("/proc/mounts").read_text().splitlines():
        source, where, *_ = line.split()
        owner = source.removeprefix("payproof-chaos-")
        if owner != source and not Path(f"/proc/{owner}").exists():
            subprocess.run(["umount", "--lazy", where], check=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", f"payproof-chaos-{os.getpid()}", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free on the disk."""
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(PIECE))
