"""A proxy before a server, whose network the test cuts, silences or slows. It runs in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

PIECE = 65536

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """`delay` are the seconds that each piece takes, in each direction."""

    def __init__(self, connect: Callable[[], Awaitable[Pipe]]) -> None:
        self._connect = connect
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._carried: set[asyncio.Task[None]] = set()
        self.delay = 0.0

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Connections end, and new ones are ended at once."""
        self._refusing = True
        await self.close()
        try:
            yield
        finally:
            self._refusing = False

    @asynccontextmanager
    async def silent(self) -> AsyncIterator[None]:
        """Connections stay open and new ones are taken; nothing is carried until it is over."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        self.delay = seconds
        try:
            yield
        finally:
            self.delay = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: the callback of asyncio's servers."""
        task = asyncio.current_task()
        assert task is not None, "a server calls it in a task"
        self._carried.add(task)
        writers = [writer]
        try:
            if self._refusing:
                return
            with suppress(OSError):
                await self._flowing.wait()
                there, back = await self._connect()
                writers.append(back)
                ways = [asyncio.ensure_future(self._pump(*way)) for way in ((reader, back), (there, writer))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        except asyncio.CancelledError:
            pass  # by `close`; asyncio's server would report it
        finally:
            self._carried.discard(task)
            for end in writers:
                end.transport.abort()

    async def close(self) -> None:
        """End all connections."""
        carried = list(self._carried)
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
