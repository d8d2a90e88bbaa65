"""Callbacks over HTTP from a process of their own: all made beforehand, sent by a bare protocol on open connections.

Two ways: as fast as so many connections are answered, or at set times independent of the answers. In the second way a
sender must not wait for an answer, and must not count from the moment of sending: both would hide the delays that are
measured. So every request has its set time, is counted from it, and never waits for a free connection.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from tests.bench.hits import Kind, hit, numbers
from tests.bench.spread import Spread, spread
from tests.harness import environment

WARM = 0.1
READY_SECONDS = 60.0
LEAD_SECONDS = 0.2
ANSWER_BYTES = 2**28
"""The longest answer of the process, twenty bytes for each request. By default asyncio reads lines of at most 64 kB."""

CUT = "cut"
"""The status of a request whose connection ended before its answer."""


class Load(Struct, frozen=True, kw_only=True):
    """What to send: `count` requests from payment `first` on, over so many connections.

    `per_second` None: each connection sends its next request when its last was answered. Otherwise requests are sent at
    even distances, and `connections` is the number open at the start.
    """

    port: int
    kind: Kind
    first: int
    count: int
    connections: int = 32
    per_second: float | None = None


class Answered(Struct, frozen=True, kw_only=True):
    """The measured answers.

    `milliseconds` and `per_second` leave the first tenth out. `late_milliseconds` is how long after its set time a
    request was sent; None where requests had no set times. `since` is the time that each is counted from, by
    `time.perf_counter`, in the order of the payments.
    """

    per_second: float
    milliseconds: Spread
    statuses: Mapping[str, int]
    since: Sequence[float]
    late_milliseconds: Spread | None = None


class Running:
    """A load that is ready to go."""

    def __init__(self, child: asyncio.subprocess.Process, load: Load) -> None:
        self._child, self._load = child, load

    def go(self) -> None:
        """Start the load a moment from now; all processes share the clock `time.perf_counter`."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"%r\n" % (time.perf_counter() + LEAD_SECONDS))

    async def answered(self, seconds: float) -> Answered:
        """Wait until all requests are answered. Raises TimeoutError."""
        assert self._child.stdout is not None
        async with asyncio.timeout(seconds):
            return msgspec.json.decode(await self._child.stdout.readline(), type=Answered)


@asynccontextmanager
async def ready(load: Load) -> AsyncIterator[Running]:
    """The process, with every request made and its connections open; always ended afterwards."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "tests.bench.http_load", msgspec.json.encode(load).decode()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=ANSWER_BYTES,
        env=environment(),
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            if await child.stdout.readline() != b"ready\n":
                raise AssertionError("the load did not get ready; its last words are on stderr")
        yield Running(child, load)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


# -- in the process ----------------------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight; `free` is called with each answer's status."""

    def __init__(self, free: Callable[[Connection, str], None]) -> None:
        self._free = free
        self._buffer = b""
        self.since = 0.0
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one but for its base class

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self.since:
            self._free(self, CUT)

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        _, _, length = self._buffer[:end].lower().partition(b"content-length:")
        if len(self._buffer) >= end + 4 + int(length.partition(b"\r\n")[0] or 0):
            status, self._buffer = self._buffer[9:12].decode(), b""
            self._free(self, status)


class Sender:
    """Sends the requests of a load; `over` is set when everything is answered."""

    def __init__(self, load: Load) -> None:
        at = int(time.time())
        self._requests: Iterator[bytes] = iter(
            [hit(load.kind, n, at) for n in numbers(load.kind, load.first, load.count)]
        )
        self._load, self._left = load, load.count
        self._idle: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()
        self.statuses = Counter[str]()
        self.answers: list[tuple[float, float]] = []
        self.since: list[float] = []
        self.late: list[float] = []

    async def connect(self) -> None:
        self._idle += [await self._open() for _ in range(self._load.connections)]

    async def as_answered(self, start: float) -> None:
        await asyncio.sleep(start - time.perf_counter())
        busy, self._idle = self._idle, []
        for connection in busy:
            self._next(connection)
        await self.over.wait()

    async def at_set_times(self, start: float, per_second: float) -> None:
        for nth, request in enumerate(self._requests):
            self.since.append(due := start + nth / per_second)
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            while self._idle and not self._idle[-1].open:
                self._idle.pop()
            if self._idle:
                self._send(self._idle.pop(), request, due)
            else:
                task = asyncio.create_task(self._send_anew(request, due))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
        await self.over.wait()

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._freed), "127.0.0.1", self._load.port)
        return connection

    async def _send_anew(self, request: bytes, due: float) -> None:
        self._send(await self._open(), request, due)

    def _send(self, connection: Connection, request: bytes, due: float) -> None:
        self.late.append((time.perf_counter() - due) * 1000)
        connection.send(request, due)

    def _next(self, connection: Connection) -> None:
        request = next(self._requests, None)
        if request is not None:
            self.since.append(now := time.perf_counter())
            connection.send(request, now)

    def _freed(self, connection: Connection, status: str) -> None:
        now = time.perf_counter()
        self.answers.append((now, (now - connection.since) * 1000))
        self.statuses[status] += 1
        connection.since = 0.0
        self._left -= 1
        if self._left == 0:
            self.over.set()
        elif connection.open and self._load.per_second is None:
            self._next(connection)
        elif connection.open:
            self._idle.append(connection)


async def send(load: Load) -> Answered:
    sender = Sender(load)
    await sender.connect()
    print("ready", flush=True)
    start = float(await asyncio.to_thread(sys.stdin.readline))
    if load.per_second is None:
        await sender.as_answered(start)
    else:
        await sender.at_set_times(start, load.per_second)
    return _answered(sender)


def _answered(sender: Sender) -> Answered:
    counted = sender.answers[int(len(sender.answers) * WARM) :]
    return Answered(
        per_second=(len(counted) - 1) / (counted[-1][0] - counted[0][0]),
        milliseconds=spread([milliseconds for _, milliseconds in counted]),
        statuses=dict(sender.statuses),
        since=sender.since,
        late_milliseconds=spread(sender.late) if sender.late else None,
    )


def main() -> None:
    load = msgspec.json.decode(sys.argv[1], type=Load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(send(load))).decode(), flush=True)


if __name__ == "__main__":
    main()
