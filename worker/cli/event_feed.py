"""The merchant's events over the API, as `payproof listen` reads them: page by page, waiting for news.

A service that is away is asked again after a growing pause. What asking again cannot change is a failure in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import msgspec
from msgspec import Struct

from schemas.requests import NEWEST
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.config.shop_access import API_KEY

WAIT = "25s"
ANSWER_SECONDS = 45.0
PAGE = 100
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
_WHOSE = f"the key in {API_KEY}"


class EventHead(Struct, frozen=True):
    """What is read of an event, beside its bytes."""

    id: str
    type: str


class EventPage(Struct, frozen=True):
    """Events as they were written, and the cursor after them."""

    events: list[msgspec.Raw]
    next: str


class _Refusal(Struct, frozen=True):
    code: str = ""
    detail: str = ""
    field: str = ""


class EventFeed:
    """`say` is told in words that the service is away, once until it answers again."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, say: Callable[[str], None]) -> None:
        self._http, self._url, self._key, self._say = http, url, key, say

    async def newest(self) -> str:
        """The cursor after the newest event. Raises CommandFailed."""
        return (await self.read(NEWEST, wait=False)).next

    async def read(self, after: str | None, *, wait: bool = True) -> EventPage:
        """The page after a cursor; None: from the oldest. Waits for news, and while the service is away.

        Raises CommandFailed where asking again changes nothing.
        """
        query = {"limit": str(PAGE)} | ({} if after is None else {"after": after}) | ({"wait": WAIT} if wait else {})
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
            if got.status == 200:
                return _page(body, self._url), "", 0.0
            if got.status in (429, 500, 502, 503, 504):
                after = got.headers.get("Retry-After", "0")
                return None, f"answers {got.status}", min(float(after), LONGEST_PAUSE) if after.isdecimal() else 0.0
            raise _refused(got.status, body, self._url, query.get("after"))


def _page(body: bytes, url: str) -> EventPage:
    try:
        return msgspec.json.decode(body, type=EventPage)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise WrongUsage(f"--url: {url} does not answer as payproof does") from None


def _refused(status: int, body: bytes, url: str, after: str | None) -> CommandFailed:
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _Refusal()
    match status, said.code:
        case 401, _:
            return WrongUsage(f"{_WHOSE} is none of {url}")
        case 403, _:
            return WrongUsage(f"{_WHOSE} may not read events: {said.detail}")
        case 410, _:
            return CommandFailed(f"{said.detail}: --from beginning reads all that there are")
        case 422, "invalid_request" if said.field == "wait" or after == NEWEST:
            return CommandFailed(f"the payproof at {url} is too old for this command: it cannot wait for events")
        case 422, "invalid_request" if said.field == "after":
            return WrongUsage("--from: is no cursor of this merchant; without it, with newest or beginning it works")
        case _:
            return WrongUsage(f"--url: {url} answers {status}, so it is not where payproof is")
