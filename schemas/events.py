"""The event as the log keeps it, serialised once; `schemas.shown.PaymentEvent` is what its bytes say.

The one thing to get wrong: an id has one content for ever. Whoever sends an event sends its `body`, never a new one.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.words import EventType


class Event(Struct, frozen=True, kw_only=True):
    """One row of the event log. `body` are the bytes that relay, webhooks and `/v1/events` send as they are.

    `traceparent` stands in them too, where there is a trace.
    """

    id: str
    payment_id: str
    version: int
    type: EventType
    merchant: str
    account: str
    time: datetime
    body: bytes
    traceparent: str | None = None

    @property
    def routing_key(self) -> str:
        return f"{self.type}.{self.merchant}.{self.account}"
