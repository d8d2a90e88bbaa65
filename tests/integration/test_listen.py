"""Notices come again after a network has forgotten the connection: nothing breaks, nothing arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from tests.processes import until
from worker.ending import end_one
from worker.postgres.database import Database
from worker.postgres.notices import Notice


class Wire:
    """Between a client and the server's socket. What was connected before `forget` stays connected and is dead."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._forgotten = asyncio.Event()
        self.port = 0

    def forget(self) -> None:
        self._forgotten.set()
        self._forgotten = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_unix_connection(self._socket)
        forgotten = self._forgotten
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, to_server[1], forgotten))
            group.create_task(_pump(to_server[0], writer, forgotten))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forgotten: asyncio.Event) -> None:
    try:
        while data := await reader.read(65_536):
            if not forgotten.is_set():
                writer.write(data)
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def wire(dsn: str) -> AsyncIterator[Wire]:
    query = parse_qs(urlsplit(dsn).query)
    wire = Wire(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}")
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    async with server:
        yield wire
        server.close()


async def test_a_connection_that_the_network_forgot_is_made_again(database: Database, dsn: str) -> None:
    heard: list[Notice] = []
    connected = asyncio.Semaphore(0)

    async def again() -> None:
        connected.release()

    async with wire(dsn) as between:
        far = Database(
            database._pool, f"postgresql://payproof@127.0.0.1:{between.port}{urlsplit(dsn).path}", database.clock
        )
        listening = asyncio.create_task(far.listen(heard.append, connected=again, probe=0.2))
        async with asyncio.timeout(10):
            await connected.acquire()
            between.forget()
            await connected.acquire()

        async def arrives() -> bool:
            database.notify(Notice(claims=["ipay"]))
            return bool(heard)

        await until(arrives, what="a notice", seconds=5)
        await end_one(listening)
