"""How fast a counterpart may be asked: token bucket, back-off, circuit breaker.

The rules are pure. The caller stores the tokens, the failures and the times.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import log2

from msgspec import Struct


class TokenBucket(Struct, frozen=True):
    """At most `burst` tokens at once, and `rate` more a second. The sweep's `_REFILL` says the same in SQL."""

    burst: float
    rate: float

    @classmethod
    def of_seconds(cls, rate: float, seconds: float) -> TokenBucket:
        """A bucket that holds the tokens of so many seconds, and at least one: a smaller one would let nothing pass."""
        return cls(burst=max(1.0, rate * seconds), rate=rate)

    def refill(self, tokens: float, seconds: float) -> float:
        """The tokens after so many seconds. A clock that was set back (`seconds` below 0) changes nothing."""
        return min(self.burst, tokens + self.rate * max(0.0, seconds))


class Backoff(Struct, frozen=True):
    """The pause before the next try: `first`, then twice as long after each failure, at most `longest`."""

    first: timedelta
    longest: timedelta

    def pause(self, failures: int) -> timedelta:
        """The pause after a failure that `failures` others came before. It is `first` for 0."""
        return self.first * 2.0**failures if failures < log2(self.longest / self.first) else self.longest


class CircuitBreaker(Struct, frozen=True):
    """After `threshold` failures in a row it opens: nothing is sent for a pause, then one probe at a time (half-open).

    Every further failure makes the pause longer. A success closes it.
    """

    threshold: int
    pauses: Backoff

    def tripped(self, failures: int) -> bool:
        """Whether the breaker is open or half-open after so many failures in a row."""
        return failures >= self.threshold

    def open_until(self, failures: int, now: datetime, wanted: timedelta) -> datetime | None:
        """When the pause that begins now ends; None where the breaker stays closed.

        `wanted`: the pause that the counterpart asks for. It is used where it is longer than ours, up to the longest
        pause.
        """
        if not self.tripped(failures):
            return None
        return now + min(max(self.pauses.pause(failures - self.threshold), wanted), self.pauses.longest)
