"""The percentiles of a measurement, by nearest rank, so that each is a value that really occurred.

Of a thousand values, p99.9 is the second largest, so it says little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct


class Spread(Struct, frozen=True, kw_only=True):
    """Percentiles in the unit of the values; `most` is the largest value."""

    count: int
    p50: float
    p99: float
    p999: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, p99.9 {self.p999:.1f}, at most {self.most:.1f} of {self.count}"


def spread(values: Sequence[float]) -> Spread:
    """The percentiles of at least one value."""
    ranked = sorted(values)

    def at(share: float) -> float:
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)]

    return Spread(count=len(ranked), p50=at(0.5), p99=at(0.99), p999=at(0.999), most=ranked[-1])
