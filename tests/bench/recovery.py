"""`python -m tests.bench.recovery`: how long an outcome takes when the process that asks about it is killed.

While the gateway is being asked, `kill -9` ends the process that asks. The clock runs from the kill, not from the
restart, until the payment's event has its position in the log: with a second process that consumes, and with a single
process that is started again at once. The gateway's own time, which a second question takes again, is subtracted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, get_args

import asyncpg
import msgspec
from msgspec import Struct

from tests.bench.gateway import answer
from tests.bench.history import lived_in
from tests.bench.hits import hit
from tests.bench.installation import READY_SECONDS, Gateways, open_payments
from tests.bench.numbered import payment_id
from tests.bench.servers import Servers
from tests.bench.serving import Serving, serving
from tests.harness import Child
from tests.processes import directory, until
from worker.postgres.server.migrate import apply_migrations

Bus = Literal["rabbitmq", "postgres"]
BUSES: Final[Sequence[Bus]] = get_args(Bus)
LAYOUTS: Final = {1: ("ingress,sweep,relay", "consume"), 2: ("ingress,sweep,relay", "consume", "consume")}
"""The processes by how many of them consume. The processes for callbacks, the clock and the log stay alive."""

GATEWAY_SECONDS = 1.0
KILLS = 3
MOST_SECONDS = 120.0
"""The longest time that an outcome may take; the longest lease of a dead process is 40 s."""

_TOLD = "SELECT EXISTS (SELECT FROM events WHERE payment_id = $1 AND type = 'payment.completed' AND place IS NOT NULL)"


class Recovery(Struct, frozen=True, kw_only=True):
    """Seconds of each kill, less the gateway's time.

    `consumers` is how many there were, including the killed process. `after_kill` is from the kill to the event.
    `after_ready`, for a single process, is from when its successor was ready; it is negative where the successor asked
    before it reported ready.
    """

    bus: Bus
    consumers: int
    gateway_seconds: float
    after_kill: Sequence[float]
    after_ready: Sequence[float] = ()

    def __str__(self) -> str:
        told = f"{self.bus}, {self.consumers} of which one is killed: {_spread(self.after_kill)} after the kill"
        return told + (f", {_spread(self.after_ready)} after its successor was ready" if self.after_ready else "")


async def recovery(
    both: Servers,
    first: int,
    *,
    bus: Bus = "rabbitmq",
    consumers: int = 2,
    kills: int = KILLS,
    gateway_seconds: float = GATEWAY_SECONDS,
) -> Recovery:
    """Kill the process that asks so often, once for each payment from number `first` on; one more is used up first.

    Raises AssertionError when an outcome is not published within MOST_SECONDS.
    """
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, first, first + kills)
    database = await asyncpg.connect(both.database.url)
    try:
        async with _gateway(gateway_seconds) as gateway:
            with serving(both, gateway.address, LAYOUTS[consumers], broker=bus == "rabbitmq") as payproof:
                await _call(payproof, first, database)
                cut = [await _kill(payproof, n, gateway, database) for n in range(first + 1, first + kills + 1)]
    finally:
        await database.close()
    return Recovery(
        bus=bus,
        consumers=consumers,
        gateway_seconds=gateway_seconds,
        after_kill=[told - killed - gateway_seconds for killed, _, told in cut],
        after_ready=[told - ready - gateway_seconds for _, ready, told in cut] if consumers == 1 else (),
    )


class _Gateway:
    """Answers every question after so many seconds, and notes from which port each came."""

    def __init__(self, port: int, asked: asyncio.Queue[int]) -> None:
        self.address, self._asked = Gateways(port), asked

    async def asked_from(self) -> int:
        """The port of the process that asks next."""
        async with asyncio.timeout(MOST_SECONDS):
            return await self._asked.get()

    def forget(self) -> None:
        """Forget the ports that asked so far."""
        while not self._asked.empty():
            self._asked.get_nowait()


@asynccontextmanager
async def _gateway(seconds: float) -> AsyncIterator[_Gateway]:
    asked = asyncio.Queue[int]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                told = answer(head.split(b" ", 2)[1].decode().partition("?")[0])
                assert told is not None, "nothing but a status is asked for"
                asked.put_nowait(writer.get_extra_info("peername")[1])
                await asyncio.sleep(seconds)
                length = b"Content-Type: application/json\r\nContent-Length: %d" % len(told[2])
                writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n" + told[2])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield _Gateway(server.sockets[0].getsockname()[1], asked)


async def _kill(
    payproof: Serving, n: int, gateway: _Gateway, database: asyncpg.Connection[Any]
) -> tuple[float, float, float]:
    """The times of the kill, of the successor's being ready, and of the outcome's publication, for payment n."""
    gateway.forget()
    telling = asyncio.create_task(_call(payproof, n, database))
    try:
        nth = _owner(payproof.processes, await gateway.asked_from())
        killed = time.perf_counter()
        child = payproof.processes[nth]
        await asyncio.to_thread(child.kill)
        child.start()
        await asyncio.to_thread(child.wait_for, payproof.ready[nth], seconds=READY_SECONDS)
        ready = time.perf_counter()
        return killed, ready, await telling
    finally:
        telling.cancel()


async def _call(payproof: Serving, n: int, database: asyncpg.Connection[Any]) -> float:
    """Send the callback of payment n and wait until its outcome is published. Returns when that was."""
    _, writer = await asyncio.open_connection("127.0.0.1", payproof.port)
    try:
        writer.write(hit("mixed", n, int(time.time())))

        async def told() -> bool:
            return bool(await database.fetchval(_TOLD, payment_id(n)))

        await until(told, what=f"the outcome of {payment_id(n)}", seconds=MOST_SECONDS)
        return time.perf_counter()
    finally:
        writer.close()


def _owner(processes: Sequence[Child], port: int) -> int:
    """The index of the process whose connection comes from that loopback port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (row[9] for row in rows if row[1] == f"0100007F:{port:04X}" and row[9] != "0")
    for nth, process in enumerate(processes):
        for file in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                if file.readlink() == Path(f"socket:[{inode}]"):
                    return nth
    raise AssertionError(f"no process of payproof's asks from port {port}")


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f} of {len(seconds)})"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recovery")
    parser.add_argument("--bus", choices=BUSES, action="append", help="may be repeated; default: both")
    parser.add_argument(
        "--consumers", type=int, choices=LAYOUTS, action="append", help="may be repeated; default: 1 and 2"
    )
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument(
        "--gateway", type=float, default=GATEWAY_SECONDS, help="seconds that the gateway takes to answer"
    )
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    firsts = count(1, 1_000_000)
    with directory() as place, lived_in(place) as both:
        for bus in words.bus or BUSES:
            for consumers in words.consumers or LAYOUTS:
                how = {"bus": bus, "consumers": consumers, "kills": words.kills, "gateway_seconds": words.gateway}
                told = await recovery(both, next(firsts), **how)
                print(msgspec.json.encode(told).decode() if words.json else told, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
