"""The fields of SSLCOMMERZ's create call, with the limits of its tables."""

from __future__ import annotations

from collections.abc import Mapping

from worker.playground.sandbox import request_fields

MANDATORY = {
    "tran_id": 30,
    "product_category": 50,
    "cus_name": 50,
    "cus_email": 50,
    "cus_add1": 50,
    "cus_city": 50,
    "cus_country": 50,
    "cus_phone": 20,
    "shipping_method": 50,
    "product_name": 255,
    "product_profile": 50,
}
OPTIONAL = {"ipn_url": 255, "cus_postcode": 30, "value_a": 255, "value_b": 255, "value_c": 255, "value_d": 255}
URLS = {"pay": "success_url", "fail": "fail_url", "cancel": "cancel_url", "walk_away": "cancel_url"}


def read_opening(form: Mapping[str, str]) -> tuple[str, str]:
    """The amount and the currency of a create call. Raises WrongField."""
    for name, most in MANDATORY.items():
        request_fields.field_text(form, name, most=most)
    for name, most in OPTIONAL.items():
        request_fields.optional_field_text(form, name, most=most)
    for name in set(URLS.values()):
        request_fields.link(form, name, most=255)
    currency = request_fields.field_text(form, "currency", least=3, most=3)
    amount = request_fields.amount(form.get("total_amount"), "total_amount", least="10.00", most="500000.00")
    return amount, currency
