"""What `/openapi.json` and `/docs` say about the fields of requests: of bodies by their name, of queries by theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.requests import LONGEST_WAIT

_WHAT = {
    "account": "Which of your accounts at a gateway, as the operator named it.",
    "reference": "Your name for this attempt, never used before on this account. The gateway is given it too.",
    "amount": "Decimal text with at most two decimals, never a number.",
    "currency": "ISO 4217.",
    "order": "Groups the attempts of one order: a second paid attempt is held as `duplicate_for_order`.",
    "failure_url": "Where the buyer goes after a failure; without it to `return_url`.",
    "cancel_url": "Where the buyer goes after cancelling; without it to `return_url`.",
    "expires_in": "Seconds that the buyer has to pay, where the gateway lets the shop choose.",
    "metadata": "Yours. Every event has it again.",
}
_PAGE = {
    "limit": "At most so many in one answer.",
    "cursor": "The `next_cursor` of the page before.",
}
_SHAPES: Mapping[str, Mapping[str, str]] = {
    "NewPayment": _WHAT
    | {
        "description": "The text that the buyer reads at the gateway.",
        "return_url": "Where the buyer's browser goes in the end.",
        "method": "The way of paying that the buyer chose, in the gateway's own word.",
        "customer": "Passed on to the gateway; some gateways need parts of it.",
        "provider_options": "Further fields for the gateway's own request.",
    },
    "TrackedPayment": _WHAT
    | {
        "session_id": "The gateway's id of the checkout that you opened.",
        "description": "Your own note.",
        "return_url": "Where the buyer's browser goes when it comes back through us.",
    },
    "Customer": {
        "name": "The buyer's name.",
        "email": "The buyer's email address.",
        "phone": "The buyer's phone number.",
        "address": "Street and house.",
        "city": "The town.",
        "postcode": "The postcode.",
        "country": "The country, as the gateway writes it.",
    },
    "Resolution": {
        "status": "What the payment is to be: its present status or a higher one.",
        "actor": "Who decides.",
        "reason": "Why, in words for those who read it later.",
        "transaction_id": "The gateway's transaction, where it is paid.",
        "evidence": "What the person saw, such as the text of the gateway's panel.",
        "version": "The version of the payment that the person looked at; 409 where it changed since.",
    },
}
_QUERIES: Mapping[str, Mapping[str, str]] = {
    "listPayments": _PAGE
    | {
        "status": "Payments of this status.",
        "provider": "Payments at this gateway.",
        "account": "Payments of this account of yours.",
        "reference": "The payment with this reference.",
        "order": "All attempts of this order.",
        "hold": "Payments with this hold; `any` for all that are held, `none` for all that are not.",
        "from": "Opened at this time or later.",
        "to": "Opened before this time.",
        "amount_min": "Of this amount or more.",
        "amount_max": "Of this amount or less.",
        "transaction_id": "The payment with this id of the gateway's transaction.",
        "session_id": "The payment with this id of the gateway's checkout.",
        "q": "Any id of a payment, in any case.",
    },
    "listEvents": {
        "after": "The `next` of the answer before. `newest` begins after the newest event; without `after` the oldest "
        "comes first.",
        "limit": "At most so many in one answer; 100 without it.",
        "wait": f"Where there is no news yet, wait for it so long, such as `25s`; at most {LONGEST_WAIT}s.",
    },
    "listDeliveries": _PAGE | {"state": "Only those that wait, or only those that were given up."},
}
VARIABLES: Mapping[str, str] = {
    "payment_id": "The payment's id.",
    "webhook_id": "The endpoint's id, as `listWebhooks` shows it.",
    "event_id": "The event's id.",
}


def with_words(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a request's body, by its name, with a description of each field that has none of its own."""
    words = _SHAPES.get(name, {})
    properties = {
        field: {"description": words[field], **shape} if field in words else shape
        for field, shape in schema["properties"].items()
    }
    return schema | {"properties": properties}


def words_of_parameter(operation: str, name: str) -> str | None:
    return _QUERIES.get(operation, {}).get(name)
