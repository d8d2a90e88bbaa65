"""What the shop believes: a fold of payproof's events, whichever way and in whatever order they come.

Do not act on an event's type. Every event is a full snapshot. The shop acts on its `status` and `hold`, and drops an
event whose `version` is not newer than what it has. So doubles and late events change nothing, and reading all events
again makes the same books. A real shop does this in one transaction of its own database.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Way = Literal["feed", "webhook"]


class Payment(Struct, frozen=True, kw_only=True):
    """The fields of an event's snapshot that the shop needs; others are ignored, so the snapshot may grow."""

    payment_id: str
    account: str
    provider: str
    reference: str
    order: str | None
    status: str
    version: int
    hold: str | None
    amount: str
    currency: str
    refunded_amount: str
    transaction_id: str | None
    checkout_url: str | None
    description: str
    metadata: dict[str, str]
    opened_at: str


class Event(Struct, frozen=True, kw_only=True):
    """A CloudEvent about a payment."""

    id: str
    type: str
    time: str
    data: Payment


class Believed(Struct, frozen=True, kw_only=True):
    """The newest event about a payment, and the way it came."""

    event: Event
    way: Way

    @property
    def payment(self) -> Payment:
        return self.event.data

    @property
    def order(self) -> str:
        """The order that is shipped once; a payment opened without an order is an order of its own."""
        return self.payment.order or self.payment.payment_id

    @property
    def sound(self) -> bool:
        """Whether the money is there and nothing about it is in doubt."""
        return self.payment.status == "completed" and self.payment.hold is None


class Books:
    """`shipped`: the event that each order was fulfilled on. It is written once, and never again for that order."""

    def __init__(self) -> None:
        self._payments: dict[str, Believed] = {}
        self._by_reference: dict[str, str] = {}
        self.shipped: dict[str, Event] = {}

    def take(self, event: Event, way: Way) -> bool:
        """Believe an event. Returns False where it was no news. This is the one place where the shop ships."""
        payment = event.data
        known = self._payments.get(payment.payment_id)
        if known is not None and payment.version <= known.payment.version:
            return False
        believed = self._payments[payment.payment_id] = Believed(event=event, way=way)
        self._by_reference[payment.reference] = payment.payment_id
        if believed.sound and believed.order not in self.shipped:
            self.shipped[believed.order] = event  # here the parcel would leave
        return True

    def by_reference(self, reference: str) -> Believed | None:
        payment_id = self._by_reference.get(reference)
        return None if payment_id is None else self._payments[payment_id]

    def attempts(self, order: str) -> list[Believed]:
        """The payments of an order, oldest first."""
        return [believed for believed in self._payments.values() if believed.order == order]

    def newest_first(self) -> list[Believed]:
        return sorted(self._payments.values(), key=lambda one: one.payment.opened_at, reverse=True)
