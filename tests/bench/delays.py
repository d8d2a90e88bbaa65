"""How long a gateway takes to answer: the same for every payment, or spread as real gateways' times are.

A payment's delay follows from its number and the seed. So a run can be repeated, and a measurement can subtract the
gateway's time from each payment's time.
"""

from __future__ import annotations

from hashlib import md5

from msgspec import Struct

SPREAD_LEAST, SPREAD_MOST = 0.2, 5.0
SEED = 1


class Delays(Struct, frozen=True, kw_only=True):
    """Seconds, from `least` to `most`, evenly in their logarithms: half are shorter than the geometric mean."""

    least: float
    most: float
    seed: int = SEED

    def of(self, n: int) -> float:
        """The delay of payment n, the same for every question."""
        if self.least == self.most:
            return self.least
        drawn = md5(f"delay:{self.seed}:{n}".encode(), usedforsecurity=False).digest()
        return float(self.least * (self.most / self.least) ** (int.from_bytes(drawn[:8]) / 2**64))

    def __str__(self) -> str:
        if self.least == self.most:
            return f"gateways that take {self.least:g} s"
        return f"gateways that take {self.least:g} to {self.most:g} s"


def fixed(seconds: float) -> Delays:
    return Delays(least=seconds, most=seconds)


AT_ONCE = fixed(0.0)
SPREAD = Delays(least=SPREAD_LEAST, most=SPREAD_MOST)
"""The delays that buyers meet over a day, from a gateway at its best to a gateway under load."""
