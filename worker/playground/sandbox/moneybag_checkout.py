"""Moneybag's checkout request, field by field, as strict as both of its sources together."""

from __future__ import annotations

import re
from typing import Any

from worker.playground.sandbox import fields

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
    """The amount of a request in which all is well. Raises fields.Wrong."""
    fields.text(body, "order_id", least=10, most=30)
    currency = fields.text(body, "currency")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise fields.Wrong("currency", "currency must match ^[A-Z]{3}$")
    if not re.fullmatch(r"[0-9]+\.[0-9]{2}", fields.text(body, "order_amount")):
        raise fields.Wrong("order_amount", "order_amount must be a string with exactly 2 decimal places")
    fields.text(body, "order_description", most=255)
    for name in ("success_url", "cancel_url", "fail_url", *(("ipn_url",) if "ipn_url" in body else ())):
        fields.link(body, name, most=255)
    _check_customer(body.get("customer"))
    return fields.amount(body["order_amount"], "order_amount", least="10.00", most="500000.00")


def _check_customer(customer: object) -> None:
    if not isinstance(customer, dict):
        raise fields.Wrong("customer", "customer is required")
    for name in CUSTOMER:
        try:
            fields.text(customer, name)
        except fields.Wrong as wrong:
            raise fields.Wrong(f"customer.{name}", f"customer.{wrong.message}") from None
