"""Failed sign-ins slow down the next ones: by the operator's name, and by the sender's address.

A name waits for a minute at most. Otherwise a stranger could keep an operator out for as long as they like.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

FREE = 3
"""Failures that cost nothing: a person mistypes."""
LONGEST_BY_NAME = 60.0
LONGEST_BY_ADDRESS = 900.0
FORGET_SECONDS = 3600.0
REMEMBERED = 10_000
"""How many keys are remembered. The key whose failure is the oldest is forgotten."""


class Slowing:
    """Failures by key. After FREE of them each doubles the wait, up to `longest` seconds. `clock` is monotonic."""

    def __init__(self, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest, self._clock = longest, clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """For how many seconds this key has to wait; 0 if it may try."""
        count, until = self._failures.get(key, (0, -math.inf))
        return max(0.0, until - self._clock()) if count else 0.0

    def failed(self, key: str) -> None:
        now = self._clock()
        count, until = self._failures.pop(key, (0, now))
        count = 1 if now - until > FORGET_SECONDS else count + 1
        wait = 0.0 if count <= FREE else min(self._longest, 2.0 ** min(count - FREE, 30))
        self._failures[key] = (count, now + wait)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)

    def __len__(self) -> int:
        return len(self._failures)
