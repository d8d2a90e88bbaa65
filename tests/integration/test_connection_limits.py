"""Clients that send unfinished requests over real sockets, or too many of them, beside an honest client."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf

import pytest
from aiohttp import web
from msgspec.structs import replace

from tests.integration.test_listening import HOST
from worker.runtime.connection_limits import ConnectionLimits, OpenConnections, Reason
from worker.runtime.http_listener import Runner

SOON = 20.0
"""A client waits so long for the end that it expects, in seconds. Without a limit it would wait for an hour or more."""

GET = b"GET / HTTP/1.1\r\n" + HOST
QUICK = ConnectionLimits(head_seconds=0.3, body_seconds=0.6, idle_seconds=0.3, write_seconds=0.3)
KEPT = replace(QUICK, idle_seconds=inf)
PATIENT = ConnectionLimits(head_seconds=inf, body_seconds=inf, idle_seconds=inf, write_seconds=inf)
MUCH = 16 * 1024 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Counts:
    """What a listener counted: the open connections, and those that it refused or cut by reason."""

    def __init__(self) -> None:
        self.open = 0
        self.reasons = Counter[Reason]()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[Counts], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    def opened(self) -> None:
        self.open += 1
        self._changed.set()

    def closed(self) -> None:
        self.open -= 1
        self._changed.set()

    def refused(self, reason: Reason) -> None:
        self.reasons[reason] += 1
        self._changed.set()


class Listener:
    """A listener with a quick page, one that reads a body, one that waits until `release` is set, and a long answer."""

    def __init__(self) -> None:
        self.counts, self.release, self.waiting = Counts(), asyncio.Event(), asyncio.Semaphore(0)
        self.clients, self.port = list[asyncio.StreamWriter](), 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_post("/", self._page)
        app.router.add_post("/read", self._read)
        app.router.add_get("/wait", self._wait)
        app.router.add_get("/much", self._much)
        return app

    async def connect(self) -> Streams:
        """A connection that is open until the listener or the test ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer

    def abort_clients(self) -> None:
        for writer in self.clients:
            writer.transport.abort()
        self.clients.clear()

    async def honest(self) -> int:
        """The status that an honest client gets on a connection of its own."""
        reader, writer = await self.connect()
        try:
            return await answered(reader, writer, GET + b"\r\n")
        finally:
            writer.close()

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text="well")

    async def _read(self, request: web.Request) -> web.Response:
        try:
            return web.Response(text=str(len(await request.read())))
        except (ConnectionError, web.RequestPayloadError):
            raise web.HTTPBadRequest from None  # as the handlers of callbacks and of the API answer

    async def _wait(self, _: web.Request) -> web.Response:
        self.waiting.release()
        await self.release.wait()
        return web.Response(text="well")

    async def _much(self, _: web.Request) -> web.Response:
        return web.Response(body=bytes(MUCH))


@asynccontextmanager
async def listener(
    limits: ConnectionLimits, sender: Callable[[str], str | None] | None = None
) -> AsyncIterator[Listener]:
    found = Listener()
    runner = Runner(found.app(), limits=limits, counters=found.counts, shutdown_timeout=0.1)
    if sender is not None:
        runner.connections = OpenConnections(limits, found.counts, sender)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.port = runner.addresses[0][1]
        yield found
        found.abort_clients()
        await found.counts.until(lambda counts: counts.open == 0)
    finally:
        found.release.set()
        await runner.cleanup()


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> int:
    """The status of the answer, which is read whole."""
    writer.write(raw)
    async with asyncio.timeout(SOON):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1])


async def drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send the piece again and again, slowly enough to keep a connection that is judged by its last byte."""
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the listener closes the connection."""
    async with asyncio.timeout(SOON):
        with suppress(ConnectionError):
            return await reader.read()
    return b""


# -- deadlines ---------------------------------------------------------------------------------------------------------

Trick = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def sends(first: bytes, then: bytes = b"") -> Trick:
    async def trick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        dripping = asyncio.create_task(drip(writer, then)) if then else None
        await ended(reader)
        if dripping is not None:
            dripping.cancel()

    return trick


async def stays_idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await answered(reader, writer, GET + b"\r\n") == 200
    assert await ended(reader) == b""


async def begins_a_second_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await answered(reader, writer, GET + b"\r\n") == 200
    writer.write(b"GET / HT")
    assert await ended(reader) == b""


async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n")
    async with asyncio.timeout(SOON):
        await reader.readexactly(1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not writer.is_closing():  # a cut connection is seen when it is written to
            writer.write(b"x")
            await asyncio.sleep(0.02)


TRICKS: dict[str, tuple[Trick, Reason | None]] = {
    "no bytes": (sends(b""), "slow"),
    "half a request line": (sends(b"GET / HT"), "slow"),
    "unfinished headers": (sends(GET + b"X: y\r\n"), "slow"),
    "headers that drip": (sends(GET, b"x"), "slow"),
    "blank lines that drip": (sends(b"", b"\r\n"), "slow"),
    "a body that drips": (sends(b"POST /read HTTP/1.1\r\n" + HOST + b"Content-Length: 99999\r\n\r\n", b"x"), "slow"),
    "chunks that drip": (
        sends(b"POST /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        "slow",
    ),
    "a chunk's extension that drips": (
        sends(b"POST /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
        "slow",
    ),
    "trailers that drip": (
        sends(b"POST /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
        "slow",
    ),
    "a body that goes on after the answer": (
        sends(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999\r\n\r\n", b"x"),
        "slow",
    ),
    "half a second request": (begins_a_second_request, "slow"),
    "an idle connection": (stays_idle, None),
    "an answer that nobody reads": (reads_nothing, "slow"),
}


@pytest.mark.parametrize("name", TRICKS)
async def test_an_unfinished_request_ends_by_its_deadline_and_others_are_served(name: str) -> None:
    trick, reason = TRICKS[name]
    async with listener(QUICK if trick is stays_idle else KEPT) as served:
        reader, writer = await served.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(trick(reader, writer))
            assert await served.honest() == 200
    assert served.counts.reasons == ({reason: 1} if reason else {})


async def test_a_request_that_we_work_on_has_no_deadline() -> None:
    """A buyer who waits for an outcome keeps the connection longer than any deadline of a client."""
    async with listener(QUICK) as served:
        reader, writer = await served.connect()
        buyer = asyncio.create_task(answered(reader, writer, b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"))
        async with asyncio.timeout(SOON):
            await served.waiting.acquire()
        for _ in range(3):  # each of these is cut by a deadline that began after the buyer's
            silent, other = await served.connect()
            await ended(silent)
            other.close()
        served.release.set()
        assert await buyer == 200


async def test_a_connection_may_be_used_for_longer_than_the_deadline_of_a_head() -> None:
    async with listener(KEPT) as served:
        reader, writer = await served.connect()
        for _ in range(3):
            assert await answered(reader, writer, GET + b"\r\n") == 200
            silent, other = await served.connect()
            await ended(silent)  # the deadline of a head has passed
            other.close()
        assert await answered(reader, writer, GET + b"\r\n") == 200


async def test_a_client_that_goes_away_before_it_sends_the_body_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It asked whether to send the body, and closed the connection: nobody is there to be told."""
    async with listener(KEPT) as served:
        reader, writer = await served.connect()
        writer.write(b"POST /read HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        writer.write_eof()
        assert await ended(reader) == b""
        assert await served.honest() == 200
    assert caplog.messages == []


# -- sizes -------------------------------------------------------------------------------------------------------------

LINE = b"X-%d: " + b"x" * 7000 + b"\r\n"


@pytest.mark.parametrize("end", [b"\r\n", b""], ids=["whole", "unfinished"])
async def test_a_head_over_32_kib_is_refused(end: bytes) -> None:
    async with listener(PATIENT) as served:
        reader, writer = await served.connect()
        writer.write(GET + b"".join(LINE % one for one in range(8)) + end)
        assert (await ended(reader)).split()[1] == b"431"
        assert await served.honest() == 200
    assert served.counts.reasons == {"large": 1}


async def test_a_head_with_a_long_address_and_cookies_is_taken() -> None:
    head = b"GET /?" + b"x" * 7000 + b" HTTP/1.1\r\n" + HOST + b"".join(LINE % one for one in range(3))
    async with listener(PATIENT) as served:
        reader, writer = await served.connect()
        for _ in range(3):
            assert await answered(reader, writer, head + b"\r\n") == 200


async def test_more_than_64_headers_and_a_line_over_8_kib_are_refused() -> None:
    many = GET + b"".join(b"X-%d: y\r\n" % one for one in range(65))
    for raw in (many + b"\r\n", many, GET + b"X: " + b"x" * 9000, b"GET /" + b"x" * 9000):
        async with listener(PATIENT) as served:
            reader, writer = await served.connect()
            writer.write(raw)
            assert (await ended(reader)).split()[1] == b"400"
            writer.close()


async def test_pipelined_requests_are_answered_and_few_are_held() -> None:
    many = 2_000
    async with listener(PATIENT) as served:
        reader, writer = await served.connect()
        writer.write((GET + b"\r\n") * many)
        sent = asyncio.create_task(writer.drain())
        for _ in range(many):
            assert await answered(reader, writer, b"") == 200
        await sent


async def test_150_connections_with_unfinished_headers_hold_little_memory() -> None:
    connections, headers = 150, 60
    async with listener(PATIENT) as served:
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        readers = []
        for _ in range(connections):
            reader, writer = await served.connect()
            writer.write(GET + b"".join(LINE % one for one in range(headers)))
            await writer.drain()
            readers.append(reader)
        for reader in readers:
            assert (await ended(reader)).split()[1:2] in ([b"431"], [])
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert await served.honest() == 200
        assert after - before < 16 * 1024 * 1024


async def test_unfinished_requests_share_a_bound_of_bytes_and_the_oldest_give_way() -> None:
    limits = ConnectionLimits(held_bytes=256 * 1024)
    for raw in (
        GET + b"".join(LINE % one for one in range(4)),
        b"POST /read HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n" + b"x" * 28_000,
    ):
        async with listener(limits) as served:
            readers = []
            for _ in range(20):
                reader, writer = await served.connect()
                writer.write(raw)
                await writer.drain()
                readers.append(reader)
            await ended(readers[0])
            assert await served.honest() == 200
            await served.counts.until(lambda counts: counts.reasons["evicted"] >= 11)
            assert not readers[-1].at_eof()


async def test_a_body_that_was_cut_leaves_no_bytes_behind() -> None:
    """A serving process collects garbage seldom, so what a cut body held must be free without it."""
    connections, raw = 200, b"POST /read HTTP/1.1\r\n" + HOST + b"Content-Length: 65000\r\n\r\n" + b"x" * 60_000
    async with listener(ConnectionLimits(held_bytes=256 * 1024)) as served:
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(connections):
                _, writer = await served.connect()
                writer.write(raw)
                await writer.drain()
            await served.counts.until(lambda counts: counts.reasons["evicted"] >= connections - 5)
            served.abort_clients()  # these hold bytes that they have not sent
            await served.counts.until(lambda counts: counts.open == 0)
            assert await served.honest() == 200
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert after - before < 6 * 1024 * 1024


# -- too many ----------------------------------------------------------------------------------------------------------


async def test_where_a_listener_is_full_the_connection_that_waited_longest_gives_way() -> None:
    limits = ConnectionLimits(most=10)
    async with listener(limits) as served:
        buyer, writer = await served.connect()
        waiting = asyncio.create_task(answered(buyer, writer, b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"))
        async with asyncio.timeout(SOON):
            await served.waiting.acquire()
        readers = []
        for _ in range(30):
            reader, _ = await served.connect()
            readers.append(reader)
        for reader in readers[:20]:
            await ended(reader)
        assert await served.honest() == 200
        served.release.set()
        assert await waiting == 200
    assert served.counts.reasons["full"] == 0


async def test_where_all_are_being_worked_on_a_new_connection_is_told_to_come_again() -> None:
    async with listener(ConnectionLimits(most=3)) as served:
        buyers = []
        for _ in range(3):
            reader, writer = await served.connect()
            raw = b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"
            buyers.append((asyncio.create_task(answered(reader, writer, raw)), writer))
            async with asyncio.timeout(SOON):
                await served.waiting.acquire()
        reader, writer = await served.connect()
        answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5\r\n" in answer
        assert answer.endswith(b"\r\n\r\n503 Service Unavailable\n")
        served.release.set()
        for told, writer in buyers:
            assert await told == 200
            writer.close()
        assert served.counts.reasons == {"full": 1}


async def test_one_address_fills_its_own_part_only() -> None:
    """The address with its part full loses its own oldest connection, and another address loses none."""
    senders = iter(["other", *["flood"] * 12, "other"])
    async with listener(ConnectionLimits(most=40), lambda _: next(senders)) as served:
        honest, writer = await served.connect()
        assert await answered(honest, writer, GET + b"\r\n") == 200
        readers = []
        for _ in range(12):
            reader, _ = await served.connect()
            readers.append(reader)
        for reader in readers[:8]:
            await ended(reader)
        assert served.counts.open == 5, served.counts.reasons
        assert await answered(honest, writer, GET + b"\r\n") == 200
        assert await served.honest() == 200
    assert served.counts.reasons == {"evicted": 8}
