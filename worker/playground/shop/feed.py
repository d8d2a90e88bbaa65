"""Reading `GET /v1/events` from the beginning, and from then on where the last page ended.

The cursor is moved after a page was taken and never before. A shop that dies in between reads the page again, which
does not change its books.
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from worker.playground.shop.books import Books, Event
from worker.playground.shop.client import AWAY, Payproof, Refused

LOOK_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 15.0


class Page(Struct):
    events: list[Event]
    next: str


class Feed:
    """`trouble` says why the books are not up to date; None while they are."""

    def __init__(self, payproof: Payproof, books: Books) -> None:
        self._payproof, self._books = payproof, books
        self._cursor: str | None = None
        self._one_reader = asyncio.Lock()
        self.trouble: str | None = "Payproof was not asked yet."

    async def run(self) -> None:
        """Read until cancelled, less often while payproof is away."""
        wait = LOOK_SECONDS
        while True:
            await self.catch_up()
            wait = LOOK_SECONDS if self.trouble is None else min(wait * 2, LONGEST_WAIT_SECONDS)
            await asyncio.sleep(wait)

    async def catch_up(self) -> None:
        """Read to the end of the log. Raises nothing: `trouble` says what prevented it."""
        async with self._one_reader:
            try:
                while await self._read_page():
                    pass
            except Refused as refused:
                if refused.status == 410:
                    self._cursor = None  # too old: all events that are kept are read again
                self.trouble = f"Payproof refuses the shop's question: {refused.detail}"
            except AWAY as error:
                self.trouble = f"Payproof does not answer ({type(error).__name__})."
            except msgspec.MsgspecError as error:
                self.trouble = f"What answers is not payproof: {error}"
            else:
                self.trouble = None

    async def _read_page(self) -> bool:
        page = msgspec.json.decode(await self._payproof.events(self._cursor), type=Page)
        for event in page.events:
            self._books.take(event, "feed")
        self._cursor = page.next
        return bool(page.events)
