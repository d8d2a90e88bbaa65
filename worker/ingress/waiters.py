"""The requests of this process that wait for a payment to change, by payment.

The one thing to get wrong: whom to believe. A change that this process committed itself is passed on in full. A wakeup
that came through the database is a hint: every client of the database can send one, and its word would be signed for
the shop. So it names payments and no more, and the requests that wait for one look again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Self

from schemas.payments import Glance, Payment, glance

MAX_WAITERS = 4
"""Browsers on the confirming page that may wait for one payment in one process: a few tabs, and no more."""


class Waiter:
    """`changed` is set when the payment changes; `told` is what it then is, where this process committed it."""

    def __init__(self, waiting: defaultdict[str, set[Waiter]], payment_id: str) -> None:
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


class PaymentWaiters:
    """Each request waits on its own; the word that a payment changed reaches all that wait for it."""

    def __init__(self) -> None:
        self._waiting = defaultdict[str, set[Waiter]](set)

    def of(self, payment_id: str) -> Waiter:
        """A request that waits while its block runs. Begin it before the payment is read, or a change is missed."""
        return Waiter(self._waiting, payment_id)

    def full(self, payment_id: str) -> bool:
        """Whether so many wait for this payment that another browser that only looks again is answered at once."""
        return len(self._waiting.get(payment_id, ())) >= MAX_WAITERS

    def tell(self, payment: Payment) -> None:
        """What this process has just committed of a payment."""
        for changing in self._waiting.get(payment.id, ()):
            if changing.told is None or changing.told.version < payment.version:
                changing.told = glance(payment)
            changing.changed.set()

    def notify(self, payment_ids: Iterable[str]) -> None:
        """These payments changed, by a word that any client of the database may have sent."""
        for payment_id in payment_ids:
            for changing in self._waiting.get(payment_id, ()):
                changing.changed.set()

    def notify_all(self) -> None:
        """All look again, since wakeups may have been missed."""
        self.notify(list(self._waiting))
