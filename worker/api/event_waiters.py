"""The requests of this process that wait for news in their merchant's log (`GET /v1/events?wait=25s`).

A waiting request holds no connection to the database. After a wakeup, and slowly without one, a single statement looks
for the news of all of them.
"""

from __future__ import annotations

import asyncio
from typing import Self

import structlog

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.postgres.database import Database
from worker.postgres.events.event_log import have_news
from worker.postgres.wakeups import Wakeup
from worker.runtime.clock import set_within
from worker.runtime.connection_limits import MOST_CONNECTIONS

MAX_WAITERS = 8
"""How many requests of a merchant may wait in one process; a shop needs one for each of its readers."""
CONNECTIONS_FOR_EACH = 10
"""Of so many connections of the listener one may wait, over all merchants, so that the others are left for buyers."""
POLL_SECONDS = 5.0
APART_SECONDS = 0.05
"""Between two looks: wakeups that come meanwhile have one look together."""
AWAY_SECONDS = 1.0

log = structlog.get_logger()


class EventWaiter:
    """One waiting request, as a context manager. Enter it before the log is read, or news in between are missed."""

    def __init__(self, waiting: set[EventWaiter], anybody: asyncio.Event, merchant: str, place: int) -> None:
        self.merchant, self.place = merchant, place
        self.news = asyncio.Event()
        self._waiting, self._anybody = waiting, anybody

    def __enter__(self) -> Self:
        self._waiting.add(self)
        self._anybody.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.discard(self)
        if not self._waiting:
            self._anybody.clear()


class EventWaiters:
    """Runs until `stop`, which also ends all waits: those requests are answered with what there is.

    `connections` is the most that the listener holds open.
    """

    def __init__(self, database: Database, connections: int = MOST_CONNECTIONS) -> None:
        self._database, self._most = database, max(1, connections // CONNECTIONS_FOR_EACH)
        self._waiting = set[EventWaiter]()
        self._anybody, self._wakeup = asyncio.Event(), asyncio.Event()
        self._stopped = False

    def of(self, merchant: str, place: int) -> EventWaiter:
        """A waiter for the merchant's events after this position."""
        waiter = EventWaiter(self._waiting, self._anybody, merchant, place)
        if self._stopped:
            waiter.news.set()
        return waiter

    def full(self, merchant: str) -> bool:
        """Whether no further request of the merchant may wait."""
        return len(self._waiting) >= self._most or sum(one.merchant == merchant for one in self._waiting) >= MAX_WAITERS

    def on_wakeup(self, wakeup: Wakeup) -> None:
        """Look for news where events got their positions."""
        if wakeup.placed:
            self._wakeup.set()

    def stop(self) -> None:
        self._stopped = True
        self._anybody.set()
        self._wakeup.set()
        for waiter in self._waiting:
            waiter.news.set()

    async def run(self) -> None:
        while not self._stopped:
            await self._anybody.wait()
            await set_within(self._wakeup, POLL_SECONDS)
            self._wakeup.clear()
            try:
                await self._look()
            except DatabaseUnavailable as error:
                log.warning("events.look_failed", error=error_name(error))
                await asyncio.sleep(AWAY_SECONDS)
            await asyncio.sleep(APART_SECONDS)

    async def _look(self) -> None:
        waiting = [one for one in self._waiting if not one.news.is_set()]
        found = await have_news(self._database, [(one.merchant, one.place) for one in waiting]) if waiting else ()
        for place in found:
            waiting[place].news.set()
