"""The requests of this process that wait for a payment to change, by payment.

A change that this process committed itself is passed on in full. A wakeup from the database only names payments, and
the waiting requests read them again: every client of the database can send a wakeup, and a status that it brought would
be signed for the shop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Self

from schemas.payments import Glance, Payment, glance

MAX_WAITERS = 4
"""How many requests may wait for one payment in one process before the confirming page is answered at once."""


class Waiter:
    """One waiting request. `changed` is set when the payment changes.

    `told` is the changed payment if this process committed the change, else None.
    """

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
        """Wait for the next change. Returns the changed payment; None if it has to be read."""
        await self.changed.wait()
        self.changed.clear()
        told, self.told = self.told, None
        return told


class PaymentWaiters:
    """All waiting requests of this process. A change of a payment wakes all requests that wait for it."""

    def __init__(self) -> None:
        self._waiting = defaultdict[str, set[Waiter]](set)

    def of(self, payment_id: str) -> Waiter:
        """A waiter, as a context manager. Enter it before the payment is read, or a change in between is missed."""
        return Waiter(self._waiting, payment_id)

    def full(self, payment_id: str) -> bool:
        """Whether MAX_WAITERS requests or more wait for this payment."""
        return len(self._waiting.get(payment_id, ())) >= MAX_WAITERS

    def tell(self, payment: Payment) -> None:
        """Wake the requests that wait for this payment, with the change that this process has just committed."""
        for waiter in self._waiting.get(payment.id, ()):
            if waiter.told is None or waiter.told.version < payment.version:
                waiter.told = glance(payment)
            waiter.changed.set()

    def notify(self, payment_ids: Iterable[str]) -> None:
        """Wake the requests that wait for these payments, after a wakeup. They have to read the payment again."""
        for payment_id in payment_ids:
            for waiter in self._waiting.get(payment_id, ()):
                waiter.changed.set()

    def notify_all(self) -> None:
        """Wake all requests, because wakeups may have been missed."""
        self.notify(list(self._waiting))
