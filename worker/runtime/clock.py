"""One clock for all processes: the database's, kept between readings by a clock of this machine that only goes on.

The one thing to get wrong: a machine that slept. Linux's monotonic clock stands still meanwhile and the database's does
not, so what carries a reading on is the clock that counts the sleep too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

ticking: Callable[[], float] = (
    (lambda: time.clock_gettime(time.CLOCK_BOOTTIME)) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds since some moment, with those that the machine slept; on a system without such a clock, without them."""


class DatabaseClock:
    """Tells the database's time without asking it each time; until the first reading, this machine's wall clock."""

    def __init__(self, ticking: Callable[[], float] = ticking) -> None:
        self.ticking = ticking
        self._base = datetime.now(UTC)
        self._at = ticking()

    def set(self, reading: datetime, *, asked: float, answered: float) -> None:
        """Take a reading of the database's clock, asked and answered at these values of `ticking`."""
        self._base, self._at = reading, (asked + answered) / 2

    def check(self, reading: datetime, *, asked: float, answered: float) -> None:
        """Move our time by as little as is needed for the database to have told this one between these two."""
        earliest, latest = self._told_at(asked), self._told_at(answered)
        self._base += max(timedelta(), reading - latest) - max(timedelta(), earliest - reading)

    def now(self) -> datetime:
        return self._told_at(self.ticking())

    def _told_at(self, tick: float) -> datetime:
        return self._base + timedelta(seconds=tick - self._at)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event at most so long; whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
