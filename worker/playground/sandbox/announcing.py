"""Queueing a gateway's messages: its signed webhook, and the unsigned form that an order asked for.

This module only queues, in the caller's transaction; `send_webhook.py` sends.
"""

from __future__ import annotations

import sys
import time
import uuid
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from worker.playground.sandbox.sandbox_config import WEBHOOK_EVENTS
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Happening, SimulatedGateway

FORGER = "whsec_of_somebody_else"
STALE_SECONDS = 3600.0
REPLAYS_AFTER = 0.5
BY_EVERY_PANEL = ("paid", "failed")
"""What each gateway with one address in its panel tells there; some tell more."""


class Telling(Struct, frozen=True, kw_only=True):
    """How a message is sent: how many seconds from now, how often with one event id, and with whose secret.

    `replays`: so many times more soon after, and once with an hour-old signature; none of these is tried twice.
    """

    after: float = 0.0
    copies: int = 1
    secret: str | None = None
    replays: int = 0


AS_USUAL = Telling()


class Message(Struct, frozen=True, kw_only=True):
    """One message to one address; signed messages carry their event id in a header, forms have none."""

    url: str
    body: bytes
    event_id: str
    event_type: str
    signed: bool


def announce_happening(
    gateway: SimulatedGateway, session: Session, happening: Happening, telling: Telling = AS_USUAL
) -> None:
    """Queue every message of this happening that is switched on and has an address; say so where there is none."""
    if (missing := missing_address(gateway, session, happening)) is not None:
        sys.stdout.write(f"{session.reference}: {missing}\n")
        sys.stdout.flush()
    event_type = gateway.event_type(happening)
    url = gateway.event_url(session) or webhook_url(gateway)
    if event_type is not None and url and event_type in webhook_events(gateway):
        event_id = new_event_id(gateway, session.reference)
        body = msgspec.json.encode(gateway.event_body(session, happening, event_id))
        message = Message(url=url, body=body, event_id=event_id, event_type=event_type, signed=True)
        _queue(gateway, session, message, telling)
    notification = gateway.notification(session, happening)
    if notification is not None:
        address, form = notification
        event_id = new_event_id(gateway, session.reference)
        body = urlencode(form).encode()
        _queue(
            gateway,
            session,
            Message(url=address, body=body, event_id=event_id, event_type="ipn", signed=False),
            Telling(after=telling.after, copies=telling.copies),
        )


def missing_address(gateway: SimulatedGateway, session: Session, happening: Happening) -> str | None:
    """Why the gateway cannot send its message of this happening, and what helps. None where nothing is missing."""
    event_type = gateway.event_type(happening)
    if event_type is not None:
        sends = event_type in webhook_events(gateway)
        addressed = bool(gateway.event_url(session) or webhook_url(gateway))
    else:
        sends = gateway.panel and happening in BY_EVERY_PANEL
        addressed = gateway.notification(session, happening) is not None
    if not sends or addressed:
        return None
    unsent = f"{gateway.name} has a message to send ({event_type or 'IPN'}) and no address to send it to"
    return f"{unsent}; {how_to_set(gateway)}"


def how_to_set(gateway: SimulatedGateway) -> str:
    """How the address for a gateway's messages is set."""
    return f"start the sandbox with --webhook {gateway.name}=URL, or POST it to /_control/webhook_urls"


def new_event_id(gateway: SimulatedGateway, reference: str) -> str:
    return str(uuid.UUID(int=gateway.draw(reference).getrandbits(128), version=4))


def webhook_url(gateway: SimulatedGateway) -> str | None:
    """Where signed webhooks go: the URL set by the control API, else the config's. None where it is empty."""
    stored = gateway.state.setting(f"webhook_url {gateway.name}")
    return (gateway.config.webhook_urls.get(gateway.name) if stored is None else stored) or None


def webhook_events(gateway: SimulatedGateway) -> frozenset[str]:
    stored = gateway.state.setting(f"webhook_events {gateway.name}")
    if stored is not None:
        return frozenset(stored.split())
    return frozenset(gateway.config.webhook_events.get(gateway.name, WEBHOOK_EVENTS.get(gateway.name, ())))


def _queue(gateway: SimulatedGateway, session: Session, message: Message, telling: Telling) -> None:
    def insert(due_at: float, *, backdated: float = 0.0, most_attempts: int | None = None) -> None:
        row = {
            "provider": gateway.name,
            "reference": session.reference,
            **asdict(message),
            "due_at": due_at,
            "secret": telling.secret,
            "backdated": backdated,
            "most_attempts": most_attempts,
        }
        gateway.state.db.execute(
            f"INSERT INTO deliveries ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",  # noqa: S608
            row,
        )

    due_at = time.time() + telling.after
    for _ in range(telling.copies):
        insert(due_at)
    for _ in range(telling.replays):
        insert(due_at + REPLAYS_AFTER, most_attempts=1)
    if telling.replays:
        insert(due_at + REPLAYS_AFTER, backdated=STALE_SECONDS, most_attempts=1)
