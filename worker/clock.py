"""One clock for all processes: the database's, kept between readings by this process's monotonic clock."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """Tells the database's time without asking it each time; until the first reading, this machine's wall clock."""

    def __init__(self) -> None:
        self._base = datetime.now(UTC)
        self._at = time.monotonic()

    def set(self, reading: datetime, *, asked: float, answered: float) -> None:
        """Take a reading of the database's clock, asked and answered at these `time.monotonic` values."""
        self._base, self._at = reading, (asked + answered) / 2

    def now(self) -> datetime:
        return self._base + timedelta(seconds=time.monotonic() - self._at)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event at most so long; whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
