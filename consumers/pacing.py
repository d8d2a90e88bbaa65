"""How fast a counterpart may be asked. The rule is pure: its users keep the tokens and the moments."""

from __future__ import annotations

from msgspec import Struct


class TokenBucket(Struct, frozen=True):
    """At most `burst` tokens at once, and `rate` more a second. The sweep's `_REFILL` says the same in SQL."""

    burst: float
    rate: float

    @classmethod
    def of_seconds(cls, rate: float, seconds: float) -> TokenBucket:
        """A bucket that holds the tokens of so many seconds, and never less than one, or it would let nothing pass."""
        return cls(burst=max(1.0, rate * seconds), rate=rate)

    def refill(self, tokens: float, seconds: float) -> float:
        """The tokens after so many seconds. A clock that was set back brings none and takes none away."""
        return min(self.burst, tokens + self.rate * max(0.0, seconds))
