"""The events that the shop got: `/v1/events` read from the beginning or from a cursor, page after page.

An event that comes a second time must be the same to the byte, so the bytes are kept.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from worker.playground.demo.stories_shop import Refused, StoryShop

LOOK_SECONDS = 0.03
AWAY_SECONDS = 0.2


class ToldEvent(Struct, frozen=True, kw_only=True):
    """One event as it came."""

    id: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    raw: bytes

    @property
    def word(self) -> str:
        return self.type.removeprefix("payment.")


class DemoFeed:
    """Reads until cancelled, and goes on after the service was away. `conflicts`: ids that came with other bytes."""

    def __init__(self, shop: StoryShop, after: str | None = None) -> None:
        self._shop, self._after = shop, after
        self._grown = asyncio.Condition()
        self.all: list[ToldEvent] = []
        self.by_payment = defaultdict[str, list[ToldEvent]](list)
        self.conflicts: list[str] = []

    async def run(self) -> None:
        cursor = self._after
        known: dict[str, bytes] = {}
        while True:
            try:
                page = await read_feed_page(self._shop, cursor)
            except (aiohttp.ClientError, OSError, TimeoutError, Refused):
                await asyncio.sleep(AWAY_SECONDS)
                continue
            cursor = page.next
            async with self._grown:
                for told in map(read_event, page.events):
                    if known.setdefault(told.id, told.raw) != told.raw:
                        self.conflicts.append(told.id)
                    self.all.append(told)
                    self.by_payment[told.subject].append(told)
                self._grown.notify_all()
            if not page.events:
                await asyncio.sleep(LOOK_SECONDS)

    async def until(self, payment_id: str, fits: Callable[[list[ToldEvent]], bool], *, seconds: float) -> None:
        """Wait until the events of a payment satisfy `fits`. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._grown:
            await self._grown.wait_for(lambda: fits(self.by_payment[payment_id]))

    def words(self, payment_id: str) -> tuple[str, ...]:
        return tuple(told.word for told in self.by_payment[payment_id])


class DemoPage(Struct):
    events: list[msgspec.Raw]
    next: str


async def read_feed_page(shop: StoryShop, after: str | None) -> DemoPage:
    return msgspec.json.decode(await shop.events(after), type=DemoPage)


def read_event(raw: msgspec.Raw) -> ToldEvent:
    event = msgspec.json.decode(raw)
    moment = datetime.fromisoformat(event["time"])
    names = ("id", "type", "subject", "data")
    return ToldEvent(**{name: event[name] for name in names}, time=moment, raw=bytes(raw))
