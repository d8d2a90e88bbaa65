"""The event as it leaves: CloudEvents 1.0, structured JSON, serialised once.

The one thing to get wrong: an id has one content for ever. Whoever sends an event sends its `body`, never a new one.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.words import EventType


class Event(Struct, frozen=True, kw_only=True):
    """One row of the event log. `body` are the bytes that relay, webhooks and `/v1/events` send as they are."""

    id: str
    payment_id: str
    version: int
    type: EventType
    merchant: str
    account: str
    time: datetime
    body: bytes

    @property
    def routing_key(self) -> str:
        return f"{self.type}.{self.merchant}.{self.account}"


class Envelope(Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0 attributes in structured mode; `data` is the payment's view."""

    specversion: str
    id: str
    type: str
    source: str
    subject: str
    time: datetime
    datacontenttype: str
    dataschema: str
    data: object
