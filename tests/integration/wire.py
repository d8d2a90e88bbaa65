"""A proxy between a client and the server's socket: it can be cut in several ways, and counts statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

STARTUP = 196_608
"""The code in a client's first message, which has no kind; all later messages have a kind."""


class Wire:
    """Connections from before `forget` stay connected and are dead. `statements` are those executed through it."""

    def __init__(self, dsn: str) -> None:
        query = parse_qs(urlsplit(dsn).query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._path = urlsplit(dsn).path
        self._forgotten, self._losing = asyncio.Event(), False
        self.port, self.statements = 0, 0

    @property
    def dsn(self) -> str:
        return f"postgresql://payproof@127.0.0.1:{self.port}{self._path}"

    def forget(self) -> None:
        self._forgotten.set()
        self._forgotten = asyncio.Event()

    def lose_answers(self) -> None:
        """From now on the connection ends where the server would have answered."""
        self._losing = True

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asking = await asyncio.open_unix_connection(self._socket)
        forgotten = self._forgotten
        async with asyncio.TaskGroup() as group:
            group.create_task(self._asked(reader, asking, forgotten))
            group.create_task(self._answered(answers, writer, forgotten))

    async def _asked(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forgotten: asyncio.Event
    ) -> None:
        started, rest = False, b""
        try:
            while data := await reader.read(65_536):
                rest += data
                while len(rest) >= 8:
                    size = int.from_bytes(rest[1:5]) + 1 if started else int.from_bytes(rest[:4])
                    if len(rest) < size:
                        break
                    self.statements += started and rest[:1] in (b"E", b"Q")
                    started = started or int.from_bytes(rest[4:8]) == STARTUP
                    rest = rest[size:]
                await _pass_on(data, writer, forgotten)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answered(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forgotten: asyncio.Event
    ) -> None:
        try:
            while (data := await reader.read(65_536)) and not self._losing:
                await _pass_on(data, writer, forgotten)
        except ConnectionError:
            pass
        finally:
            writer.close()


async def _pass_on(data: bytes, writer: asyncio.StreamWriter, forgotten: asyncio.Event) -> None:
    if not forgotten.is_set():
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def wire(dsn: str) -> AsyncIterator[Wire]:
    between = Wire(dsn)
    server = await asyncio.start_server(between.carry, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    async with server:
        yield between
        server.close()
