"""A webhook's URL must not reach private addresses. The guard stands where connections are made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.endpoints import Hook, endpoint_at, hooking
from worker.deliver.sender import Sender, sender
from worker.runtime.public_addresses import Resolver, guarded_socket, is_public

REFUSED = "not sent: it leads to an address that is not public"
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"


def only_outside(address: str) -> bool:
    """Stands in for the public internet, which a test cannot reach: one loopback address counts as outside."""
    return address == OUTSIDE


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def guarded(look_up: Callable[..., Any]) -> AsyncIterator[Sender]:
    """A sender without a cache of names, whose names are looked up by the test."""
    connector = aiohttp.TCPConnector(
        resolver=Resolver(only_outside, look_up), socket_factory=guarded_socket(only_outside), use_dns_cache=False
    )
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Sender(session, now, 5)


def names(*answers: tuple[str, ...]) -> Callable[..., Any]:
    """A name server that gives these answers one after the other."""
    left = list(answers)

    def look_up(_: str, port: int, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)]

    return look_up


@asynccontextmanager
async def everywhere(hook: Hook) -> AsyncIterator[int]:
    """The hook on every loopback address. Yields its port."""
    app = web.Application()
    app.router.add_post("/hook", hook.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "169.254.169.254", "10.0.0.1", "[fe80::1]",
    ],
)  # fmt: skip
async def test_nothing_inside_is_reached_however_its_address_is_written(host: str) -> None:
    hook = Hook()
    async with everywhere(hook) as port, sender(now, private=False, seconds=5) as sending:
        sent = await sending.send(endpoint_at(f"http://{host}:{port}/hook"), "e.1", b"{}")
    assert hook.requests == []
    assert sent.response.status is None
    assert sent.response.trouble is not None
    assert sent.response.trouble.startswith("not sent")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_development_may_send_inside(host: str) -> None:
    hook = Hook()
    async with everywhere(hook) as port, sender(now, private=True) as sending:
        sent = await sending.send(endpoint_at(f"http://{host}:{port}/hook"), "e.1", b"{}")
    assert sent.response.status == 204


async def test_a_name_that_leads_inside_and_later_outside_is_reached_later_only() -> None:
    hook = Hook()
    async with everywhere(hook) as port, guarded(names((INSIDE,), (OUTSIDE,))) as sending:
        endpoint = endpoint_at(f"http://rebinding.example:{port}/hook")
        first = await sending.send(endpoint, "e.1", b"{}")
        assert (first.response.trouble, hook.requests) == (REFUSED, [])
        second = await sending.send(endpoint, "e.1", b"{}")
        assert second.response.status == 204


async def test_a_name_that_leads_outside_and_later_inside_is_refused_later() -> None:
    hook = Hook(lambda _: _closing())
    async with everywhere(hook) as port, guarded(names((OUTSIDE,), (INSIDE,))) as sending:
        endpoint = endpoint_at(f"http://rebinding.example:{port}/hook")
        first = await sending.send(endpoint, "e.1", b"{}")
        assert first.response.status == 204
        second = await sending.send(endpoint, "e.2", b"{}")
        assert second.response.trouble == REFUSED
    assert len(hook.requests) == 1


@pytest.mark.parametrize("answer", [(INSIDE, OUTSIDE), (OUTSIDE, INSIDE)])
async def test_a_name_that_leads_outside_and_inside_at_once_is_refused(answer: tuple[str, ...]) -> None:
    hook = Hook()
    async with everywhere(hook) as port, guarded(names(answer)) as sending:
        sent = await sending.send(endpoint_at(f"http://both.example:{port}/hook"), "e.1", b"{}")
    assert (sent.response.trouble, hook.requests) == (REFUSED, [])


async def test_what_the_resolver_let_through_is_looked_at_again_when_the_connection_is_made() -> None:
    hook = Hook()
    async with everywhere(hook) as port:
        connector = aiohttp.TCPConnector(
            resolver=Resolver(lambda _: True, names((INSIDE,))), socket_factory=guarded_socket(is_public)
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            sent = await Sender(session, now, 5).send(endpoint_at(f"http://a.example:{port}/hook"), "e.1", b"{}")
    assert (sent.response.trouble, hook.requests) == (REFUSED, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    inside = Hook()

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": inside.url})

    async with hooking(inside), hooking(Hook(redirect)) as hook, sender(now, private=True) as sending:
        sent = await sending.send(endpoint_at(hook.url), "e.1", b"{}")
    assert sent.response.status == status
    assert inside.requests == []


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hooking(Hook()) as proxy, hooking(Hook()) as hook:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with sender(now, private=True) as sending:
            sent = await sending.send(endpoint_at(hook.url), "e.1", b"{}")
    assert sent.response.status == 204
    assert proxy.requests == []


@pytest.mark.alone
async def test_an_answer_that_never_ends_is_cut_and_its_status_counts() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionError:
            return response

    async with hooking(Hook(endless)) as hook, sender(now, private=True, seconds=10) as sending:
        sent = await sending.send(endpoint_at(hook.url), "e.1", b"{}")
    assert sent.response.status == 200
    assert sent.seconds < 3


async def test_an_answer_whose_end_does_not_come_counts_by_its_status() -> None:
    over = asyncio.Event()

    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await over.wait()
        return response

    async with hooking(Hook(dripping)) as hook, sender(now, private=True, seconds=0.5) as sending:
        sent = await sending.send(endpoint_at(hook.url), "e.1", b"{}")
        over.set()
    assert sent.response.status == 202


async def test_no_answer_in_time_is_said_so_without_the_address() -> None:
    over = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with hooking(Hook(silent)) as hook, sender(now, private=True, seconds=0.2) as sending:
        sent = await sending.send(endpoint_at(hook.url), "e.1", b"{}")
        over.set()
    assert sent.response.trouble == "no answer within 0.2 s"


async def test_a_server_that_speaks_no_http_or_is_not_there_is_told_in_words() -> None:
    async def noise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(noise, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with sender(now, private=True) as sending:
        sent = await sending.send(endpoint_at(f"http://127.0.0.1:{port}/"), "e.1", b"{}")
        assert sent.response.trouble == "no answer that is HTTP"
        server.close()
        await server.wait_closed()
        sent = await sending.send(endpoint_at(f"http://127.0.0.1:{port}/"), "e.1", b"{}")
        assert sent.response.trouble == "no answer: connection refused"


async def _closing() -> web.Response:
    return web.Response(status=204, headers={"Connection": "close"})
