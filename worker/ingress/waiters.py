"""Waiting for a payment to change: the held browsers of this process, by payment.

The one thing to get wrong: whom to believe. What this process committed itself it tells in full, and nobody needs to
look for it. A notice that came through the database is a hint: every client of the database can send one, and its
word would be signed for the shop. So it names payments and no more, and the requests that wait for one look again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Self

from schemas.payments import Glance, Payment, glance

HELD_AT_MOST = 4
"""Browsers on the confirming page that one payment may have waiting in one process: a few tabs, and no more."""


class Changing:
    """`changed` is set when the payment changes; `told` is what it then is, where this process committed it."""

    def __init__(self, waiting: defaultdict[str, set[Changing]], payment_id: str) -> None:
        self._waiting, self._payment_id = waiting, payment_id
        self.changed = asyncio.Event()
        self.told: Glance | None = None

    def __enter__(self) -> Self:
        self._waiting[self._payment_id].add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting[self._payment_id].discard(self)
        if not self._waiting[self._payment_id]:
            del self._waiting[self._payment_id]

    async def change(self) -> Glance | None:
        """Wait for the next change; None where nothing says what it is."""
        await self.changed.wait()
        self.changed.clear()
        told, self.told = self.told, None
        return told


class Outcomes:
    """Browsers wait for a change each on their own; a notice that the payment changed reaches them all."""

    def __init__(self) -> None:
        self._waiting = defaultdict[str, set[Changing]](set)

    def of(self, payment_id: str) -> Changing:
        """The changes while its block runs; begin it before you look, or one may fall between."""
        return Changing(self._waiting, payment_id)

    def crowded(self, payment_id: str) -> bool:
        """Whether so many wait for this payment that another one who only looks again is answered at once."""
        return len(self._waiting.get(payment_id, ())) >= HELD_AT_MOST

    def tell(self, payment: Payment) -> None:
        """What this process has just committed of a payment."""
        for changing in self._waiting.get(payment.id, ()):
            if changing.told is None or changing.told.version < payment.version:
                changing.told = glance(payment)
            changing.changed.set()

    def hear(self, payment_ids: Iterable[str]) -> None:
        """These changed, by a word that anyone may have sent."""
        for payment_id in payment_ids:
            for changing in self._waiting.get(payment_id, ()):
                changing.changed.set()

    def hear_all(self) -> None:
        """After notices may have been missed, everyone looks again."""
        self.hear(list(self._waiting))
