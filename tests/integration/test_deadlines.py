"""No request reaches a gateway late: time runs from when a question was asked.

Over real sockets, with a clock by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from aiohttp import web
from msgspec import Struct, field

from consumers.account import Account
from consumers.ports.effects import Token
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.providers import PROVIDERS
from consumers.timing import TIMING
from schemas.answers import Answer, Executed, Expected, Inconclusive, Question, QuestionOutcome
from schemas.secret import Secret
from schemas.words import QuestionKind, Status
from tests.fakes.clock import FakeClock
from worker.verify.gateways import Tokens, gateways
from worker.verify.question_course import TooLate

EXPECTED = Expected(payment_id="p", reference="r", amount=Decimal("10.00"), currency="BDT", session_id="TR1")
EXECUTE, QUERY = Question(kind=QuestionKind.EXECUTE), Question()
INITIATED = {"statusCode": "0000", "paymentID": "TR1", "transactionStatus": "Initiated", "merchantInvoice": "r"}
NOT_APPROVED = {"errorCode": "2056", "errorMessage": "Invalid Payment State"}


class OneToken:
    """Each question has a token granted once, and a new token where that is stale."""

    def __init__(self) -> None:
        self._kept: str | None = None

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]]) -> str:
        del account
        if self._kept is None or stale is not None:
            self._kept = (await grant()).text
        return self._kept


class Slow(Struct):
    """OnePayBD on a socket. `takes` moves the clock by so many seconds before a call is answered; `calls` came in."""

    clock: FakeClock
    url: str = ""
    calls: list[str] = field(default_factory=list)
    takes: dict[str, float] = field(default_factory=dict)
    refuses: int = 0

    async def call(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix("/")
        self.calls.append(name)
        self.clock.advance(self.takes.get(name, 0.0))
        if name == "grant":
            return web.json_response({"id_token": "token", "expires_in": 3600})
        if self.refuses > 0:
            self.refuses -= 1
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.json_response(NOT_APPROVED if name == "execute" else INITIATED)

    async def ask(self, question: Question, late: float = 0.0, tokens: Tokens | None = None) -> QuestionOutcome:
        """Ask a question that was decided so many seconds ago."""
        provider = PROVIDERS["onepaybd"](base_url=self.url, api_key=Secret("key"))
        account = Account(id="a", merchant="m", provider=provider)
        asked_at: datetime = self.clock.now - timedelta(seconds=late)
        async with gateways(tokens or OneToken(), self.clock) as asking:
            return await asking.ask(account, question, EXPECTED, asked_at=asked_at)


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    async with serving() as slow:
        yield slow


@asynccontextmanager
async def serving() -> AsyncIterator[Slow]:
    slow = Slow(FakeClock())
    app = web.Application()
    app.add_routes([web.post("/{name}", slow.call)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    slow.url = f"http://{host}:{port}"
    try:
        yield slow
    finally:
        await runner.cleanup()


def is_not_sent(outcome: QuestionOutcome) -> bool:
    return isinstance(outcome, Executed) and outcome.reply == "not_sent" and isinstance(outcome.then, Inconclusive)


def test_every_question_ends_before_its_lease_and_execute_before_another_may_follow() -> None:
    for kind in QuestionKind:
        assert TIMING.deadline(kind) + TIMING.last_word < TIMING.lease(kind)


async def test_an_execute_held_up_43_seconds_does_not_reach_the_gateway(slow: Slow) -> None:
    """Another worker has been asking since 40 s."""
    assert is_not_sent(await slow.ask(EXECUTE, late=43.0))
    assert slow.calls == []


async def test_a_question_held_up_43_seconds_does_not_reach_the_gateway(slow: Slow) -> None:
    with pytest.raises(TooLate):
        await slow.ask(QUERY, late=43.0)
    assert slow.calls == []


@pytest.mark.parametrize(("late", "sent"), [(4.9, True), (5.0, False), (38.0, False)])
async def test_an_execute_begins_within_five_seconds_or_not_at_all(slow: Slow, late: float, sent: bool) -> None:
    outcome = await slow.ask(EXECUTE, late=late)
    assert ("execute" in slow.calls) is sent
    assert is_not_sent(outcome) is not sent


async def test_a_token_that_takes_long_does_not_make_execute_late(slow: Slow) -> None:
    slow.takes["grant"] = TIMING.execute_begins_within.total_seconds() + 1
    assert is_not_sent(await slow.ask(EXECUTE))
    assert slow.calls == ["grant"]


async def test_an_execute_that_was_refused_its_token_is_sent_again_only_in_time(slow: Slow) -> None:
    slow.refuses, slow.takes["execute"] = 1, TIMING.execute_begins_within.total_seconds() + 1
    assert is_not_sent(await slow.ask(EXECUTE)), "401: it did not run"
    assert slow.calls == ["grant", "execute", "grant"]


async def test_the_query_after_an_execute_that_took_long_is_not_sent_and_its_reply_is_known(slow: Slow) -> None:
    slow.takes["execute"] = 39.0
    outcome = await slow.ask(EXECUTE)
    assert isinstance(outcome, Executed)
    assert (outcome.reply, isinstance(outcome.then, Inconclusive)) == ("refused", True)
    assert "status" not in slow.calls


async def test_a_question_that_comes_late_has_what_is_left(slow: Slow) -> None:
    outcome = await slow.ask(QUERY, late=20.0)
    assert isinstance(outcome, Answer)
    assert outcome.status is Status.PENDING
    slow.calls.clear()
    slow.takes["grant"] = 6.0
    assert isinstance(await slow.ask(QUERY, late=20.0), Inconclusive)
    assert slow.calls == ["grant"]


class AwayFrom(OneToken):
    """The store of the tokens is away from that look on."""

    def __init__(self, look: int) -> None:
        super().__init__()
        self._left = look

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]]) -> str:
        self._left -= 1
        if self._left <= 0:
            raise DatabaseUnavailable
        return await super().get(account, stale, grant)


async def test_an_execute_that_could_not_have_its_token_was_not_sent_and_leaves_no_doubt(slow: Slow) -> None:
    assert is_not_sent(await slow.ask(EXECUTE, tokens=AwayFrom(1)))
    slow.refuses = 1
    assert is_not_sent(await slow.ask(EXECUTE, tokens=AwayFrom(2))), "401: it did not run"
    with pytest.raises(DatabaseUnavailable):
        await slow.ask(QUERY, tokens=AwayFrom(1))


async def test_an_execute_without_a_connection_was_not_sent() -> None:
    async with serving() as slow:
        pass
    assert is_not_sent(await slow.ask(EXECUTE))
