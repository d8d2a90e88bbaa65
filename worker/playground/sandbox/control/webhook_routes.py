"""Webhooks: where they go, their attempts, and sending wrong ones.

An extra webhook is sent now and not retried. Without `event`, `of_reference` or `ipn` the last webhook of this payment
goes out again, byte for byte and with its event id (a double). Where there was none, a new webhook is made for the
payment's present status; for an open payment it says paid (a lie, unless it comes to be paid).
"""

from __future__ import annotations

import time
from typing import Annotated, Literal, get_args
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from worker.playground.sandbox.announcing import (
    FORGER,
    STALE_SECONDS,
    Message,
    new_event_id,
    webhook_events,
    webhook_url,
)
from worker.playground.sandbox.control.read_request import About, Body, Named, find
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import Provider
from worker.playground.sandbox.send_webhook import post_webhook, signed_request
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Happening, Impossible, SimulatedGateway


class WebhookUrl(Body, frozen=True, kw_only=True):
    """url null: none are sent. events null: as before."""

    provider: Provider
    url: str | None = None
    events: list[str] | None = None


class Extra(Named, frozen=True, kw_only=True):
    """The fault of the webhook.

    forged: signed with another secret. stale: signed an hour ago. of_reference: our reference beside the ids of that
    other order. ipn: the unsigned form, to the order's own address; gateways without webhooks send no other message.
    """

    times: Annotated[int, Meta(ge=1, le=100)] = 1
    forged: bool = False
    stale: bool = False
    of_reference: str | None = None
    event: Happening | None = None
    ipn: bool = False


class WebhooksGo(Struct, frozen=True, kw_only=True):
    url: str | None
    events: list[str]


class Delivery(Struct, frozen=True, kw_only=True):
    """A status of 0 means that no answer came."""

    provider: Provider
    reference: str
    event_id: str
    event_type: str
    url: str
    attempts: int
    state: Literal["due", "delivered", "given_up"]
    statuses: list[int]


class Deliveries(Struct, frozen=True, kw_only=True):
    deliveries: list[Delivery]


class Sent(Struct, frozen=True, kw_only=True):
    statuses: list[int]


async def _set_url(sandbox: Sandbox, asked: Asked) -> WebhooksGo:
    wanted: WebhookUrl = asked.said
    gateway = sandbox.gateways[wanted.provider]
    if gateway.event_type("paid") is None and not gateway.panel:
        raise Impossible(f"{wanted.provider} sends no webhooks")
    with sandbox.state.transaction():
        sandbox.state.set(f"webhook_url {gateway.name}", wanted.url or "")
        if wanted.events is not None:
            sandbox.state.set(f"webhook_events {gateway.name}", " ".join(wanted.events))
    return WebhooksGo(url=webhook_url(gateway), events=sorted(webhook_events(gateway)))


async def _deliveries(sandbox: Sandbox, asked: Asked) -> Deliveries:
    about: About = asked.said
    rows = sandbox.state.db.execute(
        "SELECT provider, reference, event_id, event_type, url, attempts, state, statuses FROM deliveries "
        "WHERE provider = coalesce(?, provider) AND reference = coalesce(?, reference) ORDER BY seq",
        (about.provider, about.reference),
    )
    return Deliveries(
        deliveries=[
            Delivery(**(dict(row) | {"statuses": [int(status) for status in row["statuses"].split()]})) for row in rows
        ]
    )


async def _send(sandbox: Sandbox, asked: Asked) -> Sent:
    extra: Extra = asked.said
    gateway = sandbox.gateways[extra.provider]
    forms_alone = gateway.event_type("paid") is None
    if forms_alone and not gateway.panel:
        raise Impossible(f"{extra.provider} sends no webhooks")
    with sandbox.state.transaction():
        session = find(sandbox, extra)
        message = _form(sandbox, extra, session) if extra.ipn or forms_alone else _webhook(sandbox, extra, session)
    statuses = []
    for attempt in range(1, extra.times + 1):
        body, headers = _written(gateway, extra, message, attempt)
        sent = post_webhook(asked.http, message.url, body, headers, seconds=sandbox.config.webhook_timeout)
        statuses.append(await sent)
    return Sent(statuses=statuses)


def _webhook(sandbox: Sandbox, extra: Extra, session: Session) -> Message:
    gateway = sandbox.gateways[extra.provider]
    url = gateway.event_url(session) or webhook_url(gateway)
    if url is None:
        raise Impossible(f"no webhook URL is set for {extra.provider}")
    last = sandbox.state.db.execute(
        "SELECT * FROM deliveries WHERE provider = ? AND reference = ? AND signed ORDER BY seq DESC LIMIT 1",
        (extra.provider, session.reference),
    ).fetchone()
    if last is not None and extra.event is None and extra.of_reference is None:
        event_id, event_type, body = last["event_id"], last["event_type"], last["body"]
    else:
        happening, event_id = _happening(extra, session), new_event_id(gateway, session.reference)
        event_type = gateway.event_type(happening) or ""
        body = msgspec.json.encode(gateway.event_body(_mixed(sandbox, extra, session), happening, event_id))
    return Message(url=url, body=body, event_id=event_id, event_type=event_type, signed=True)


def _form(sandbox: Sandbox, extra: Extra, session: Session) -> Message:
    gateway = sandbox.gateways[extra.provider]
    notification = gateway.notification(_mixed(sandbox, extra, session), _happening(extra, session))
    if notification is None:
        raise Impossible("this order named no address for notifications")
    url, form = notification
    form = dict(gateway.forged(form)) if extra.forged else form
    return Message(url=url, body=urlencode(form).encode(), event_id="", event_type="ipn", signed=False)


def _happening(extra: Extra, session: Session) -> Happening:
    if extra.event is not None:
        return extra.event
    return next((happening for happening in get_args(Happening) if happening == session.status), "paid")


def _mixed(sandbox: Sandbox, extra: Extra, session: Session) -> Session:
    """The session, with the ids of the other order where an order is named."""
    if extra.of_reference is None:
        return session
    other = find(sandbox, Named(provider=extra.provider, reference=extra.of_reference))
    return replace(session, session_id=other.session_id, transaction_id=other.transaction_id)


def _written(gateway: SimulatedGateway, extra: Extra, message: Message, attempt: int) -> tuple[bytes, dict[str, str]]:
    if not message.signed:
        return message.body, {"Content-Type": "application/x-www-form-urlencoded"}
    at = int(time.time() - (STALE_SECONDS if extra.stale else 0))
    secret = FORGER if extra.forged else None
    return signed_request(
        gateway, message.body, message.event_id, message.event_type, at=at, attempt=attempt, secret=secret
    )


_ORDER = {"provider": "moneybag", "reference": "order-7831"}
ROUTES = (
    Route(
        method="POST",
        path="/_control/webhook_urls",
        name="setWebhookUrl",
        summary="Where a gateway's webhooks or notifications go, and which events it sends (where a gateway has them)",
        body=WebhookUrl,
        answers=WebhooksGo,
        do=_set_url,
        example={"provider": "moneybag", "url": "http://127.0.0.1:3000/webhooks/moneybag"},
        problems=frozenset({409}),
    ),
    Route(
        method="GET",
        path="/_control/deliveries",
        name="listDeliveries",
        summary="Webhooks and IPN forms, oldest first, with the statuses of their attempts",
        query=About,
        answers=Deliveries,
        do=_deliveries,
        example=_ORDER,
    ),
    Route(
        method="POST",
        path="/_control/webhook",
        name="sendWebhook",
        summary="Send the last webhook again, or a wrong one, now",
        body=Extra,
        answers=Sent,
        do=_send,
        example=_ORDER | {"forged": True},
        problems=frozenset({404, 409}),
    ),
)
