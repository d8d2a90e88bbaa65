"""The envelope of ShadhinPay's replies: success and errors, and amounts in two shapes. Source: S2.

An error under HTTP 200 is an error. A success without a payment is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.providers import kit


def successful(body: kit.Told) -> None:
    """Check that an envelope says success (/conventions), whatever its HTTP status. Raises Unreadable."""
    if body.get("status", "success") != "success" or body.get("errorType"):
        raise kit.Unreadable("an error is no answer, whatever its HTTP status")


def unknown_payment(received: kit.Received) -> bool:
    """Whether it is RESOURCE_NOT_FOUND in the envelope of an error (/errors), with HTTP 404 or 2xx."""
    body = received.body
    in_words = body.get("status") == "error" and body.get("errorType") == "RESOURCE_NOT_FOUND"
    return in_words and (received.ok or received.status == 404)


def complaint(body: Mapping[str, Any]) -> str:
    """The message of an error, and for a validation error the words of each field in `data` (/conventions)."""
    message, data = kit.aside(body, "message"), kit.aside(body, "data")
    fields = (
        [f"{name}: {words}" for name, words in data.items() if isinstance(words, str)] if isinstance(data, dict) else []
    )
    return "; ".join([message, *fields] if isinstance(message, str) else fields)


def amount_of(payment: Mapping[str, Any]) -> tuple[object, str | None]:
    """Amount and currency: flat in S2's samples, a Money object in /conventions. Raises Unreadable if both disagree."""
    amount, inner = figure_of(payment.get("amount"))
    outer = kit.optional_text(payment, "currency")
    if inner is not None and outer is not None and inner != outer:
        raise kit.Unreadable("two currencies for one amount")
    return amount, outer or inner


def figure_of(value: object) -> tuple[object, str | None]:
    """An amount and its currency. An object without an amount is returned itself, so that it reads as no money."""
    return (
        (value.get("amount", value), kit.optional_text(value, "currency")) if isinstance(value, dict) else (value, None)
    )
