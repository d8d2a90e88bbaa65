"""The part `webhooks` of `/openapi.json`: what we send to the shop's endpoints, with an example of every event type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.shown import EVENT_ID, PaymentEvent, TrialEvent
from schemas.words import EventType
from worker.api import samples
from worker.deliver.trying import trial_event

_TRIAL = "What `payproof webhooks test` sends, signed like any other. Answer 2xx, and store nothing."
_TRIED_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
_RESPONSES = {
    "2XX": {"description": "You have stored it. Anything else is tried again for three days."},
    "410": {"description": "You want no more webhooks: none are sent until an operator enables the endpoint."},
}


def event_name(kind: EventType) -> str:
    """`payment.partially_refunded` is `PaymentPartiallyRefunded`."""
    return "".join(word.capitalize() for word in kind.value.replace(".", "_").split("_"))


def event_schemas(place: Callable[[str], str]) -> dict[str, Any]:
    """A schema for the event of every type, by name. `place` gives the reference to a schema by its name."""
    return {
        f"{event_name(kind)}Event": {
            "title": f"{event_name(kind)}Event",
            "allOf": [{"$ref": place(PaymentEvent.__name__)}, {"properties": {"type": {"enum": [kind.value]}}}],
        }
        for kind in EventType
    }


def webhooks(public_url: str, place: Callable[[str], str]) -> dict[str, Any]:
    about = _meanings()
    sent = {
        kind.value: _webhook(
            f"on{event_name(kind)}",
            f"Delivers `{kind.value}` to an endpoint",
            about[kind],
            place(f"{event_name(kind)}Event"),
            msgspec.json.decode(samples.sample(kind, public_url or samples.EXAMPLE_URL).body),
            EVENT_ID,
        )
        for kind in EventType
    }
    _, body = trial_event("shop", _TRIED_AT)
    example = msgspec.json.decode(body) | {"id": "test_0123456789abcdef"}
    reference, pattern = place(TrialEvent.__name__), "test_[0-9a-f]{16}"
    tried = _webhook("onTrial", "Delivers a trial event, about no payment", _TRIAL, reference, example, pattern)
    return sent | {"payproof.test": tried}


def _meanings() -> dict[EventType, str]:
    """What each type means, as the docstring of EventType lists it."""
    found = re.findall(r"- `([a-z_.]+)`: (.+)", inspect.getdoc(EventType) or "")
    return {EventType(kind): f"{words[0].upper()}{words[1:]}" for kind, words in found}


def _webhook(name: str, summary: str, paragraph: str, reference: str, example: Any, id_pattern: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": reference}, "example": example}}
    headers = {
        "webhook-id": ("The event's `id`", {"type": "string", "pattern": f"^{id_pattern}$"}),
        "webhook-timestamp": ("When it was signed, in seconds", {"type": "string", "pattern": "^[0-9]+$"}),
        "webhook-signature": ("Standard Webhooks: `v1,` and base64; one for each secret", {"type": "string"}),
    }
    return {
        "post": {
            "operationId": name,
            "tags": ["Webhooks"],
            "summary": summary,
            "description": paragraph,
            "parameters": [
                {"name": header, "in": "header", "required": True, "description": about, "schema": schema}
                for header, (about, schema) in headers.items()
            ],
            "requestBody": {"required": True, "content": content},
            "responses": _RESPONSES,
            "security": [],
        }
    }
