"""bKash's notifications by Amazon's SNS: confirming the subscription, and messages that a receiver must refuse."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from worker.playground.sandbox.announcing import FORGER, STALE_SECONDS, new_event_id, webhook_url
from worker.playground.sandbox.bkash import Bkash
from worker.playground.sandbox.control.read_request import Body, Named, find
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.control.webhook_routes import Sent
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.send_webhook import post_webhook
from worker.playground.sandbox.simulated_gateway import Impossible
from worker.playground.sandbox.simulated_sns import SimulatedSns, Version


class SnsMessage(Body, frozen=True, kw_only=True):
    """A SubscriptionConfirmation; with a reference or session_id, the Notification of that payment.

    version: the SignatureVersion, 1 by SHA-1 and 2 by SHA-256. topic_arn, signing_cert_url and subscribe_url: others
    than the true ones, rightly signed. forged: signed by somebody else's key. stale: written and signed an hour ago.
    """

    reference: str | None = None
    session_id: str | None = None
    version: Version = "1"
    topic_arn: str | None = None
    signing_cert_url: str | None = None
    subscribe_url: str | None = None
    forged: bool = False
    stale: bool = False
    times: Annotated[int, Meta(ge=1, le=100)] = 1


class Topic(Struct, frozen=True, kw_only=True):
    """`confirmed`: how often the subscription was confirmed. `url`: where messages go, null where none is set.

    `signing_cert_url`: where the certificate of the messages' key lies.
    """

    provider: Literal["bkash"]
    topic_arn: str
    url: str | None
    signing_cert_url: str
    confirmed: int


class Nothing(Body, frozen=True, kw_only=True):
    """No parameter."""


async def _topic(sandbox: Sandbox, asked: Asked) -> Topic:
    gateway = sandbox.bkash
    gateway.reached(f"{asked.root}/bkash")
    sns = gateway.sns
    return Topic(
        provider="bkash",
        topic_arn=sns.topic_arn,
        url=webhook_url(gateway),
        signing_cert_url=sns.certificate_url(),
        confirmed=sns.confirmed(),
    )


async def _send(sandbox: Sandbox, asked: Asked) -> Sent:
    wanted: SnsMessage = asked.said
    gateway = sandbox.bkash
    gateway.reached(f"{asked.root}/bkash")
    url = webhook_url(gateway)
    if url is None:
        raise Impossible("no webhook URL is set for bkash")
    with sandbox.state.transaction():
        message = _message(sandbox, gateway, gateway.sns, wanted)
    changed = {
        "TopicArn": wanted.topic_arn,
        "SigningCertURL": wanted.signing_cert_url,
        "SubscribeURL": wanted.subscribe_url,
    }
    message |= {name: value for name, value in changed.items() if value is not None}
    at = time.time() - (STALE_SECONDS if wanted.stale else 0.0)
    body, headers = gateway.sns.signed(message, at=at, secret=FORGER if wanted.forged else "")
    seconds = sandbox.config.webhook_timeout
    return Sent(
        statuses=[await post_webhook(asked.http, url, body, headers, seconds=seconds) for _ in range(wanted.times)]
    )


def _message(sandbox: Sandbox, gateway: Bkash, sns: SimulatedSns, wanted: SnsMessage) -> dict[str, object]:
    if wanted.reference is None and wanted.session_id is None:
        return sns.confirmation(new_event_id(gateway, "sns"), at=time.time(), version=wanted.version)
    session = find(sandbox, Named(provider="bkash", reference=wanted.reference, session_id=wanted.session_id))
    message = gateway.event_body(session, "paid", new_event_id(gateway, session.reference))
    return message | {"SignatureVersion": wanted.version}


ROUTES = (
    Route(
        method="GET",
        path="/_control/sns",
        name="getTopic",
        summary="bKash's SNS topic, and whether its subscription was confirmed",
        query=Nothing,
        answers=Topic,
        do=_topic,
    ),
    Route(
        method="POST",
        path="/_control/sns",
        name="sendSns",
        summary="Send a SubscriptionConfirmation or a Notification of bKash's now, right or wrong, to its webhook URL",
        body=SnsMessage,
        answers=Sent,
        do=_send,
        example={"version": "2", "stale": True},
        problems=frozenset({404, 409}),
    ),
)
