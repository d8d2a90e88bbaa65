"""`payproof listen` on a laptop whose network, proxy or log is another for a while, and its words then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct, field

from tests.commands import command
from tests.e2e.buyers import Payproof
from tests.e2e.listeners import Answer, answering, arrives, listening, opened, receiving, settings_of

ESCAPES = "\x1b]0;title\x07\x9b2J\nover"


class Between(Struct):
    """What stands between a laptop and the service: it answers `instead`, else as the service does."""

    url: str
    service: str
    instead: list[Answer] = field(default_factory=list)
    given: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        if self.instead:
            self.given += 1
            return await self.instead.pop(0)()
        key = {"Authorization": request.headers["Authorization"]}
        asked = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=asked) as http,
            http.get(self.service + request.raw_path, headers=key) as got,
        ):
            return web.Response(status=got.status, body=await got.read(), content_type=got.content_type)


@asynccontextmanager
async def between(service: str) -> AsyncIterator[Between]:
    found = Between("", service)
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (answering(200, "<h1>Log in to the network</h1>"), 200),
        (answering(200, '{"events": [1], "next": "x"}'), 200),
        (answering(302, Location="http://127.0.0.1:9/login"), 302),
    ],
)
async def test_what_is_no_answer_of_payproof_is_asked_again_once_it_has_answered(
    payproof: Payproof, tmp_path: Path, answer: Answer, status: int
) -> None:
    async with receiving() as receiver, between(payproof.system.url) as way:
        words = ("--url", way.url)
        async with listening(payproof, tmp_path, receiver.url, *words) as running:
            way.instead = [answer]
            await arrives(receiver, await opened(payproof))  # which ends the request that waits
            await running.says(f"answers {status}, and not as payproof does; asked again until it answers")
            await arrives(receiver, await opened(payproof))
            await running.says("answers again")
            await running.ended()
        way.instead = [answer]
        told = await command(
            *("listen", "--forward-to", receiver.url, *words), cwd=tmp_path, settings=settings_of(payproof, tmp_path)
        )
        assert (told.code, told.err) == (2, f"--url: {way.url} answers {status}, and not as payproof does\n")


@pytest.mark.parametrize(("status", "code"), [(403, 2), (410, 1)])
async def test_what_asking_again_cannot_change_ends_it_and_turns_no_terminal_around(
    payproof: Payproof, tmp_path: Path, status: int, code: int
) -> None:
    refusal = answering(status, json.dumps({"code": "cursor_expired", "detail": ESCAPES}))
    async with receiving() as receiver, between(payproof.system.url) as way:
        async with listening(payproof, tmp_path, receiver.url, "--url", way.url) as running:
            way.instead = [refusal]
            await opened(payproof)
            said = await running.rest()
        assert running.process.returncode == code
        assert not {"\x1b", "\x07", "\x9b"} & set(said)
        assert "\nover" not in said
