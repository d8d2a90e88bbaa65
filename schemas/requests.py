"""The requests of shops: the bodies of the API's POSTs and the queries of its lists, as tables of fields."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from schemas.fields import Address, Amount, Anything, Moment, Strings, Text, Wait, Whole, Word, words
from schemas.request_shape import Field, Shape
from schemas.typed_evidence import TypedEvidence
from schemas.words import Hold, Status

LONGEST_LIFE = 30 * 86_400
DEFAULT_PAGE = 50
DEFAULT_EVENTS = 100
LONGEST_WAIT = 60
NEWEST = "newest"
"""In place of a cursor of the log: begin after its newest event."""


class PaymentRequest(Struct, frozen=True, kw_only=True):
    """POST /v1/payments, or /v1/payments/track, which has a `session_id` and may do without the shop's URLs.

    `customer` has the fields of consumers.ports.openings.Customer; personal data.
    """

    account: str
    reference: str
    amount: Decimal
    currency: str
    description: str = ""
    return_url: str | None = None
    failure_url: str | None = None
    cancel_url: str | None = None
    session_id: str | None = None
    order: str | None = None
    expires_in: int | None = None
    method: str | None = None
    customer: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    provider_options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"PaymentRequest({self.account} {self.reference})"


class ListQuery(Struct, frozen=True, kw_only=True):
    """GET /v1/payments. `hold` is a reason, `any` or `none`; `since` (`from`) is inclusive, `until` (`to`) is not.

    `q` is any id of a payment, in any case: see worker/postgres/reads/find.py. The other ids are compared exactly.
    """

    status: str | None = None
    provider: str | None = None
    account: str | None = None
    reference: str | None = None
    order: str | None = None
    hold: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    amount_min: Decimal | None = None
    amount_max: Decimal | None = None
    limit: int = DEFAULT_PAGE
    cursor: str | None = None
    transaction_id: str | None = None
    session_id: str | None = None
    q: str | None = None


_ID = Text(most=40, pattern=r"[a-z0-9][a-z0-9-]{0,39}", says="an account's id")
_MERCHANT = Text(most=40, pattern=r"[a-z0-9][a-z0-9-]{0,39}", says="a merchant's id")
_REFERENCE = Text(most=50, pattern=r"[A-Za-z0-9._~-]{1,50}", says="of the letters A-Z and a-z, digits and . _ ~ -")
_ORDER = Text(most=100)
_GATEWAY_ID = Text(most=200, pattern=r"[!-~]{1,200}", says="of printable ASCII without spaces")
_DESCRIPTION = Text(most=255)
_METADATA = Strings(entries=50, key=40, value=500)
_LIFE = Whole(1, LONGEST_LIFE)
_CURSOR = Text(most=200, pattern=r"[A-Za-z0-9_-]{1,200}", says="a cursor as it was given out")
_CUSTOMER = tuple(
    Field(name=name, kind=Text(most=255, least=0))
    for name in ("name", "email", "phone", "address", "city", "postcode", "country")
)
_WHAT = (
    Field(name="account", kind=_ID, required=True),
    Field(name="reference", kind=_REFERENCE, required=True),
    Field(name="amount", kind=Amount(), required=True),
    Field(name="currency", kind=Word(("BDT",)), required=True),
)
_SHOP_URLS = (Field(name="failure_url", kind=Address()), Field(name="cancel_url", kind=Address()))

NEW_PAYMENT = Shape(
    (
        *_WHAT,
        Field(name="description", kind=_DESCRIPTION, required=True),
        Field(name="return_url", kind=Address(), required=True),
        *_SHOP_URLS,
        Field(name="order", kind=_ORDER),
        Field(name="expires_in", kind=_LIFE),
        Field(name="method", kind=Text(most=50)),
        Field(name="customer", kind=Shape(_CUSTOMER, "Customer")),
        Field(name="metadata", kind=_METADATA),
        Field(name="provider_options", kind=Anything(8 * 1024)),
    ),
    "NewPayment",
)
TRACKED_PAYMENT = Shape(
    (
        *_WHAT,
        Field(name="session_id", kind=_GATEWAY_ID, required=True),
        Field(name="order", kind=_ORDER),
        Field(name="description", kind=_DESCRIPTION),
        Field(name="return_url", kind=Address()),
        *_SHOP_URLS,
        Field(name="metadata", kind=_METADATA),
        Field(name="expires_in", kind=_LIFE),
    ),
    "TrackedPayment",
)
EXPECTED_PAYMENT = Shape(
    (Field(name="merchant", kind=_MERCHANT, required=True), *TRACKED_PAYMENT.fields), "ExpectedPayment"
)
"""The message that a shop publishes to `payproof.expected`: the body of POST /v1/payments/track, and the merchant."""
RESOLUTION = Shape(
    (
        Field(name="status", kind=words(Status), required=True),
        Field(name="actor", kind=Text(most=100), required=True),
        Field(name="reason", kind=Text(most=500, lines=True), required=True),
        Field(name="transaction_id", kind=_GATEWAY_ID),
        Field(name="evidence", kind=TypedEvidence(most=4000, least=0, lines=True)),
        Field(name="version", kind=Whole(0, 2**31 - 1)),
    ),
    "Resolution",
)
DELIVERIES_QUERY = Shape(
    (
        Field(name="state", kind=Word(("waiting", "given_up"))),
        Field(name="limit", kind=Whole(1, 100)),
        Field(name="cursor", kind=_CURSOR),
    )
)
EVENTS_QUERY = Shape(
    (
        Field(name="after", kind=_CURSOR),
        Field(name="limit", kind=Whole(1, 1000)),
        Field(name="wait", kind=Wait(LONGEST_WAIT)),
    )
)


def list_query(providers: Iterable[str]) -> Shape:
    """The filters of GET /v1/payments, which are combined with AND."""
    return Shape(
        (
            Field(name="status", kind=words(Status)),
            Field(name="provider", kind=Word(tuple(providers))),
            Field(name="account", kind=_ID),
            Field(name="reference", kind=_REFERENCE),
            Field(name="order", kind=_ORDER),
            Field(name="hold", kind=Word((*(hold.value for hold in Hold), "any", "none"))),
            Field(name="from", kind=Moment()),
            Field(name="to", kind=Moment()),
            Field(name="amount_min", kind=Amount(above_zero=False)),
            Field(name="amount_max", kind=Amount(above_zero=False)),
            Field(name="limit", kind=Whole(1, 100)),
            Field(name="cursor", kind=_CURSOR),
            Field(name="transaction_id", kind=_GATEWAY_ID),
            Field(name="session_id", kind=_GATEWAY_ID),
            Field(name="q", kind=Text(most=200)),
        )
    )
