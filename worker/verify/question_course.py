"""One question on its way to a gateway: how long it may take, and whether it may have taken money.

The one thing to get wrong: where the time begins. It is counted from when the question was asked, by the database's
clock, as its lease is. A worker that is late to send it has only what is left, and after the lease another worker asks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from consumers.timing import TIMING
from schemas.answers import Inconclusive, Trouble
from schemas.words import QuestionKind


class TooLate(Exception):
    """A question's time was over before anything of it was sent."""


class NotSent(Exception):
    """A request that takes money was not sent."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = Inconclusive(trouble=Trouble.NO_REPLY, detail=why)


class Calls(Struct):
    """How many requests a question took: one or two, and one or two more for a token."""

    made: int = 0


class Course(Struct):
    """Where a question stands; without `asked_at` nothing bounds it.

    `may_have_run`: a request that takes money may have been carried out. `took_money`: the last request was such a one.
    """

    calls: Calls
    kind: QuestionKind = QuestionKind.STATUS
    asked_at: datetime | None = None
    may_have_run: bool = False
    took_money: bool = False

    def renews(self, stale: str | None) -> None:
        """A token is asked for. If the last request was to take money and its token was refused, it did not run."""
        if self.took_money and stale is not None:
            self.may_have_run = False
        self.took_money = False

    def seconds_left(self, now: datetime, most: float) -> float:
        return self._left(TIMING.deadline(self.kind), now, most)

    def begin(self, now: datetime) -> float:
        """How long a request that takes money may wait for its connection. Raises NotSent where its time is over."""
        within = TIMING.execute_begins_within
        seconds = self._left(within, now, within.total_seconds())
        if seconds <= 0:
            raise NotSent(f"it had not begun {within.total_seconds():g} s after it was asked for")
        return seconds

    def _left(self, whole: timedelta, now: datetime, most: float) -> float:
        if self.asked_at is None:
            return most
        return min(most, (self.asked_at + whole - now).total_seconds())
