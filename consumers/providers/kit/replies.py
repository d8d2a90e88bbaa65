"""Read a gateway's replies: send a request, and recognise trouble. `reply_fields` reads the fields.

    @exchange
    def ask(self, question, expected):
        received = yield from fetch(HttpRequest(...))
        return self._answer(received.body)

A reply that cannot be read is Inconclusive, never a failed payment: the buyer may have paid. `fetch` raises `NoAnswer`.
The field readers, and a reply's own `[]` and `get`, raise `Unreadable`. `exchange` turns both into Inconclusive, so
that no gateway's file has to. A field that is not read may be spoilt. `aside` reads a field on which nothing depends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import wraps
from typing import ParamSpec, TypeVar

import msgspec
from msgspec.structs import replace

from consumers.ports.effects import EffectReply, Exchange, HttpReply, HttpRequest, NoReply
from consumers.ports.openings import OpeningRefused
from consumers.providers.kit.reply_fields import printable
from schemas.answers import Inconclusive, Trouble
from schemas.wire import Told, Unreadable, aside, read_leniently

MAX_RETRY_AFTER = 86_400
UNDOCUMENTED_404 = "HTTP 404 in no documented form of not found"

P = ParamSpec("P")
T = TypeVar("T")
Yielded = TypeVar("Yielded")
Sent = TypeVar("Sent")


class NoAnswer(Exception):
    """Raised where a request brought no answer. The `exchange` around it returns `found`."""

    def __init__(self, found: Inconclusive) -> None:
        super().__init__(found.detail)
        self.found = found


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A reply of 2xx or 4xx whose body is a JSON object. `status` is the HTTP status."""

    status: int
    body: Told

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


# -- the exchange ------------------------------------------------------------------------------------------------------


def exchange(run: Callable[P, Generator[Yielded, Sent, T]]) -> Callable[P, Generator[Yielded, Sent, T | Inconclusive]]:
    """Decorate an exchange so that it returns Inconclusive where it would raise NoAnswer or Unreadable."""

    @wraps(run)
    def ends(*args: P.args, **kwargs: P.kwargs) -> Generator[Yielded, Sent, T | Inconclusive]:
        try:
            return (yield from run(*args, **kwargs))
        except NoAnswer as error:
            return error.found
        except Unreadable as error:
            return unreadable(str(error))

    return ends


def fetch(
    request: HttpRequest, read: Callable[[HttpReply], Told | Inconclusive] | None = None
) -> Generator[HttpRequest, EffectReply, Received]:
    """Send one request and return its reply; see `judge`. Raises NoAnswer."""
    try:
        reply = yield request
    except NoReply as error:
        raise NoAnswer(no_reply(error)) from error
    assert isinstance(reply, HttpReply)
    return expect_reply(judge(reply, read))


def expect_reply(judgement: Received | Inconclusive) -> Received:
    """The reply. Raises NoAnswer where it is Inconclusive."""
    if isinstance(judgement, Inconclusive):
        raise NoAnswer(judgement)
    return judgement


def judge(
    reply: HttpReply | Inconclusive, read: Callable[[HttpReply], Told | Inconclusive] | None = None
) -> Received | Inconclusive:
    """A reply of 2xx or 4xx with a JSON object as Received; any other as Inconclusive.

    `read`, instead of `json_object`, for a gateway that wraps its object in something else.
    """
    if isinstance(reply, Inconclusive):
        return reply
    found = trouble(reply)
    if found is not None:
        return found
    body = (read or json_object)(reply)
    return body if isinstance(body, Inconclusive) else Received(status=reply.status, body=body)


def fetch_answer(request: HttpRequest, unknown: Callable[[Received], bool] = lambda _: False) -> Exchange[Told]:
    """Ask about one of our own ids and return the body of the reply, which is 2xx. Raises NoAnswer.

    `unknown` recognises the documented form of "not found". Without it no reply means that, not even a 404.
    """
    received = yield from fetch(request)
    if unknown(received):
        raise NoAnswer(not_found())
    if not received.ok:
        raise NoAnswer(no_answer(received))
    return received.body


def trouble(reply: HttpReply) -> Inconclusive | None:
    """The trouble of a reply by its HTTP status alone; None for 2xx and for 4xx but 401, 403, 408 and 429."""
    status, said = reply.status, f"HTTP {reply.status}"
    if status == 429:
        return Inconclusive(trouble=Trouble.RATE_LIMITED, detail=said, retry_after=_retry_after(reply))
    if status in (401, 403):
        return Inconclusive(trouble=Trouble.KEY_REFUSED, detail=said)
    if status >= 500 or status == 408:
        return Inconclusive(trouble=Trouble.SERVER_ERROR, detail=said, retry_after=_retry_after(reply))
    if status < 200 or 300 <= status < 400:
        return unreadable(f"{said} is no answer")
    return None


def json_object(reply: HttpReply) -> Told | Inconclusive:
    """The body as a JSON object, whatever its Content-Type says; Inconclusive for HTML and any other body."""
    if reply.body.lstrip()[:1] == b"<":
        return unreadable(f"HTTP {reply.status} with an HTML page")
    try:
        body = read_leniently(reply.body)
    except Unreadable as error:
        return unreadable(f"HTTP {reply.status}: {error}")
    return body if isinstance(body, Told) else unreadable(f"HTTP {reply.status}: the body is no JSON object")


def only_object(reply: HttpReply) -> Told | Inconclusive:
    """As `json_object`, and also the object of an array that has this one element."""
    body = reply.body.strip()
    if body[:1] == b"[" and body[-1:] == b"]":
        reply = replace(reply, body=body[1:-1])
    return json_object(reply)


def unreadable(detail: str) -> Inconclusive:
    return Inconclusive(trouble=Trouble.UNREADABLE, detail=detail)


def no_answer(received: Received) -> Inconclusive:
    """The outcome of a question for a 4xx in JSON that no documentation explains."""
    return unreadable(UNDOCUMENTED_404 if received.status == 404 else f"HTTP {received.status} is no answer")


def undocumented(detail: str) -> Inconclusive:
    return Inconclusive(trouble=Trouble.UNDOCUMENTED, detail=detail)


def not_found(detail: str = "the gateway does not know this payment") -> Inconclusive:
    return Inconclusive(trouble=Trouble.NOT_FOUND, detail=detail)


def no_reply(error: NoReply) -> Inconclusive:
    return Inconclusive(trouble=Trouble.NO_REPLY, detail=str(error) or "no reply")


def refusal(received: Received, *words: object) -> OpeningRefused | Inconclusive:
    """The outcome of an opening for a 4xx in JSON: refused. An empty object is Inconclusive, as it may be a proxy's."""
    return refused(*words) if received.body else unreadable(f"HTTP {received.status} without a word")


def refusal_in(received: Received, *names: str) -> OpeningRefused | Inconclusive:
    """As `refusal`, with the first of these fields that has text as the message."""
    return refusal(received, *(aside(received.body, name) for name in names))


def refused(*words: object) -> OpeningRefused:
    """The opening is refused. The message is the first of `words` that is text, cleaned and at most 200 characters."""
    for word in words:
        if isinstance(word, str) and (cleaned := printable(word)):
            return OpeningRefused(message=cleaned)
    return OpeningRefused(message="the gateway refused without a reason")


def _retry_after(reply: HttpReply) -> float | None:
    """Retry-After in seconds, from seconds or an HTTP date (RFC 9110, all three forms), less the reply's own Date."""
    value = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return float(min(int(value), MAX_RETRY_AFTER))
    until, now = _http_date(value), _http_date(reply.headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), float(MAX_RETRY_AFTER))


def _http_date(text: str) -> datetime | None:
    """The time of an HTTP date. It is in GMT, even in the asctime form, which does not say so."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
