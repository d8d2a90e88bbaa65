"""What goes over the broker: claims, expected payments, dead letters and events, as messages with their properties.

The one thing to get wrong: the body. A dead letter's is the message's own, byte for byte, so that replaying it is
publishing it; what became of it stands in the headers. An event's is the bytes of the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec
from aio_pika import DeliveryMode
from aiormq import spec
from aiormq.abc import DeliveredMessage
from msgspec import Struct

from schemas.callbacks import Claim
from schemas.shown import CLOUD_EVENT
from worker.amqp.topology import CLAIMS, DEAD, EVENTS, EXPECTED
from worker.telemetry.tracing import HEADER

REASON, PROVIDER = "payproof-reason", "payproof-provider"
CODE, FIELD = "payproof-code", "payproof-field"
EXPECTED_TYPE = "expected"


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """A message and where it goes. `mandatory`: that no queue takes it is a mistake, not an audience of none."""

    exchange: str
    routing_key: str
    body: bytes
    properties: spec.Basic.Properties
    mandatory: bool


def claim_message(claim: Claim) -> OutgoingMessage:
    return OutgoingMessage(
        exchange=CLAIMS,
        routing_key=claim.provider,
        body=msgspec.json.encode(claim),
        properties=_durable(message_id=claim.id, type="claim", headers=_trace(claim.traceparent)),
        mandatory=True,
    )


def dead_letter_message(claim_id: str, provider: str, body: bytes, reason: str, died_at: datetime) -> OutgoingMessage:
    headers = {REASON: reason, PROVIDER: provider}
    properties = _durable(message_id=claim_id, type="claim", headers=headers, timestamp=died_at)
    return OutgoingMessage(exchange=DEAD, routing_key=provider, body=body, properties=properties, mandatory=True)


def expected_message(message_id: str, routing_key: str, body: bytes) -> OutgoingMessage:
    properties = _durable(message_id=message_id, type=EXPECTED_TYPE)
    return OutgoingMessage(exchange=EXPECTED, routing_key=routing_key, body=body, properties=properties, mandatory=True)


def expected_dead_letter_message(
    message_id: str, routing_key: str, body: bytes, headers: Mapping[str, str], at: datetime
) -> OutgoingMessage:
    """Its key is the one it was published with, which says who may have published it."""
    properties = _durable(message_id=message_id, type=EXPECTED_TYPE, headers=headers, timestamp=at)
    return OutgoingMessage(exchange=DEAD, routing_key=routing_key, body=body, properties=properties, mandatory=True)


def strangers_id(message_id: str | None) -> str:
    """What a stranger called a message, where that is fit to be printed and typed."""
    return message_id if message_id and re.fullmatch(r"[!-~]{1,100}", message_id, re.ASCII) else "unknown"


def delivered_before(message: DeliveredMessage) -> int:
    """How often the broker gave it out before, as it counts in a quorum queue; lost connections count too."""
    count = (message.header.properties.headers or {}).get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0


def event_message(
    event_id: str, event_type: str, merchant: str, account: str, body: bytes, traceparent: str | None = None
) -> OutgoingMessage:
    """Routing key `payment.completed.<merchant>.<account>`; that no queue is bound for it is no error."""
    return OutgoingMessage(
        exchange=EVENTS,
        routing_key=f"{event_type}.{merchant}.{account}",
        body=body,
        properties=_durable(
            message_id=event_id, type=event_type, content_type=CLOUD_EVENT, headers=_trace(traceparent)
        ),
        mandatory=False,
    )


def _trace(traceparent: str | None) -> dict[str, str] | None:
    return {HEADER: traceparent} if traceparent else None


def _durable(
    *,
    message_id: str,
    type: str,  # noqa: A002 - the property's name
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    timestamp: datetime | None = None,
) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        delivery_mode=DeliveryMode.PERSISTENT.value,
        message_id=message_id,
        message_type=type,
        content_type=content_type,
        headers=dict(headers or {}),
        timestamp=timestamp,
        app_id="payproof",
    )
