"""One question on its way to a gateway: how long it may take, and whether it may have taken money.

Its time is counted from when the question was asked, by the database's clock, like its lease. A worker that is late has
only the rest of the time, because after the lease another worker may ask.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from consumers.timing import TIMING
from schemas.answers import Inconclusive, Trouble
from schemas.words import QuestionKind


class TooLate(Exception):
    """A question's time was over before its first request was sent."""


class NotSent(Exception):
    """A request that takes money was not sent."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = Inconclusive(trouble=Trouble.NO_REPLY, detail=why)


class Calls(Struct):
    """How many requests a question has made: one or two, and one or two more for a token."""

    made: int = 0


class Course(Struct):
    """The state of a question. Without `asked_at` its time is not bounded.

    `may_have_run`: the gateway may have run a request that takes money. `took_money`: the last request takes money.
    """

    calls: Calls
    kind: QuestionKind = QuestionKind.STATUS
    asked_at: datetime | None = None
    may_have_run: bool = False
    took_money: bool = False

    def renews(self, stale: str | None) -> None:
        """Note that a token is asked for. If the last request takes money and its token was refused, it did not run."""
        if self.took_money and stale is not None:
            self.may_have_run = False
        self.took_money = False

    def seconds_left(self, now: datetime, most: float) -> float:
        """How many seconds are left for the question, `most` at most; 0 or less when its time is over."""
        return self._left(TIMING.deadline(self.kind), now, most)

    def begin(self, now: datetime) -> float:
        """How many seconds a request that takes money may wait for its connection. Raises NotSent if there are none."""
        within = TIMING.execute_begins_within
        seconds = self._left(within, now, within.total_seconds())
        if seconds <= 0:
            raise NotSent(f"it had not begun {within.total_seconds():g} s after it was asked for")
        return seconds

    def _left(self, whole: timedelta, now: datetime, most: float) -> float:
        if self.asked_at is None:
            return most
        return min(most, (self.asked_at + whole - now).total_seconds())
