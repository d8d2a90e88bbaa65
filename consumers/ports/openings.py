"""A checkout to open at a gateway, and the outcomes of opening it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field

from schemas.answers import Inconclusive


class Customer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The buyer, as the shop describes them. Personal data: only for the database and the gateway's request."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    city: str | None = None
    postcode: str | None = None
    country: str | None = None

    def __repr__(self) -> str:
        return "Customer(***)"


class CallbackUrls(Struct, frozen=True, kw_only=True):
    """Our URLs for the buyer's return and for notifications. Each has the payment's id in its path."""

    back: str
    success: str
    failure: str
    cancel: str
    ipn: str


class Opening(Struct, frozen=True, kw_only=True):
    """A checkout to open. `expires_in` is in seconds. `options` are added to the gateway's request as they are."""

    payment_id: str
    reference: str
    amount: Decimal
    currency: str
    description: str
    urls: CallbackUrls
    expires_in: int | None = None
    method: str | None = None
    customer: Customer = field(default_factory=Customer)
    options: Mapping[str, object] = field(default_factory=dict)


class FieldError(Struct, frozen=True, kw_only=True):
    """One error in a request, found before the gateway is called. `field` is a path such as `customer.email`."""

    field: str
    message: str


class Opened(Struct, frozen=True, kw_only=True):
    """The checkout exists. `session_id` is None where the gateway gives none. `expires_at`: where the gateway says so.

    Such a gateway is asked by our reference, or by a candidate that a callback brings.
    """

    session_id: str | None = None
    checkout_url: str
    expires_at: datetime | None = None


class OpeningRefused(Struct, frozen=True, kw_only=True):
    """The gateway refuses to open the checkout. `message` is its reason, in its words, of at most 200 characters."""

    message: str


class ReferenceUsed(Struct, frozen=True):
    """The gateway says that the reference is used already."""


OpeningOutcome = Opened | OpeningRefused | ReferenceUsed | Inconclusive
