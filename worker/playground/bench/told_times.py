"""When the events of completed payments came: `/v1/events` read from its end on, again and again.

Each request costs the measured service, so there is a pause after each empty page, and no request while no payment is
awaited. A seen event may be older by that pause.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from worker.playground.shop.client import AWAY, Payproof, Refused

PAGE = 1000
LOOK_SECONDS = 0.01
AWAY_SECONDS = 0.2
COMPLETED = "payment.completed"


class _Event(Struct):
    type: str
    subject: str


class _Page(Struct):
    events: list[_Event]
    next: str


class ToldTimes:
    """One reader of one merchant's log."""

    def __init__(self, shop: Payproof) -> None:
        self._shop = shop
        self._cursor: str | None = None
        self._events: dict[str, asyncio.Future[float]] = {}
        self._wanted = asyncio.Event()

    async def skip_to_end(self) -> None:
        """Read past the earlier events. Raises Refused or one of AWAY."""
        while len((await self._page()).events) == PAGE:
            pass

    async def run(self) -> None:
        """Read the log until cancelled, while payments are awaited; goes on after the service was away."""
        while True:
            await self._wanted.wait()
            try:
                page = await self._page()
            except (*AWAY, Refused):
                await asyncio.sleep(AWAY_SECONDS)
                continue
            now = time.perf_counter()
            for told in page.events:
                event = self._events.get(told.subject)
                if told.type == COMPLETED and event is not None and not event.done():
                    event.set_result(now)
            if not page.events:
                await asyncio.sleep(LOOK_SECONDS)

    @contextmanager
    def awaited(self, payment_id: str) -> Iterator[asyncio.Future[float]]:
        """When the payment's `payment.completed` is first seen, by `time.perf_counter`."""
        event = self._events[payment_id] = asyncio.get_running_loop().create_future()
        self._wanted.set()
        try:
            yield event
        finally:
            del self._events[payment_id]
            if not self._events:
                self._wanted.clear()

    async def _page(self) -> _Page:
        page = msgspec.json.decode(await self._shop.events(self._cursor, PAGE), type=_Page)
        self._cursor = page.next
        return page
