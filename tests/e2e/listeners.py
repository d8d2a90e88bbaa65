"""A running `payproof listen`, a receiver on this machine, and what stands between it and the service."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web
from msgspec import Struct, field

from tests.commands import SECONDS, started
from tests.e2e.buyers import Payproof
from tests.processes import until
from worker.playground.demo.children import free_ports

Answer = Callable[[], Awaitable[web.Response]]


class Receiver(Struct):
    """What came, as (webhook-id, headers, body); `answers` are given first, then 204 always."""

    url: str
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    other: int = 0

    def ids(self) -> list[str]:
        return [event_id for event_id, _, _ in self.got]

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers["webhook-id"], headers, await request.read()))
        return await self.answers.pop(0)() if self.answers else web.Response(status=204)

    async def elsewhere(self, _: web.Request) -> web.Response:
        self.other += 1
        return web.Response(status=204)


@asynccontextmanager
async def receiving(port: int | None = None) -> AsyncIterator[Receiver]:
    port = port or free_ports(1)[0]
    receiver = Receiver(f"http://127.0.0.1:{port}/hooks/payproof")
    app = web.Application()
    app.add_routes([web.post("/hooks/payproof", receiver.take), web.post("/elsewhere", receiver.elsewhere)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        yield receiver
    finally:
        await runner.cleanup()


def answering(status: int, text: str = "", **headers: str) -> Answer:
    async def answer() -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


class Listening:
    """A running `payproof listen`, with the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.lines = process, list[str]()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    async def says(self, words: str) -> None:
        await until(lambda: words in self.said, what=f"listen says {words!r}")

    async def ended(self, by: signal.Signals = signal.SIGINT) -> str:
        """End it. Returns all that it said, and its errors after them."""
        self.process.send_signal(by)
        return await self.rest()

    async def rest(self) -> str:
        """All that it said, and its errors after them, once it has ended."""
        assert self.process.stderr is not None
        await asyncio.wait_for(self.process.wait(), SECONDS)
        await asyncio.wait_for(self._reading, SECONDS)
        return self.said + (await self.process.stderr.read()).decode()


@asynccontextmanager
async def listening(
    payproof: Payproof, home: Path, to: str, *words: str, stdin: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[Listening]:
    settings = settings_of(payproof, home)
    process = await started("listen", "--forward-to", to, *words, cwd=home, settings=settings, stdin=stdin)
    running = Listening(process)
    try:
        await running.says("Ctrl-C ends it")
        yield running
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def settings_of(payproof: Payproof, home: Path) -> dict[str, str]:
    return {
        "PAYPROOF_API_KEY": payproof.system.key,
        "PAYPROOF_PUBLIC_URL": payproof.system.url,
        "XDG_STATE_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
    }


async def opened(payproof: Payproof) -> str:
    """The id of the event of a new payment."""
    return f"{(await payproof.opened('ipay')).payment['payment_id']}.1"


async def arrives(receiver: Receiver, event_id: str, times: int = 1) -> None:
    await until(lambda: receiver.ids().count(event_id) >= times, what=f"{event_id} arrives {times} times")
