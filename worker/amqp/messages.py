"""The messages that go over the broker, with their properties: claims, expected payments, dead letters and events.

The body of a dead letter is the body of its message, byte for byte, so that replaying it is publishing it. Why it was
dead-lettered is in the headers. The body of an event is the bytes of the log.
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

APP = "payproof"
REASON, PROVIDER = "payproof-reason", "payproof-provider"
CODE, FIELD = "payproof-code", "payproof-field"
EXPECTED_TYPE = "expected"


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """A message with its exchange and routing key. `mandatory`: the broker must report if no queue takes it."""

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
    """A dead letter of an expected payment. It keeps its routing key, which shows who was allowed to publish it."""
    properties = _durable(message_id=message_id, type=EXPECTED_TYPE, headers=headers, timestamp=at)
    return OutgoingMessage(exchange=DEAD, routing_key=routing_key, body=body, properties=properties, mandatory=True)


def strangers_id(message_id: str | None) -> str:
    """The id of a message from outside, if it is short printable ASCII; else "unknown"."""
    return message_id if message_id and re.fullmatch(r"[!-~]{1,100}", message_id, re.ASCII) else "unknown"


def delivered_before(message: DeliveredMessage) -> int:
    """How often the broker delivered the message before, as a quorum queue counts: lost connections count too."""
    count = (message.header.properties.headers or {}).get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0


def event_message(
    event_id: str, event_type: str, merchant: str, account: str, body: bytes, traceparent: str | None = None
) -> OutgoingMessage:
    """An event, with the routing key `payment.completed.<merchant>.<account>`. It needs no queue that takes it."""
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
        app_id=APP,
    )
