"""One clock for all processes: the database's, carried on between readings by a steady clock of this machine.

Linux's monotonic clock stands still while a machine sleeps, and the database's clock does not. So readings are carried
on by the clock that counts the sleep too.
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
"""Seconds since a fixed moment, with the time that the machine slept; without it on a system that has no such clock."""


class DatabaseClock:
    """Tells the database's time without asking each time. Until the first reading it is this machine's wall clock."""

    def __init__(self, ticking: Callable[[], float] = ticking) -> None:
        self.ticking = ticking
        self._base = datetime.now(UTC)
        self._at = ticking()

    def set(self, reading: datetime, *, asked: float, answered: float) -> None:
        """Take a reading of the database's clock that was asked and answered at these values of `ticking`."""
        self._base, self._at = reading, (asked + answered) / 2

    def check(self, reading: datetime, *, asked: float, answered: float) -> None:
        """Move our time as little as needed for the database to have told `reading` between `asked` and `answered`."""
        earliest, latest = self._told_at(asked), self._told_at(answered)
        self._base += max(timedelta(), reading - latest) - max(timedelta(), earliest - reading)

    def now(self) -> datetime:
        return self._told_at(self.ticking())

    def _told_at(self, tick: float) -> datetime:
        return self._base + timedelta(seconds=tick - self._at)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so many seconds. Returns whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
