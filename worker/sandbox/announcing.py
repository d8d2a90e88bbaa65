"""Writing down what a gateway has to tell: its signed webhook, and the unsigned form an order asked for.

The one thing to get wrong: this only queues, in the caller's transaction; `worker.sandbox.webhooks` sends.
"""

from __future__ import annotations

import time
import uuid
from urllib.parse import urlencode

import msgspec

from worker.sandbox.config import WEBHOOK_EVENTS
from worker.sandbox.gateway import Gateway, Happening
from worker.sandbox.sessions import Session


def announce(gateway: Gateway, session: Session, happening: Happening) -> None:
    """Queue every message of this happening that is switched on and has an address."""
    event_type = gateway.event_type(happening)
    url = webhook_url(gateway)
    if event_type is not None and url and event_type in webhook_events(gateway):
        event_id = new_event_id(gateway)
        body = msgspec.json.encode(gateway.event_body(session, happening, event_id))
        _queue(gateway, session, event_id, event_type, url, body, signed=True)
    notification = gateway.notification(session, happening)
    if notification is not None:
        address, form = notification
        _queue(gateway, session, new_event_id(gateway), "ipn", address, urlencode(form).encode(), signed=False)


def new_event_id(gateway: Gateway) -> str:
    return str(uuid.UUID(int=gateway.state.draw().getrandbits(128), version=4))


def webhook_url(gateway: Gateway) -> str | None:
    """Where signed webhooks go: what the control API set, else the config. An empty one is none."""
    stored = gateway.state.setting(f"webhook_url {gateway.name}")
    return (gateway.config.webhook_urls.get(gateway.name) if stored is None else stored) or None


def webhook_events(gateway: Gateway) -> frozenset[str]:
    stored = gateway.state.setting(f"webhook_events {gateway.name}")
    if stored is not None:
        return frozenset(stored.split())
    return frozenset(gateway.config.webhook_events.get(gateway.name, WEBHOOK_EVENTS.get(gateway.name, ())))


def _queue(
    gateway: Gateway, session: Session, event_id: str, event_type: str, url: str, body: bytes, *, signed: bool
) -> None:
    gateway.state.db.execute(
        "INSERT INTO deliveries (provider, reference, event_id, event_type, url, signed, body, due_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (gateway.name, session.reference, event_id, event_type, url, signed, body, time.time()),
    )
