"""Waiting for a payment to change: the held browsers of this process, by payment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


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

    def hear(self, payment_ids: Iterable[str]) -> None:
        for payment_id in payment_ids:
            for changed in self._waiting.get(payment_id, ()):
                changed.set()

    def hear_all(self) -> None:
        """After notices may have been missed, everyone looks again."""
        self.hear(list(self._waiting))
