"""What ShadhinPay wraps its replies in: success and errors, and amounts of two shapes. Source: S2.

The one thing to get wrong: an error under HTTP 200 is an error, and a success without its payment is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.providers import kit


def successful(body: kit.Told) -> None:
    """Raise Unreadable for an envelope that says anything but success (/conventions), whatever its HTTP status."""
    if body.get("status", "success") != "success" or body.get("errorType"):
        raise kit.Unreadable("an error is no answer, whatever its HTTP status")


def unknown_payment(received: kit.Received) -> bool:
    """RESOURCE_NOT_FOUND in the envelope of an error (/errors), as 404 or under a 200."""
    body = received.body
    in_words = body.get("status") == "error" and body.get("errorType") == "RESOURCE_NOT_FOUND"
    return in_words and (received.ok or received.status == 404)


def complaint(body: Mapping[str, Any]) -> str:
    """The message, and on validation errors what `data` says of each field (/conventions)."""
    message, data = kit.aside(body, "message"), kit.aside(body, "data")
    fields = (
        [f"{name}: {words}" for name, words in data.items() if isinstance(words, str)] if isinstance(data, dict) else []
    )
    return "; ".join([message, *fields] if isinstance(message, str) else fields)


def amount_of(payment: Mapping[str, Any]) -> tuple[object, str | None]:
    """Amount and currency: flat in S2's samples, a Money object by /conventions; both are accepted, if they agree."""
    amount, inner = figure_of(payment.get("amount"))
    outer = kit.optional_text(payment, "currency")
    if inner is not None and outer is not None and inner != outer:
        raise kit.Unreadable("two currencies for one amount")
    return amount, outer or inner


def figure_of(value: object) -> tuple[object, str | None]:
    """A figure and its currency. An object without an amount is no money, and no absent money either."""
    return (
        (value.get("amount", value), kit.optional_text(value, "currency")) if isinstance(value, dict) else (value, None)
    )
