"""The event as the log stores it, serialised once. Its bytes are a `schemas.shown.PaymentEvent`.

An event id has one content for ever. The relay, webhooks and the API send `body` and never serialise an event again.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.words import EventType


class Event(Struct, frozen=True, kw_only=True):
    """One row of the event log. `body`: the bytes that the relay, webhooks and `/v1/events` send.

    `traceparent`, where there is a trace, stands in `body` too.
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
