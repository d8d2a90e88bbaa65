"""Whether a series of samples rises: its slope by least squares, with the error of that slope.

A short run has a large error, and a slope counts only where it is above its bound by SURE errors. So noise is not taken
for a leak, and a short run finds only a large leak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

HOUR = 3600.0
SURE = 3.0
"""Errors of a slope. Samples of one process depend on each other, so two errors would be too few."""


class Slope(Struct, frozen=True):
    """Units an hour, and the standard error of that."""

    per_hour: float
    error: float

    def exceeds(self, bound: float) -> bool:
        """Whether the slope is above the bound (units an hour) beyond doubt."""
        return self.per_hour - SURE * self.error > bound


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """The slope of these (seconds, value). Fewer than three points, or no time between them, are no slope."""
    count = len(points)
    at = sum(seconds for seconds, _ in points) / count if count else 0.0
    mean = sum(value for _, value in points) / count if count else 0.0
    squares = sum((seconds - at) ** 2 for seconds, _ in points)
    if count < 3 or squares == 0:
        return Slope(0.0, math.inf)
    rise = sum((seconds - at) * (value - mean) for seconds, value in points) / squares
    left = sum((value - mean - rise * (seconds - at)) ** 2 for seconds, value in points)
    return Slope(rise * HOUR, math.sqrt(left / (count - 2) / squares) * HOUR)


def after_warm_up(points: Sequence[tuple[float, float]], warm_up: float) -> list[tuple[float, float]]:
    """The points without those of the first `warm_up` (a share) of the time."""
    if not points:
        return []
    first, last = points[0][0], points[-1][0]
    return [point for point in points if point[0] >= first + (last - first) * warm_up]
