"""What happens next in virtual time: months pass in seconds, always in the same order for the same seed.

Two things at one moment happen in the order in which they were added, so nothing depends on how a heap breaks ties.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from tests.fakes.clock import FakeClock


class Agenda:
    """A clock and the things that are to happen later. `after` takes seconds."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._order = count()
        self._waiting: list[tuple[datetime, int, Callable[[], None]]] = []

    def at(self, moment: datetime, what: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (max(moment, self.clock.now), next(self._order), what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.clock.now + timedelta(seconds=seconds), what)

    def step(self, seconds: float) -> None:
        """Let the next thing happen now, if it was to happen within so many seconds."""
        if self._waiting and self._waiting[0][0] <= self.clock.now + timedelta(seconds=seconds):
            moment, _, what = heapq.heappop(self._waiting)
            self.clock.set(max(moment, self.clock.now))
            what()

    def run(self, until: datetime) -> bool:
        """Run everything that is due up to `until`. Returns False when something is left for later."""
        while self._waiting:
            if self._waiting[0][0] > until:
                return False
            moment, _, what = heapq.heappop(self._waiting)
            self.clock.set(max(moment, self.clock.now))
            what()
        return True
