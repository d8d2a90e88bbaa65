"""Serialise an event, once. The relay, webhooks and `/v1/events` all send the bytes that are made here."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET

from schemas.changes import Entry
from schemas.events import Event
from schemas.payments import Payment
from schemas.shown import PAYMENT_SCHEMA, PaymentEvent, view
from schemas.words import EntryKind, EventType


def write_event(
    payment: Payment, kind: EventType, time: datetime, public_url: str, traceparent: str | None = None
) -> Event:
    """The event of type `kind` about the payment as it stands after the change. `public_url` has no trailing slash."""
    shown = PaymentEvent(
        specversion="1.0",
        id=f"{payment.id}.{payment.version}",
        type=kind,
        source=f"/payproof/{payment.merchant}/{payment.account}",
        subject=payment.id,
        time=time,
        datacontenttype="application/json",
        dataschema=public_url + PAYMENT_SCHEMA,
        data=view(payment),
        traceparent=traceparent or UNSET,
    )
    return Event(
        id=shown.id,
        payment_id=payment.id,
        version=payment.version,
        type=kind,
        merchant=payment.merchant,
        account=payment.account,
        time=time,
        body=msgspec.json.encode(shown),
        traceparent=traceparent,
    )


def event_entry(event: Event) -> Entry:
    """The timeline entry of an event."""
    return Entry(kind=EntryKind.EVENT, at=event.time, data={"id": event.id, "type": event.type})
