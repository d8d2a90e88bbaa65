"""Running a gateway's pure generators: HTTP with deadlines, TLS, no redirects, bounded replies, and shared tokens.

The one thing to get wrong: a gateway that redirects, trickles or floods is one that gave no answer. Nothing here raises
for what a gateway does; it comes back as Inconclusive.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, Protocol, TypeVar

import aiohttp
from msgspec import Struct
from yarl import URL

from consumers.account import Account
from consumers.gateway import (
    Effect,
    GrantsTokens,
    HttpReply,
    HttpRequest,
    NoReply,
    Opening,
    OpeningOutcome,
    Reply,
    Token,
    TokenWanted,
)
from schemas.answers import Expected, Inconclusive, Outcome, Question, Trouble
from schemas.words import QuestionKind

MAX_REPLY = 1024 * 1024
WHOLE_SECONDS = {QuestionKind.STATUS: 25.0, QuestionKind.EXECUTE: 38.0}
OPEN_SECONDS = 40.0

_Result = TypeVar("_Result")


class _NoToken(Exception):
    def __init__(self, why: Inconclusive) -> None:
        super().__init__(why.detail)
        self.why = why


class Calls(Struct):
    """How many requests a question took: two for some, and one or two more for a token."""

    made: int = 0


class Tokens(Protocol):
    """Where an account's token is kept; `grant` gets a new one where there is none, or only the `stale` one."""

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]], /) -> str: ...


class Gateways:
    """Asks gateways and opens checkouts; made by `gateways`."""

    def __init__(self, session: aiohttp.ClientSession, tokens: Tokens) -> None:
        self._session = session
        self._tokens = tokens

    async def ask(
        self, account: Account, question: Question, expected: Expected, calls: Calls | None = None
    ) -> Outcome:
        """Ask one question; ends within the lease of its kind. Every request on the way is counted in `calls`."""
        running = self._run(account, account.provider.ask(question, expected), calls or Calls())
        return await _bounded(running, WHOLE_SECONDS[question.kind])

    async def open(self, account: Account, opening: Opening) -> OpeningOutcome:
        return await _bounded(self._run(account, account.provider.open(opening), Calls()), OPEN_SECONDS)

    async def step(self, account: Account, effect: Effect) -> Reply:
        """Do one effect of a generator that is run step by step, as lists are. Raises NoReply."""
        try:
            return await self._do(account, effect, Calls())
        except _NoToken as error:
            raise NoReply(error.why.detail) from None

    async def _run(
        self, account: Account, generator: Generator[Effect, Reply, _Result], calls: Calls
    ) -> _Result | Inconclusive:
        try:
            effect = next(generator)
            while True:
                try:
                    reply = await self._do(account, effect, calls)
                except NoReply as error:
                    effect = generator.throw(error)
                else:
                    effect = generator.send(reply)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        except NoReply as error:
            return Inconclusive(trouble=Trouble.NO_REPLY, detail=str(error))
        except _NoToken as error:
            return error.why
        finally:
            generator.close()

    async def _do(self, account: Account, effect: Effect, calls: Calls) -> Reply:
        if isinstance(effect, HttpRequest):
            calls.made += 1
            return await self._send(effect)
        return await self._token(account, effect, calls)

    async def _token(self, account: Account, wanted: TokenWanted, calls: Calls) -> str:
        provider: Any = account.provider

        async def grant() -> Token:
            granting: GrantsTokens = provider
            granted = await self._run(account, granting.grant(), calls)  # type: ignore[arg-type]  # yields requests only
            if isinstance(granted, Inconclusive):
                raise _NoToken(granted)
            return granted

        return await self._tokens.get(account.id, wanted.stale, grant)

    async def _send(self, request: HttpRequest) -> HttpReply:
        """Send one request. Raises NoReply, whose text names no address and no content."""
        try:
            async with (
                asyncio.timeout(request.seconds),
                self._session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                ) as response,
            ):
                body = await _read(response)
                # A reply without its date is dated by whoever got it (RFC 9110, 6.6.1).
                headers = {"date": formatdate(usegmt=True)}
                headers |= {name.lower(): value for name, value in response.headers.items()}
                return HttpReply(status=response.status, headers=headers, body=body)
        except TimeoutError:
            raise NoReply(f"no reply within {request.seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoReply(f"no reply: {_kind(error)}") from None


@asynccontextmanager
async def gateways(tokens: Tokens) -> AsyncIterator[Gateways]:
    """Keep connections to gateways open; at most 100 to one host, so that a slow one takes no other's place."""
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=100, ttl_dns_cache=60, keepalive_timeout=30)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "payproof"},
        max_line_size=16_384,
        max_field_size=16_384,
    )
    async with session:
        yield Gateways(session, tokens)


async def _bounded(running: Coroutine[Any, Any, _Result], seconds: float) -> _Result | Inconclusive:
    try:
        async with asyncio.timeout(seconds):
            return await running
    except TimeoutError:
        return Inconclusive(trouble=Trouble.NO_REPLY, detail=f"no reply within {seconds:g} s")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_REPLY:
            raise NoReply("the reply is larger than 1 MiB")
    return bytes(body)


def _kind(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host name is unknown"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError() | aiohttp.ClientSSLError():
            return "its TLS certificate is not accepted"
        case aiohttp.ClientConnectorError():
            return "connection refused"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return "connection cut"
        case _:
            return "the reply is no HTTP"
