"""The control API's part about webhooks: where they go, what became of them, and sending wrong ones.

POST /_control/webhook_urls  {provider, url: null = none, events?: [...]}     -> {"url", "events"}
GET  /_control/deliveries?provider=&reference=
     -> {"deliveries": [{provider, reference, event_id, event_type, url, attempts, state, statuses}]}, oldest
        first; state is due, delivered or given_up; a status of 0 means that no answer came
POST /_control/webhook       {provider, reference|session_id, times?: 1, forged?, stale?, of_reference?, event?, ipn?}
     -> {"statuses": [...]}, sent now and not retried. Without `event`, `of_reference` or `ipn` the last webhook of
        this payment goes out again, byte for byte and with its event id (a double); where there was none, a new one
        is made for its present status, or for a payment where it is still open (a lie, unless it comes to be paid).
        forged: signed with another secret. stale: signed an hour ago. of_reference: our order's reference beside
        the ids of that other order. event: paid, failed, cancelled, expired or refunded. ipn: the unsigned form,
        to the order's own address.
"""

from __future__ import annotations

import time
from typing import get_args
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from worker.sandbox.announcing import new_event_id, webhook_events, webhook_url
from worker.sandbox.control import Answer, Named, Provider, find, json_answers, read
from worker.sandbox.gateway import Gateway, Happening, Impossible
from worker.sandbox.sandbox import Sandbox
from worker.sandbox.sessions import Session
from worker.sandbox.webhooks import HTTP, post, signed_headers

FORGER = "whsec_of_somebody_else"
STALE_SECONDS = 3600


class WebhookUrl(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: Provider
    url: str | None = None
    events: list[str] | None = None


class Extra(Named, frozen=True, kw_only=True):
    times: int = 1
    forged: bool = False
    stale: bool = False
    of_reference: str | None = None
    event: Happening | None = None
    ipn: bool = False


class Message(Struct, frozen=True, kw_only=True):
    url: str
    body: bytes
    event_id: str
    event_type: str


def routes() -> list[web.RouteDef]:
    return [
        web.post("/_control/webhook_urls", json_answers(_set_url)),
        web.get("/_control/deliveries", json_answers(_deliveries)),
        web.post("/_control/webhook", json_answers(_send)),
    ]


async def _set_url(sandbox: Sandbox, request: web.Request) -> Answer:
    wanted = await read(request, WebhookUrl)
    gateway = sandbox.gateways[wanted.provider]
    if gateway.event_type("paid") is None:
        raise Impossible(f"{wanted.provider} sends no webhooks")
    with sandbox.state.transaction():
        sandbox.state.set(f"webhook_url {gateway.name}", wanted.url or "")
        if wanted.events is not None:
            sandbox.state.set(f"webhook_events {gateway.name}", " ".join(wanted.events))
    return {"url": webhook_url(gateway), "events": sorted(webhook_events(gateway))}


async def _deliveries(sandbox: Sandbox, request: web.Request) -> Answer:
    rows = sandbox.state.db.execute(
        "SELECT provider, reference, event_id, event_type, url, attempts, state, statuses FROM deliveries "
        "WHERE provider = coalesce(?, provider) AND reference = coalesce(?, reference) ORDER BY seq",
        (request.query.get("provider") or None, request.query.get("reference") or None),
    )
    told = [dict(row) | {"statuses": [int(status) for status in row["statuses"].split()]} for row in rows]
    return {"deliveries": told}


async def _send(sandbox: Sandbox, request: web.Request) -> Answer:
    extra = await read(request, Extra)
    gateway = sandbox.gateways[extra.provider]
    if gateway.event_type("paid") is None:
        raise Impossible(f"{extra.provider} sends no webhooks")
    with sandbox.state.transaction():
        session = find(sandbox, extra)
        message = _notification(sandbox, extra, session) if extra.ipn else _webhook(sandbox, extra, session)
    statuses = []
    for attempt in range(1, min(extra.times, 100) + 1):
        headers = _headers(gateway, extra, message, attempt)
        sent = post(request.app[HTTP], message.url, message.body, headers, seconds=sandbox.config.webhook_timeout)
        statuses.append(await sent)
    return {"statuses": statuses}


def _webhook(sandbox: Sandbox, extra: Extra, session: Session) -> Message:
    gateway = sandbox.gateways[extra.provider]
    url = webhook_url(gateway)
    if url is None:
        raise Impossible(f"no webhook URL is set for {extra.provider}")
    last = sandbox.state.db.execute(
        "SELECT * FROM deliveries WHERE provider = ? AND reference = ? AND signed ORDER BY seq DESC LIMIT 1",
        (extra.provider, session.reference),
    ).fetchone()
    if last is not None and extra.event is None and extra.of_reference is None:
        return Message(url=url, body=last["body"], event_id=last["event_id"], event_type=last["event_type"])
    happening, event_id = _happening(extra, session), new_event_id(gateway)
    body = msgspec.json.encode(gateway.event_body(_mixed(sandbox, extra, session), happening, event_id))
    return Message(url=url, body=body, event_id=event_id, event_type=gateway.event_type(happening) or "")


def _notification(sandbox: Sandbox, extra: Extra, session: Session) -> Message:
    gateway = sandbox.gateways[extra.provider]
    notification = gateway.notification(_mixed(sandbox, extra, session), _happening(extra, session))
    if notification is None:
        raise Impossible("this order named no address for notifications")
    url, form = notification
    return Message(url=url, body=urlencode(form).encode(), event_id="", event_type="")


def _happening(extra: Extra, session: Session) -> Happening:
    if extra.event is not None:
        return extra.event
    return next((happening for happening in get_args(Happening) if happening == session.status), "paid")


def _mixed(sandbox: Sandbox, extra: Extra, session: Session) -> Session:
    """Our session, with the ids of the other order where one is named."""
    if extra.of_reference is None:
        return session
    other = find(sandbox, Named(provider=extra.provider, reference=extra.of_reference))
    return replace(session, session_id=other.session_id, transaction_id=other.transaction_id)


def _headers(gateway: Gateway, extra: Extra, message: Message, attempt: int) -> dict[str, str]:
    if extra.ipn:
        return {"Content-Type": "application/x-www-form-urlencoded"}
    at = int(time.time()) - (STALE_SECONDS if extra.stale else 0)
    secret = FORGER if extra.forged else None
    return signed_headers(
        gateway, message.body, message.event_id, message.event_type, at=at, attempt=attempt, secret=secret
    )
