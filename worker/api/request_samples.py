"""The examples of `/openapi.json`: a body and an answer for each operation, about the payment of `worker.api.samples`.

Answers are made from the events that real code writes. A test validates every example against its schema.
"""

from __future__ import annotations

from typing import Any

import msgspec

from consumers.commands.two_people import key_actor
from consumers.money.write_event import event_entry
from schemas.words import EventType
from worker.api.cursors import written_cursor
from worker.api.samples import EXAMPLE_URL, EXPECTED_SAMPLE, sample

_TRACKED = {name: value for name, value in EXPECTED_SAMPLE.items() if name != "merchant"}
_TRIED = "2026-01-31T12:03:21Z"
_WEBHOOK = {
    "id": "wh_0123456789ab",
    "name": "shop",
    "url": "https://shop.example/hooks/payproof",
    "events": [kind.value for kind in EventType],
    "state": "delivering",
    "failures": 0,
    "next_try": None,
    "blocked_since": None,
    "waiting": 0,
    "oldest_waiting": None,
    "given_up": 0,
    "last_delivered": _TRIED,
    "last_answer": {"at": _TRIED, "words": "it answered 204"},
}
_DELIVERY = {
    "payment_id": "pay_0123456789abcdefghijklmnop",
    "type": "payment.completed",
    "time": "2026-01-31T12:03:20Z",
    "state": "delivered",
    "attempts": 1,
    "next_try": None,
    "delivered_at": _TRIED,
    "given_up_at": None,
    "answer": "it answered 204",
}
_CUSTOMER = {  # all that Moneybag, the gateway of the example, asks for
    "name": "Karim",
    "email": "karim@example.com",
    "phone": "01700000000",
    "address": "House 7, Road 3",
    "city": "Dhaka",
    "postcode": "1209",
    "country": "BD",
}
_BODIES: dict[str, dict[str, Any]] = {
    "openPayment": {
        **{name: value for name, value in _TRACKED.items() if name != "session_id"},
        "description": "Two saris",
        "return_url": "https://shop.example/thanks",
        "expires_in": 1800,
        "customer": _CUSTOMER,
        "metadata": {"branch": "Dhanmondi"},
    },
    "trackPayment": _TRACKED,
    "resolvePayment": {
        "status": "completed",
        "actor": "rahima",
        "reason": "The gateway's panel shows 1500.50 BDT",
        "transaction_id": "TX-90017",
        "evidence": "Screenshot 114 of the accounts folder",
        "version": 2,
    },
}


def body_sample(operation: str) -> dict[str, Any]:
    """An example of the body of this operation, by its `operationId`."""
    return _BODIES[operation]


def accepted_sample() -> dict[str, Any]:
    """An example of the 202 of a resolution that a second person has to approve."""
    event = msgspec.json.decode(sample(EventType.COMPLETED, EXAMPLE_URL).body)
    asked = _BODIES["resolvePayment"]
    return {
        "proposal_id": "prop_5f2c1e0b9a8d7c6b5a493827",
        "payment_id": _payment(event)["payment_id"],
        "state": "open",
        "version": asked["version"],
        "status": asked["status"],
        "proposed_by": key_actor("back-office", asked["actor"]),
        "proposed_at": event["time"],
    }


def answer_sample(operation: str, public_url: str) -> dict[str, Any]:
    """An example of the answer of this operation where all is well. Documents have none here: they are no payment's."""
    opened, completed = (sample(kind, public_url or EXAMPLE_URL) for kind in (EventType.OPENED, EventType.COMPLETED))
    first, second = (msgspec.json.decode(event.body) for event in (opened, completed))
    match operation:
        case "openPayment" | "trackPayment" | "verifyPayment":
            return _payment(first)
        case "getPayment" | "resolvePayment":
            return _payment(second)
        case "listPayments":
            found = _payment(second)
            summary = {"count": 1, "completed_count": 1, "failed_count": 0, "completed_amount": found["amount"]}
            return {"payments": [found], "next_cursor": None, "summary": summary | {"capped": False}}
        case "getTimeline":
            entries = [event_entry(event) for event in (opened, completed)]
            return {
                "entries": [
                    {"at": told["time"], "kind": entry.kind.value, **entry.data}
                    for told, entry in zip((first, second), entries, strict=True)
                ]
            }
        case "listEvents":
            return {"events": [first, second], "next": written_cursor("shop.2")}
        case "listWebhooks":
            return {"webhooks": [_WEBHOOK]}
        case "listDeliveries":
            return {"deliveries": [_DELIVERY | {"event_id": second["id"]}], "next_cursor": None}
        case "resendDelivery":
            return _DELIVERY | {"event_id": second["id"], "state": "waiting", "next_try": _TRIED, "delivered_at": None}
    raise LookupError(operation)


def _payment(event: dict[str, Any]) -> dict[str, Any]:
    payment: dict[str, Any] = event["data"]
    return payment
