"""The requests of shops: the bodies of the API's POSTs and the queries of its lists, as tables of fields.

A request is read by the same table that `/openapi.json` shows. It is read to its end, so that a shop that sends three
wrong fields is told of all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from schemas.fields import (
    Address,
    Amount,
    Anything,
    Kind,
    Moment,
    Strings,
    Text,
    TypedEvidence,
    Wait,
    Whole,
    Word,
    words,
)
from schemas.wire import Number, Unreadable
from schemas.words import Hold, Status

LONGEST_LIFE = 30 * 86_400
LONGEST_NAME = 100
DEFAULT_PAGE = 50
DEFAULT_EVENTS = 100
LONGEST_WAIT = 60
NEWEST = "newest"
"""In place of a cursor of the log: begin after its newest event."""


class Wrong(Struct, frozen=True):
    """One thing wrong with a request. `field` is a path such as `customer.email`; empty for the body as a whole."""

    field: str
    message: str


class Field(Struct, frozen=True, kw_only=True):
    """One field of a request. `name`: its name there. A field that is not `required` may be absent."""

    name: str
    kind: Kind | Shape
    required: bool = False


class Shape(Struct, frozen=True):
    """An object with these fields and no others. `name` is that of its schema in the published documents."""

    fields: tuple[Field, ...]
    name: str = ""

    def read(self, value: Any, wrong: list[Wrong], path: str = "") -> dict[str, Any]:
        """Returns the sound fields by name. Every error is added to `wrong`, with the path of its field."""
        if not isinstance(value, dict):
            wrong.append(Wrong(path, "must be an object" if path else "the body must be a JSON object"))
            return {}
        known = {one.name for one in self.fields}
        before = f"{path}." if path else ""
        wrong += [
            Wrong(before + name[:LONGEST_NAME], "is no field of this request") for name in value if name not in known
        ]
        found = {}
        for one in self.fields:
            if one.name not in value:
                wrong += [Wrong(before + one.name, "is missing")] if one.required else []
                continue
            if isinstance(one.kind, Shape):
                found[one.name] = one.kind.read(value[one.name], wrong, before + one.name)
                continue
            try:
                found[one.name] = one.kind.read(value[one.name])
            except Unreadable as error:
                wrong.append(Wrong(before + one.name, str(error)))
        return found

    def read_query(self, pairs: Iterable[tuple[str, str]], wrong: list[Wrong]) -> dict[str, Any]:
        """The same for a query, whose values are all text. A name that stands twice is an error."""
        kinds = {one.name: one.kind for one in self.fields}
        found: dict[str, str] = {}
        for name, text in pairs:
            if name in found:
                wrong.append(Wrong(name[:LONGEST_NAME], "stands twice"))
            found[name] = Number(text) if isinstance(kinds.get(name), Whole) else text
        return self.read(found, wrong)

    def schema(self, ref: Callable[[str], str] | None = None) -> dict[str, Any]:
        """The object's JSON Schema. With `ref`, shapes within it are references: `ref` gives the place of a name."""
        required = [one.name for one in self.fields if one.required]
        return {
            **({"title": self.name} if self.name else {}),
            "type": "object",
            "properties": {one.name: _shown(one.kind, ref) for one in self.fields},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def schemas(self, ref: Callable[[str], str]) -> dict[str, Any]:
        """The schemas of this shape and of those within it, by name."""
        found = {self.name: self.schema(ref)}
        for one in self.fields:
            if isinstance(one.kind, Shape):
                found |= one.kind.schemas(ref)
        return found


def _shown(kind: Kind | Shape, ref: Callable[[str], str] | None) -> dict[str, Any]:
    if not isinstance(kind, Shape):
        return kind.schema()
    return kind.schema() if ref is None else {"$ref": ref(kind.name)}


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
