"""SSLCOMMERZ, API v4. Sources: SSL-T, its parameter tables (developer.sslcommerz.com/doc/v4); SSL-PHP, its own library.

It is asked by our reference, and answers with one element for each attempt to pay: see `sslcommerz_attempts`. Refunds
are not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct

from consumers.providers import kit
from consumers.providers.sslcommerz_attempts import STATUSES, read_attempts

__all__ = ["STATUSES", "SSLCommerz"]

# `APIConnect` other than DONE says nothing about a payment (SSL-T). These two are faults of the store or its password.
_REFUSED = ("INACTIVE", "FAILED")

_CLAIMED = {"VALID": "success", "VALIDATED": "success"}

# The mandatory fields of the create call that payproof fills (SSL-T), those that it fills with a neutral value which
# `provider_options` may replace, and those that `provider_options` may add. Airlines, travel, telecom and
# SSLCOMMERZ_LOGISTIC have mandatory fields of their own, so they are refused.
_SENT = (
    *("store_id", "store_passwd", "total_amount", "currency", "tran_id", "product_name"),
    *("success_url", "fail_url", "cancel_url", "ipn_url"),
    *("cus_name", "cus_email", "cus_phone", "cus_add1", "cus_city", "cus_postcode", "cus_country"),
)
_NEUTRAL = {
    "emi_option": "0",
    "shipping_method": "NO",
    "num_of_item": "1",
    "product_category": "general",
    "product_profile": "general",
}
_CHOICES: Mapping[str, Sequence[str]] = {
    "emi_option": ("0", "1"),
    "shipping_method": ("NO", "YES", "Courier"),
    "product_profile": ("general", "physical-goods", "non-physical-goods"),
}
_SHIPPED = ("ship_name", "ship_add1", "ship_city", "ship_postcode", "ship_country")
_LENGTHS = {"product_category": 50, "multi_card_name": 30, "allowed_bin": 255} | dict.fromkeys(
    ("value_a", "value_b", "value_c", "value_d"), 255
)
_OPTIONS = dict.fromkeys(
    (
        *(*_NEUTRAL, *_LENGTHS, *_SHIPPED, "cus_add2", "cus_state", "cus_fax"),
        *("emi_max_inst_option", "emi_selected_inst", "emi_allow_only"),
    ),
    str,
)
_CUSTOMER = {"name": 50, "email": 50, "phone": 20, "address": 50, "city": 50, "postcode": 30, "country": 50}

_DEFAULT_LIFETIME = 1800  # ours: how long a session of SSLCOMMERZ lives is UNKNOWN


class SSLCommerz(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SSLCOMMERZ store. `base_url` is the host's root: the sandbox has another host than real stores."""

    name: ClassVar[str] = "sslcommerz"

    base_url: str
    store_id: kit.Secret
    store_password: kit.Secret

    @property
    def capabilities(self) -> kit.Capabilities:
        return kit.Capabilities(
            always=frozenset({kit.Id.REFERENCE, kit.Id.TRANSACTION, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.REFERENCE}),
            shows_refunds=False,  # whether a refund changes this answer is not documented
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        return timedelta(seconds=_DEFAULT_LIFETIME if expires_in is None else expires_in)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """The limits and the mandatory fields of SSL-T. A reference has 30 characters: longer ones come back cut."""
        customer = opening.customer
        return [
            *kit.field_limits.length("reference", opening.reference, least=1, most=30),
            *kit.field_limits.amount_between(opening, "10.00", "500000.00"),
            *kit.field_limits.length("description", opening.description.strip(), least=1, most=255),
            *kit.field_limits.callback_urls(opening, 255),
            *(
                error
                for name, most in _CUSTOMER.items()
                for error in kit.field_limits.length(
                    f"customer.{name}", (getattr(customer, name) or "").strip(), least=1, most=most
                )
            ),
            *kit.field_limits.options_apart(opening, _SENT),
            *kit.field_limits.options_known(opening, _OPTIONS, _SENT),
            *_wrong_options(opening.options),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /gwprocess/v4/api.php, a form (SSL-T). The body decides: the HTTP status of FAILED is UNKNOWN."""
        customer = opening.customer
        form = {
            "store_id": self.store_id.reveal(),
            "store_passwd": self.store_password.reveal(),
            "total_amount": kit.two_decimals(opening.amount),
            "currency": opening.currency,
            "tran_id": opening.reference,
            "product_name": opening.description,
            "success_url": opening.urls.success,
            "fail_url": opening.urls.failure,
            "cancel_url": opening.urls.cancel,
            "ipn_url": opening.urls.ipn,
            "cus_name": customer.name,
            "cus_email": customer.email,
            "cus_phone": customer.phone,
            "cus_add1": customer.address,
            "cus_city": customer.city,
            "cus_postcode": customer.postcode,
            "cus_country": customer.country,
            **_NEUTRAL,
            **opening.options,
        }
        request = kit.post_form(kit.endpoint(self.base_url, "/gwprocess/v4/api.php"), kit.without_nulls(form))
        received = yield from kit.fetch(request)
        word = received.body.get("status")
        if word == "FAILED" or not received.ok:
            return kit.refusal_in(received, "failedreason")
        if word != "SUCCESS":
            return kit.unreadable("a reply that says neither SUCCESS nor FAILED")
        return kit.Opened(
            session_id=kit.required_text(received.body, "sessionkey"),
            checkout_url=kit.web_address(received.body.get("GatewayPageURL")),
        )

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """GET /validator/api/merchantTransIDvalidationAPI.php by `tran_id` (SSL-T).

        The validation by `val_id` is not used: only a return or an IPN brings one, and anyone can make one up.
        """
        url = kit.endpoint(self.base_url, "/validator/api/merchantTransIDvalidationAPI.php")
        keys = {"store_id": self.store_id, "store_passwd": self.store_password}
        request = kit.get(url, query={"tran_id": expected.reference, "format": "json"}, secret=keys)
        body = yield from kit.fetch_answer(request)
        connected = kit.required_text(body, "APIConnect")
        if connected in _REFUSED:
            return kit.Inconclusive(trouble=kit.Trouble.KEY_REFUSED, detail=f"APIConnect is {connected}")
        if connected != "DONE":
            said = connected if connected == "INVALID_REQUEST" else "neither DONE nor a refusal"
            return kit.unreadable(f"APIConnect is {said}")
        return read_attempts(body, expected.reference)

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """Always unsigned. `verify_sign` is not read: it is confirmed for no paid IPN, and may refuse true ones.

        SSL-PHP switched its own check of it off by default.
        """
        return kit.never_signed(callback, "SSLCOMMERZ")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """The form of a return or an IPN; both have the same fields (SSL-T). `val_id` is of no use to us."""
        found = kit.fields(callback, "tran_id", "status", "bank_tran_id", "val_id")
        word = kit.text_or_none(found, "status")
        return kit.CallbackContent(
            said=kit.said_of(callback, _CLAIMED.get(word or "", word)),
            session_id=kit.text_or_none(found, "sessionkey"),
            transaction_id=kit.text_or_none(found, "bank_tran_id"),
            reference=kit.text_or_none(found, "tran_id"),
        )


def _wrong_options(options: Mapping[str, object]) -> list[kit.FieldError]:
    found = []
    for name, choices in _CHOICES.items():
        if isinstance(value := options.get(name, choices[0]), str) and value not in choices:
            found.append(kit.FieldError(field=f"provider_options.{name}", message=f"known are {', '.join(choices)}"))
    for name, most in _LENGTHS.items():
        if isinstance(value := options.get(name), str):
            found += kit.field_limits.length(f"provider_options.{name}", value, most=most)
    if options.get("shipping_method") == "YES":
        missing = [name for name in _SHIPPED if not str(options.get(name) or "").strip()]
        found += [kit.FieldError(field=f"provider_options.{name}", message="shipping needs it") for name in missing]
    return found
