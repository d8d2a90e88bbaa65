"""The merchant's events over the API, as `payproof listen` reads them: page by page, waiting for news.

A service that is away is asked again after a growing pause. Once it has answered as payproof does, so is an address
that answers as something else: a laptop meets login pages of networks, proxies and deployments. What asking again
cannot change is a failure in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import aiohttp
import msgspec
from msgspec import Meta, Struct

from schemas.requests import NEWEST
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.config.shop_access import API_KEY
from worker.terminal_text import printable

WAIT = "25s"
ANSWER_SECONDS = 45.0
PAGE = 100
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
PASSING = (429, 500, 502, 503, 504)
ENDING = (401, 403, 410, 422)
"""Answers that end the command whenever they come. Any other may be of a proxy, or of a service that starts."""
_WHOSE = f"the key in {API_KEY}"


class NoCursor(WrongUsage):
    """The service knows no such cursor of this merchant."""


class EventsGone(CommandFailed):
    """The events behind the cursor are gone, or it is of another log."""


class LoggedEvent(Struct, frozen=True):
    """`body` is the event as it was written."""

    id: str
    type: str
    body: bytes


class EventPage(Struct, frozen=True):
    """Events in the log's order, and the cursor after them."""

    events: tuple[LoggedEvent, ...]
    next: str


class _Page(Struct, frozen=True):
    events: list[msgspec.Raw]
    next: Annotated[str, Meta(min_length=1)]


class _Head(Struct, frozen=True):
    id: str
    type: str


class _Refusal(Struct, frozen=True):
    code: str = ""
    detail: str = ""
    field: str = ""


class EventFeed:
    """`say` is told in words that the service is away, once until it answers again."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, say: Callable[[str], None]) -> None:
        self._http, self._url, self._key, self._say = http, url, key, say
        self._answered = False

    async def newest(self) -> str:
        """The cursor after the newest event. Raises CommandFailed."""
        return (await self.read(NEWEST, wait=False)).next

    async def read(self, after: str | None, *, wait: bool = True, most: int = PAGE) -> EventPage:
        """The page after a cursor; None: from the oldest. Waits for news, and while the service is away.

        Raises CommandFailed where asking again changes nothing; of these, NoCursor and EventsGone are about the cursor.
        """
        query = {"limit": str(most)} | ({} if after is None else {"after": after}) | ({"wait": WAIT} if wait else {})
        pause, away = FIRST_PAUSE, False
        while True:
            try:
                page, why, least = await self._asked(query)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                page, why, least = None, f"cannot be reached ({type(error).__name__})", 0.0
            if page is not None:
                if away:
                    self._say(f"{self._url} answers again")
                return page
            if not away:
                self._say(f"{self._url} {why}; asked again until it answers")
                away = True
            await asyncio.sleep(max(pause, least))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _asked(self, query: dict[str, str]) -> tuple[EventPage | None, str, float]:
        """The page; or None, why there is none, and for how many seconds not to ask again."""
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            self._http.get(
                f"{self._url}/v1/events",
                params=query,
                headers={"Authorization": f"Bearer {self._key}"},
                allow_redirects=False,
            ) as got,
        ):
            body = await got.read()
            if got.status == 200 and (page := _page(body)) is not None:
                self._answered = True
                return page, "", 0.0
            passing = got.status in PASSING
            if passing or (self._answered and got.status not in ENDING):
                after = got.headers.get("Retry-After", "0")
                why = f"answers {got.status}{'' if passing else ', and not as payproof does'}"
                return None, why, min(float(after), LONGEST_PAUSE) if after.isdecimal() else 0.0
            raise _refused(got.status, body, self._url, query.get("after"))


def _page(body: bytes) -> EventPage | None:
    """None where it is no page of events."""
    try:
        page = msgspec.json.decode(body, type=_Page)
        heads = [(msgspec.json.decode(raw, type=_Head), bytes(raw)) for raw in page.events]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return EventPage(tuple(LoggedEvent(head.id, head.type, raw) for head, raw in heads), page.next)


def _refused(status: int, body: bytes, url: str, after: str | None) -> CommandFailed:
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _Refusal()
    detail = printable(said.detail)
    match status, said.code:
        case 401, _:
            return WrongUsage(f"{_WHOSE} is none of {url}")
        case 403, _:
            return WrongUsage(f"{_WHOSE} may not read events: {detail}")
        case 410, _:
            return EventsGone(f"{detail}: --from beginning reads all that there are")
        case 422, "invalid_request" if said.field == "wait" or after == NEWEST:
            return CommandFailed(f"the payproof at {url} is too old for this command: it cannot wait for events")
        case 422, "invalid_request" if said.field == "after":
            return NoCursor("is no cursor of this merchant")
        case _:
            return WrongUsage(f"--url: {url} answers {status}, and not as payproof does")
