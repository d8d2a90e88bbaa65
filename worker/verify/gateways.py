"""Running a gateway's pure generators: HTTP with deadlines, TLS, no redirects, bounded replies, and shared tokens.

A gateway that redirects, trickles or floods gave no answer: `ask` and `open` return Inconclusive, and only `step`
raises NoReply. The time of a question is counted from when it was asked, by the database's clock, and not from when a
worker sends it. After its lease another worker may ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Protocol, TypeVar

import aiohttp
from yarl import URL

from consumers.account import Account
from consumers.ports.effects import Effect, EffectReply, HttpReply, HttpRequest, NoReply, Token, TokenWanted
from consumers.ports.gateway import GrantsTokens, Proof
from consumers.ports.openings import Opening, OpeningOutcome
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.prove_credentials import prove_credentials
from consumers.timing import TIMING
from schemas.answers import Executed, Expected, Inconclusive, Question, QuestionOutcome, Trouble
from schemas.words import QuestionKind
from worker.verify.connection_errors import cause_of
from worker.verify.question_course import Calls, Course, NotSent, TooLate

MAX_REPLY = 1024 * 1024
CONNECT_SECONDS = 5.0

_Result = TypeVar("_Result")


class _NoToken(Exception):
    def __init__(self, why: Inconclusive) -> None:
        super().__init__(why.detail)
        self.why = why


class Tokens(Protocol):
    """Where an account's token is kept. `grant` gets a new token if there is none, or only the `stale` token."""

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]], /) -> str: ...


class Gateways:
    """Asks gateways and opens checkouts; made by `gateways`. `now` is a worker's database clock, or the wall clock."""

    def __init__(self, session: aiohttp.ClientSession, tokens: Tokens, now: Callable[[], datetime]) -> None:
        self._session, self._tokens, self._now = session, tokens, now

    async def ask(
        self,
        account: Account,
        question: Question,
        expected: Expected,
        calls: Calls | None = None,
        *,
        asked_at: datetime | None = None,
    ) -> QuestionOutcome:
        """Ask one question. It began at `asked_at`, or now, and ends within the lease of its kind.

        Every request on the way is counted in `calls`. Raises TooLate if its time is over already, and
        DatabaseUnavailable if the store of tokens is away. An Execute of which no request for money can have run
        returns Executed with the reply `not_sent`.
        """
        now = self._now()
        course = Course(
            calls=calls or Calls(), kind=question.kind, asked_at=now if asked_at is None else min(asked_at, now)
        )
        executes = question.kind is QuestionKind.EXECUTE
        try:
            if executes:
                course.begin(now)
            seconds = course.seconds_left(now, TIMING.deadline(question.kind).total_seconds())
            if seconds <= 0:
                raise TooLate
            running = self._run(account, account.provider.ask(question, expected), course)
            outcome = await _bounded(running, seconds + TIMING.last_word.total_seconds())
        except NotSent as error:
            outcome = error.why
        except DatabaseUnavailable:
            if not executes or course.may_have_run:
                raise
            outcome = Inconclusive(trouble=Trouble.NO_REPLY, detail="not sent: the database with its token is away")
        if executes and isinstance(outcome, Inconclusive) and not course.may_have_run:
            return Executed(reply="not_sent", then=outcome)
        return account.without_secrets(outcome)

    async def open(self, account: Account, opening: Opening) -> OpeningOutcome:
        """Open a checkout at the account's gateway. Raises DatabaseUnavailable if the store of tokens is away."""
        running = self._run(account, account.provider.open(opening), Course(calls=Calls()))
        outcome = await _bounded(running, TIMING.open_deadline.total_seconds())
        return account.without_secrets(outcome)

    async def prove(self, account: Account) -> Proof | Inconclusive:
        """Whether the account's credentials work. Raises DatabaseUnavailable if the store of tokens is away."""
        running = self._run(account, prove_credentials(account.provider), Course(calls=Calls()))
        return await _bounded(running, TIMING.open_deadline.total_seconds())

    async def step(self, account: Account, effect: Effect) -> EffectReply:
        """Do one effect of a generator that the caller runs step by step, as for a gateway's list. Raises NoReply."""
        try:
            return await self._do(account, effect, Course(calls=Calls()))
        except _NoToken as error:
            raise NoReply(error.why.detail) from None

    async def _run(
        self, account: Account, generator: Generator[Effect, EffectReply, _Result], course: Course
    ) -> _Result | Inconclusive:
        try:
            effect = next(generator)
            while True:
                try:
                    reply = await self._do(account, effect, course)
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

    async def _do(self, account: Account, effect: Effect, course: Course) -> EffectReply:
        if isinstance(effect, TokenWanted):
            course.renews(effect.stale)
            return await self._token(account, effect, course)
        course.took_money = effect.takes_money
        if not effect.takes_money:
            return await self._send(effect, course)
        to_begin = course.begin(self._now())
        course.may_have_run = True
        try:
            return await self._send(effect, course, to_begin)
        except NotSent:
            course.may_have_run = False
            raise

    async def _token(self, account: Account, wanted: TokenWanted, course: Course) -> str:
        provider: Any = account.provider

        async def grant() -> Token:
            granting: GrantsTokens = provider
            granted = await self._run(account, granting.grant(), course)  # type: ignore[arg-type]  # yields requests only
            if isinstance(granted, Inconclusive):
                raise _NoToken(granted)
            return granted

        return await self._tokens.get(account.id, wanted.stale, grant)

    async def _send(self, request: HttpRequest, course: Course, to_begin: float | None = None) -> HttpReply:
        """Send one request. Raises NoReply, whose text names no address and no content.

        `to_begin`: the request takes money. Raises NotSent if there is no connection within so many seconds.
        """
        seconds = course.seconds_left(self._now(), request.seconds)
        if seconds <= 0:
            raise NoReply("not sent: the time of its question is over")
        course.calls.made += 1
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    request.method,
                    URL(request.reveal_url(), encoded=True),
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=to_begin, sock_connect=CONNECT_SECONDS),
                ) as response,
            ):
                body = await _read(response)
                # The recipient dates a reply without a date (RFC 9110, 6.6.1).
                headers = {"date": formatdate(usegmt=True)}
                headers |= {name.lower(): value for name, value in response.headers.items()}
                return HttpReply(status=response.status, headers=headers, body=body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if to_begin is not None:
                raise NotSent(cause_of(error)) from None
            raise NoReply(f"no reply: {cause_of(error)}") from None
        except TimeoutError:
            raise NoReply(f"no reply within {seconds:.3g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoReply(f"no reply: {cause_of(error)}") from None


def _wall_clock() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def gateways(tokens: Tokens, now: Callable[[], datetime] = _wall_clock) -> AsyncIterator[Gateways]:
    """Make Gateways with a pool of connections, closed with the block; at most 100 connections to one host."""
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=100, ttl_dns_cache=60, keepalive_timeout=30)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "payproof"},
        max_line_size=16_384,
        max_field_size=16_384,
    )
    async with session:
        yield Gateways(session, tokens, now)


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
