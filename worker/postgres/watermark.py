"""Where a look for the oldest open rows begins: at the oldest row that the last look saw, not at the index's start.

Rows that are done leave dead entries in the index of open rows. Postgres removes these only when no snapshot is old
enough to need them. A dump of some hours keeps them all, and a look from the start reads every one of them.

A watermark only saves work. Rows below it may exist: a transaction commits late, a clock steps back, the last look
passed over a locked row, another process put a row back. So a look begins LATE below the mark, and every WHOLE_SECONDS
a look begins at the start. A row below the mark is therefore found within WHOLE_SECONDS, and none is lost. Each process
has marks of its own, in memory: a new process begins with a look from the start.

A payment may become due at a time long past: by its schedule, after an Execute that hung. It keeps that time, by which
the longest due is asked first. The wakeup of its write tells the time, and `lower` lets the next look begin there.

A mark is never later than the time of its look. So rows that become due later lie above it, even if a row that is due
still later is there already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta

WHOLE_SECONDS = 30.0
LATE = timedelta(seconds=5)
"""By so much a row may be older than the mark and still be found at once. Transactions of ours are far shorter."""

START = datetime(1970, 1, 1, tzinfo=UTC)
"""The bound of a look from the start: no row is older."""


class Watermark:
    """The mark of one index range. Ask `bound`, look for rows from there on, and tell `saw` what was found."""

    def __init__(self, ticking: Callable[[], float] = time.monotonic) -> None:
        self._ticking = ticking
        self._mark = START
        self._lowered: datetime | None = None
        self._whole_at = ticking() - WHOLE_SECONDS

    def bound(self, now: datetime) -> datetime:
        """From where the next look begins. `now` is the database's time."""
        self._mark, self._lowered = min(self._mark, self._lowered or self._mark), None
        if self._ticking() - self._whole_at >= WHOLE_SECONDS:
            return START
        return self.near(now)

    def near(self, now: datetime) -> datetime:
        """Like `bound`, for a look that may miss a row until the next look from the start."""
        mark = min(self._mark, self._lowered or self._mark)
        return START if mark == START else min(mark, now) - LATE

    def lower(self, at: datetime) -> None:
        """A row is due at this time. The next look sees it; a look that is under way may not."""
        self._lowered = min(at, self._lowered or at)

    def saw(self, bound: datetime, oldest: datetime | None, now: datetime) -> None:
        """Note that a look from `bound` on, at `now`, found no open row older than `oldest`; None: no open row."""
        self._mark = now if oldest is None else min(oldest, now)
        if bound == START:
            self._whole_at = self._ticking()

    def skip(self, now: datetime) -> None:
        """Put off the look from the start if it is due: it takes longer than its reader may wait."""
        if self.bound(now) == START:
            self._whole_at = self._ticking()
            self._mark = now if self._mark == START else self._mark


class Watermarks(dict[Hashable, Watermark]):
    """A watermark for each of several ranges, made when it is first asked for."""

    def __missing__(self, name: Hashable) -> Watermark:
        return self.setdefault(name, Watermark())

    def lower(self, at: datetime) -> None:
        """Lower all marks that there are; a new mark begins at the start."""
        for mark in self.values():
            mark.lower(at)
