"""The gateway client against servers that misbehave: every result is Inconclusive, and comes in time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from decimal import Decimal
from email.utils import formatdate
from time import time
from traceback import format_exception

import pytest
import trustme
from aiohttp import web
from msgspec.structs import replace

from consumers.account import Account
from consumers.ports.effects import Effect, EffectReply, HttpReply, HttpRequest, NoReply, Token, TokenWanted
from consumers.providers import PROVIDERS, kit
from schemas.answers import Answer, Expected, Inconclusive, Question, Trouble
from schemas.secret import Secret
from worker.postgres.database import Database
from worker.postgres.tokens import PostgresTokens
from worker.verify.gateways import MAX_REPLY, Gateways, gateways

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
EXPECTED = Expected(payment_id="p", reference="r", amount=Decimal("10.00"), currency="BDT", session_id="IPAY-1")


@asynccontextmanager
async def raw_server(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that answers each connection by `respond`; yields its address."""
    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


@pytest.fixture
async def asking(database: Database) -> AsyncIterator[Gateways]:
    async with gateways(PostgresTokens(database)) as asking:
        yield asking


def account_at(base_url: str) -> Account:
    return Account(id="a", merchant="m", provider=PROVIDERS["ipay"](base_url=base_url, api_key=Secret("key")))


def replying(raw: bytes) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    return respond


async def trouble(asking: Gateways, address: str) -> Trouble:
    outcome = await asking.ask(account_at(f"http://{address}"), Question(), EXPECTED)
    assert isinstance(outcome, Inconclusive), outcome
    assert "key" not in outcome.detail
    return outcome.trouble


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", Trouble.UNREADABLE),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Trouble.SERVER_ERROR),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", Trouble.RATE_LIMITED),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", Trouble.KEY_REFUSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Trouble.NO_REPLY),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", Trouble.NO_REPLY),
        (b"220 smtp.example ESMTP\r\n", Trouble.NO_REPLY),
        (b"", Trouble.NO_REPLY),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * (MAX_REPLY + 1), Trouble.NO_REPLY),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n{}", Trouble.NO_REPLY),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>", Trouble.UNREADABLE),
    ],
)
async def test_whatever_a_gateway_does_is_inconclusive(asking: Gateways, raw: bytes, expected: Trouble) -> None:
    async with raw_server(replying(raw)) as address:
        assert await trouble(asking, address) is expected


@pytest.mark.parametrize("date", [None, 600])
async def test_a_date_to_come_again_counts_from_the_reply(asking: Gateways, date: int | None) -> None:
    """It counts from the reply's own date; a reply without a date is dated when it came."""
    head = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"
    now = time() + (date or 0)
    head += f"Date: {formatdate(now, usegmt=True)}\r\n" if date else ""
    raw = f"{head}Retry-After: {formatdate(now + 90, usegmt=True)}\r\n\r\n".encode()
    async with raw_server(replying(raw)) as address:
        outcome = await asking.ask(account_at(f"http://{address}"), Question(), EXPECTED)
    assert isinstance(outcome, Inconclusive)
    assert outcome.retry_after is not None
    assert 80 < outcome.retry_after <= 91


async def test_nobody_listening_is_no_reply(asking: Gateways) -> None:
    async with raw_server(replying(b"")) as address:
        pass
    assert await trouble(asking, address) is Trouble.NO_REPLY


async def test_an_unknown_certificate_is_not_accepted(asking: Gateways) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with raw_server(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), context) as address:
        outcome = await asking.ask(account_at(f"https://{address}"), Question(), EXPECTED)
    assert isinstance(outcome, Inconclusive)
    assert "certificate" in outcome.detail


REFUSED, SILENT = object(), object()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"220 smtp.example ESMTP\r\n",
        b"",
        REFUSED,
        SILENT,
    ],
)
async def test_a_secret_of_a_query_reaches_the_gateway_and_no_text_of_ours(
    asking: Gateways, reply: object, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n"))
        if reply is SILENT:
            await reader.read()
        elif isinstance(reply, bytes):
            writer.write(reply)
            await writer.drain()
        writer.close()

    async with raw_server(respond) as address:
        request = kit.get(f"http://{address}/q", query={"id": "1"}, secret={"passwd": Secret("0ch1rp/ 9")})
        if reply is REFUSED:
            request = replace(request, url="http://127.0.0.1:1/q?id=1")
        told = ""
        try:
            told = repr(await asking.step(account_at("http://x"), replace(request, seconds=0.5)))
        except NoReply as error:
            told = "".join(format_exception(error))
    assert set(heard) == (
        set() if reply is REFUSED else {b"GET /q?id=1&passwd=0ch1rp%2F+9 HTTP/1.1\r\n"}
    )  # aiohttp repeats a GET that was cut
    for text in (told, caplog.text):
        assert "0ch1rp" not in text


class _Impatient:
    """A gateway whose question has a short deadline and needs a token."""

    name = "impatient"
    base_url = ""

    def __init__(self, address: str) -> None:
        self.address = address
        self.grants = 0

    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, Answer | Inconclusive]:
        del question, expected
        try:
            reply = yield HttpRequest(method="GET", url=f"http://{self.address}/", seconds=0.2)
        except NoReply as error:
            return Inconclusive(trouble=Trouble.NO_REPLY, detail=str(error))
        assert isinstance(reply, HttpReply)
        return Answer(status=None, word=str(reply.status))


async def test_a_silent_gateway_ends_at_its_deadline(asking: Gateways) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with raw_server(silent) as address:
        account = replace(account_at("http://x"), provider=_Impatient(address))
        async with asyncio.timeout(5):
            outcome = await asking.ask(account, Question(), EXPECTED)
    assert outcome == Inconclusive(trouble=Trouble.NO_REPLY, detail="no reply within 0.2 s")


class _Granting(_Impatient):
    """A gateway that needs a token; each grant gives another token, the first of which is refused."""

    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, Answer | Inconclusive]:
        del question, expected
        token = yield TokenWanted()
        if token == "token-1":
            token = yield TokenWanted(stale=str(token))
        return Answer(status=None, word=str(token))

    def grant(self) -> Generator[HttpRequest, HttpReply, Token | Inconclusive]:
        reply = yield HttpRequest(method="POST", url=f"http://{self.address}/grant")
        return Token(text=reply.body.decode(), seconds=3600)


async def test_a_crowd_shares_one_token_and_renews_a_stale_one_once(asking: Gateways) -> None:
    granted = 0

    async def grant(request: web.Request) -> web.Response:
        nonlocal granted
        granted += 1
        return web.Response(text=f"token-{granted}")

    app = web.Application()
    app.add_routes([web.post("/grant", grant)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    account = replace(account_at("http://x"), provider=_Granting(f"{host}:{port}"))
    outcomes = await asyncio.gather(*(asking.ask(account, Question(), EXPECTED) for _ in range(50)))
    await runner.cleanup()
    assert {outcome.word for outcome in outcomes if isinstance(outcome, Answer)} == {"token-2"}
    assert granted == 2
