"""`/asyncapi.json`: the messages over RabbitMQ between us and a shop's own systems, for people and code generators.

It has a channel for every type of event, by its routing keys, one for expected payments and one for dead letters.
Claims are internal and are not in it. `send` is our direction: a message that we send, and a subscriber receives.
"""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.contract import components
from schemas.requests import EXPECTED_PAYMENT
from schemas.shown import CLOUD_EVENT, EVENT_ID, PaymentEvent
from schemas.words import EventType
from worker.amqp.messages import APP, CODE, FIELD, REASON, event_message
from worker.amqp.topology import DEAD, EVENTS, EXPECTED
from worker.api import samples
from worker.api.openapi_webhooks import event_name, event_schemas

_BINDING = {"bindingVersion": "0.3.0"}
_DEAD_LETTER = {"title": "DeadLetter", "description": "The body as it was received. It may be no JSON."}
_DEAD_LETTER_HEADERS = {
    "title": "DeadLetterHeaders",
    "type": "object",
    "properties": {
        REASON: {"type": "string", "description": "Why it could not be acted on."},
        CODE: {"type": "string", "description": "The same as a word, as the API's problems have it."},
        FIELD: {"type": "string", "description": "The field to blame."},
    },
}
_ABOUT = """\
A browser redirect is a hint. Payproof turns it into proof.

Bind a queue of your own to the topic exchange `payproof.events`: `payment.#` for everything, `payment.*.shop.*` for \
one merchant, `payment.completed.#` for one type. Every event is a full snapshot of its payment, delivered at least \
once; the same bytes go to webhooks and to `GET /v1/events`."""


def asyncapi_document(public_url: str, version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document. Only the examples' `dataschema` depends on the address."""
    example_url = public_url or samples.EXAMPLE_URL
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Payproof",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": "payments", "description": "What became of them, and which to expect."}],
        },
        "defaultContentType": CLOUD_EVENT,
        "servers": {
            "rabbitmq": {
                "host": "{host}",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The RabbitMQ that payproof is given by PAYPROOF_AMQP_URL.",
                "variables": {"host": {"default": "localhost:5672", "description": "Yours, with its port."}},
                "security": [{"type": "userPassword"}],
            }
        },
        "channels": {_name(kind): _channel(kind) for kind in EventType}
        | {"paymentExpected": _expecting(), "deadLetters": _letters()},
        "operations": {f"send{event_name(kind)}": _sending(kind) for kind in EventType}
        | {"receivePaymentExpected": _receiving(), "sendDeadLetter": _parking()},
        "components": {
            "messages": {_name(kind): _message(kind, example_url) for kind in EventType}
            | {"expectedPayment": _expected(), "deadLetter": _dead_letter()},
            "schemas": components([PaymentEvent], "#/components/schemas/{name}")
            | event_schemas(_schema)
            | {f"{event_name(kind)}Properties": _properties(kind) for kind in EventType}
            | EXPECTED_PAYMENT.schemas(_schema)
            | {"DeadLetter": _DEAD_LETTER, "DeadLetterHeaders": _DEAD_LETTER_HEADERS},
            "parameters": {
                "merchant": {"description": "The merchant's id, as configured.", "examples": ["shop"]},
                "account": {"description": "The id of the merchant's account.", "examples": ["shop-moneybag"]},
            },
        },
    }


def _channel(kind: EventType) -> dict[str, Any]:
    return {
        "address": f"{kind}.{{merchant}}.{{account}}",
        "messages": {_name(kind): _ref("components", "messages", _name(kind))},
        "parameters": {name: _ref("components", "parameters", name) for name in ("merchant", "account")},
        "bindings": _by_key(EVENTS),
    }


def _expecting() -> dict[str, Any]:
    return {
        "address": "{merchant}",
        "messages": {"expectedPayment": _ref("components", "messages", "expectedPayment")},
        "parameters": {"merchant": _ref("components", "parameters", "merchant")},
        "bindings": _by_key(EXPECTED),
    }


def _letters() -> dict[str, Any]:
    queue = {"name": DEAD, "durable": True, "exclusive": False, "autoDelete": False}
    return {
        "address": DEAD,
        "messages": {"deadLetter": _ref("components", "messages", "deadLetter")},
        "bindings": {"amqp": {"is": "queue", "queue": queue, **_BINDING}},
    }


def _by_key(exchange: str) -> dict[str, Any]:
    """A topic exchange, where the address is the routing key."""
    named = {"name": exchange, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": named, **_BINDING}}


def _sending(kind: EventType) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": _ref("channels", _name(kind)),
        "messages": [_ref("channels", _name(kind), "messages", _name(kind))],
        "summary": f"Publishes `{kind}` to every queue that is bound for it; that there is none is no error.",
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": False, **_BINDING}},
    }


def _receiving() -> dict[str, Any]:
    opened = _name(EventType.OPENED)
    return {
        "action": "receive",
        "channel": _ref("channels", "paymentExpected"),
        "messages": [_ref("channels", "paymentExpected", "messages", "expectedPayment")],
        "summary": "Takes on a payment that the shop opened itself.",
        "description": "Publish it persistent and with publisher confirms, to this exchange with the merchant's id as "
        "routing key, or to the queue of the exchange's name. What comes of it is `payment.opened`, or a "
        "letter in `payproof.dead` that says what is wrong with it.",
        "reply": {
            "channel": _ref("channels", opened),
            "messages": [_ref("channels", opened, "messages", opened)],
        },
        "bindings": {"amqp": {"ack": True, **_BINDING}},
    }


def _parking() -> dict[str, Any]:
    return {
        "action": "send",
        "channel": _ref("channels", "deadLetters"),
        "messages": [_ref("channels", "deadLetters", "messages", "deadLetter")],
        "summary": "Puts aside, for a person, what cannot be acted on.",
        "bindings": {"amqp": {"deliveryMode": 2, **_BINDING}},
    }


def _message(kind: EventType, public_url: str) -> dict[str, Any]:
    event = samples.sample(kind, public_url)
    sent = event_message(event.id, event.type, event.merchant, event.account, event.body).properties
    properties = {"message_id": sent.message_id, "type": sent.message_type, "app_id": sent.app_id}
    return {
        "name": kind.value,
        "title": event_name(kind),
        "contentType": sent.content_type,
        "headers": _ref("components", "schemas", f"{event_name(kind)}Properties"),
        "correlationId": {"description": "The event's id.", "location": "$message.header#/message_id"},
        "payload": _ref("components", "schemas", f"{event_name(kind)}Event"),
        "bindings": {"amqp": {"messageType": kind.value, **_BINDING}},
        "examples": [{"name": _name(kind), "headers": properties, "payload": msgspec.json.decode(event.body)}],
    }


def _expected() -> dict[str, Any]:
    return {
        "name": "expectedPayment",
        "title": "ExpectedPayment",
        "summary": "The body of `POST /v1/payments/track`, and whose payment it is.",
        "contentType": "application/json",
        "payload": _ref("components", "schemas", EXPECTED_PAYMENT.name),
        "examples": [{"name": "expectedPayment", "payload": samples.EXPECTED_SAMPLE}],
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "deadLetter",
        "title": "DeadLetter",
        "summary": "What was received, byte for byte.",
        "contentType": "application/json",
        "headers": _ref("components", "schemas", "DeadLetterHeaders"),
        "payload": _ref("components", "schemas", "DeadLetter"),
    }


def _properties(kind: EventType) -> dict[str, Any]:
    return {
        "title": f"{event_name(kind)}Properties",
        "type": "object",
        "description": "AMQP's own properties of the message, not its table of headers, which is empty but for a W3C "
        "`traceparent` where payproof is traced.",
        "properties": {
            "message_id": {"type": "string", "pattern": f"^{EVENT_ID}$", "description": "The event's `id`."},
            "type": {"const": kind.value, "description": "The event's `type`."},
            "app_id": {"const": APP},
        },
        "required": ["message_id", "type", "app_id"],
    }


def _name(kind: EventType) -> str:
    return event_name(kind).replace("P", "p", 1)


def _schema(name: str) -> str:
    return f"#/components/schemas/{name}"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}
