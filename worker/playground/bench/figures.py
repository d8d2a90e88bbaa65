"""The outcome of each payment, and the figures of all of them.

A payment whose event never came is a failure and reported as a failure. The percentiles are of the others, by nearest
rank, so that each is a time which a payment really took.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct


class Ended(Struct, frozen=True, kw_only=True):
    """One payment. Times are by `time.perf_counter`; `why` says what went wrong, None where nothing did.

    `accepted_at`: when its callback was accepted; `told_at`: when its event was seen.
    """

    sent_at: float
    accepted_at: float | None = None
    told_at: float | None = None
    why: str | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """`accepted_per_second` is over the time in which callbacks were sent; latencies are in seconds, sorted."""

    payments: int
    accepted: int
    accepted_per_second: float
    latencies: Sequence[float]
    failures: Counter[str]


def add_up(ended: Sequence[Ended], seconds: float) -> Figures:
    """The figures; `seconds` is how long callbacks were sent for."""
    accepted = [one.accepted_at for one in ended if one.accepted_at is not None]
    took = max([seconds, *(at - min(one.sent_at for one in ended) for at in accepted)])
    return Figures(
        payments=len(ended),
        accepted=len(accepted),
        accepted_per_second=len(accepted) / took,
        latencies=sorted(max(0.0, one.told_at - one.sent_at) for one in ended if one.told_at is not None),
        failures=Counter(one.why for one in ended if one.why is not None),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed. `ordered` is ascending and not empty."""
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]
