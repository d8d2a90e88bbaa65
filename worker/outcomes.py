"""Waiting for a payment to change: the held browsers of this process, by payment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

HELD_AT_MOST = 4
"""Browsers on the confirming page that one payment may have waiting in one process: a few tabs, and no more."""


class Outcomes:
    """Browsers wait on an event of their own; a notice that the payment changed sets them all."""

    def __init__(self) -> None:
        self._waiting = defaultdict[str, set[asyncio.Event]](set)

    @contextmanager
    def of(self, payment_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the payment changes; subscribe before you look, or the change may fall between."""
        changed = asyncio.Event()
        self._waiting[payment_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[payment_id].discard(changed)
            if not self._waiting[payment_id]:
                del self._waiting[payment_id]

    def crowded(self, payment_id: str) -> bool:
        """Whether so many wait for this payment that another one who only looks again is answered at once."""
        return len(self._waiting.get(payment_id, ())) >= HELD_AT_MOST

    def hear(self, payment_ids: Iterable[str]) -> None:
        for payment_id in payment_ids:
            for changed in self._waiting.get(payment_id, ()):
                changed.set()

    def hear_all(self) -> None:
        """After notices may have been missed, everyone looks again."""
        self.hear(list(self._waiting))
