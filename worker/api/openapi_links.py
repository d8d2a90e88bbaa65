"""The `links` of `/openapi.json`: which operation takes what an answer gave, and where it stands in the answer."""

from __future__ import annotations

from typing import Any

_PAYMENT = "$response.body#/payment_id"
_OF_A_PAYMENT = {
    "showPayment": ("getPayment", "The payment, as it stands later."),
    "showTimeline": ("getTimeline", "What is known about it, in order."),
    "askGateway": ("verifyPayment", "Have the gateway asked at once."),
    "resolve": ("resolvePayment", "Decide on it, where it is held."),
}
_ASKED = {"showPayment": _OF_A_PAYMENT["showPayment"], "showTimeline": _OF_A_PAYMENT["showTimeline"]}
_FROM_ITSELF = {name: link for name, link in _OF_A_PAYMENT.items() if name != "showPayment"}
_PAYMENTS = {"openPayment": _OF_A_PAYMENT, "trackPayment": _OF_A_PAYMENT, "getPayment": _FROM_ITSELF}
_ANSWERED = {"verifyPayment": _ASKED, "resolvePayment": _ASKED}
_PAGES = {
    "listPayments": ("nextPage", "listPayments", "cursor", "next_cursor", "The next page, with the same filters."),
    "listEvents": ("nextEvents", "listEvents", "after", "next", "The events after these; ask for it later again."),
    "listDeliveries": ("nextPage", "listDeliveries", "cursor", "next_cursor", "The next page, with the same filters."),
    "listWebhooks": ("showDeliveries", "listDeliveries", "webhook_id", "webhooks/0/id", "What this endpoint was sent."),
}
_SAME_ENDPOINT = {"webhook_id": "$request.path.webhook_id"}


def links(operation: str) -> dict[str, Any]:
    """The links of an operation's answer by their names; empty where it gives nothing to go on with."""
    if operation in _PAGES:
        name, other, parameter, place, about = _PAGES[operation]
        given = {parameter: f"$response.body#/{place}"}
        if operation == "listDeliveries":
            given |= _SAME_ENDPOINT
        return {name: {"operationId": other, "parameters": given, "description": about}}
    if operation == "resendDelivery":
        return {
            "showDeliveries": {
                "operationId": "listDeliveries",
                "parameters": _SAME_ENDPOINT,
                "description": "What became of it.",
            }
        }
    found = (_PAYMENTS | _ANSWERED).get(operation, {})
    return {
        name: {"operationId": other, "parameters": {"payment_id": _PAYMENT}, "description": about}
        for name, (other, about) in found.items()
    }
