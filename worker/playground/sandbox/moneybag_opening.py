"""Moneybag's opening: the fields that it takes, and their limits."""

from __future__ import annotations

import re
from typing import Any

from worker.playground.sandbox import request_fields

CUSTOMER = ("name", "email", "address", "city", "postcode", "country", "phone")
KNOWN = frozenset(
    {
        "order_id",
        "currency",
        "order_amount",
        "order_description",
        "success_url",
        "cancel_url",
        "fail_url",
        "ipn_url",
        "customer",
        "shipping",
        "order_items",
        "payment_info",
        "metadata",
        "checkout_source",
    }
)


def checked_amount(body: dict[str, Any]) -> str:
    """The amount of a valid request. Raises WrongField."""
    request_fields.field_text(body, "order_id", least=10, most=30)
    currency = request_fields.field_text(body, "currency")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise request_fields.WrongField("currency", "currency must match ^[A-Z]{3}$")
    if not re.fullmatch(r"[0-9]+\.[0-9]{2}", request_fields.field_text(body, "order_amount")):
        raise request_fields.WrongField("order_amount", "order_amount must be a string with exactly 2 decimal places")
    request_fields.field_text(body, "order_description", most=255)
    for name in ("success_url", "cancel_url", "fail_url", *(("ipn_url",) if "ipn_url" in body else ())):
        request_fields.link(body, name, most=255)
    _check_customer(body.get("customer"))
    return request_fields.amount(body["order_amount"], "order_amount", least="10.00", most="500000.00")


def _check_customer(customer: object) -> None:
    if not isinstance(customer, dict):
        raise request_fields.WrongField("customer", "customer is required")
    for name in CUSTOMER:
        try:
            request_fields.field_text(customer, name)
        except request_fields.WrongField as wrong:
            raise request_fields.WrongField(f"customer.{name}", f"customer.{wrong.message}") from None
