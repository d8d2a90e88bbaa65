"""Moneybag, API v2. Source: S3, docs.moneybag.com.bd; OA is the newer OpenAPI of fitl-com-bd/moneybag-skills.

The one thing to get wrong: it is asked by its own transaction id, which only a redirect, IPN or webhook brings, and
anybody can send those. So an answer counts for a payment only when it echoes that payment's `order_id`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import asdict

from consumers.ports.gateway import (
    Capabilities,
    Effect,
    EffectReply,
    FieldError,
    Forged,
    Opened,
    Opening,
    OpeningOutcome,
    ReferenceUsed,
    Signed,
    Unsigned,
)
from consumers.providers.kit import callback_fields as callbacks
from consumers.providers.kit import field_limits
from consumers.providers.kit.outgoing import endpoint, get, post, segment, two_decimals
from consumers.providers.kit.replies import (
    Received,
    exchange,
    fetch,
    figures,
    nested,
    no_answer,
    not_found,
    optional_text,
    refused,
    text,
    unreadable,
    web_address,
)
from consumers.providers.kit.said import said
from consumers.providers.kit.signatures import check_signature
from consumers.providers.kit.timestamps import iso_or_dhaka, known
from schemas.answers import Answer, Expected, ForeignTransaction, Inconclusive, Question, QuestionOutcome
from schemas.callbacks import Callback, CallbackContent
from schemas.secret import Secret
from schemas.wire import Unreadable, aside, money, whole
from schemas.words import Id, MoneyField, Said, Source, Status

# "Payment Status Values" (S3). OA types `status` as a free string.
STATUSES: Mapping[str, Status] = {
    "SUCCESS": Status.COMPLETED,  # with `verified` true only; without, it is pending
    "FAILED": Status.FAILED,
    "PENDING": Status.PENDING,
    "CANCELLED": Status.CANCELLED,
    "EXPIRED": Status.EXPIRED,
    "REFUNDED": Status.REFUNDED,  # partial refunds: UNKNOWN
}

# The fields of POST /payments/checkout that payproof fills (S3), and those that `provider_options` may add or, for
# payment_info, replace. OA refuses a request with any other top-level field; checkout_source is in OA only.
_SENT = (
    "order_id",
    "currency",
    "order_amount",
    "order_description",
    "success_url",
    "cancel_url",
    "fail_url",
    "ipn_url",
    "customer",
)
_OPTIONS = ("shipping", "order_items", "metadata", "payment_info", "checkout_source")

_METHODS = ("card", "mobile_banking")

# The names that are read in a callback, in lower case.
_TRANSACTION = ("transaction_id", "payment_transaction_id")
_REFERENCE = ("order_id", "reference")
_NAMES = (*_TRANSACTION, *_REFERENCE, "status", "event_id", "id", "event_type", "type", "data", "payload")


class Moneybag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Moneybag merchant. `webhook_secret` is the whole string the portal shows, `whsec_` included."""

    name: ClassVar[str] = "moneybag"

    base_url: str
    api_key: Secret
    webhook_secret: Secret

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            always=frozenset({Id.REFERENCE, Id.TRANSACTION, MoneyField.AMOUNT, MoneyField.CURRENCY}),
            asked_by=frozenset({Id.TRANSACTION}),
            shows_refunds=True,
            signs=True,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:  # noqa: ARG002
        """Half an hour in all of Moneybag's public demo transactions; nothing in the request changes it."""
        return timedelta(minutes=30)

    def check(self, opening: Opening) -> list[FieldError]:
        """The limits that S3 and OA both accept, and every customer field ("All customer fields are required", S3)."""
        found = [
            *field_limits.length("reference", opening.reference, least=10, most=30),
            *field_limits.amount_between(opening, "10.00", "500000.00"),
            *field_limits.length("description", opening.description, least=1, most=255),
            *field_limits.callback_urls(opening, 255),
            *field_limits.options_apart(opening, _SENT),
        ]
        if opening.method is not None and opening.method.lower() not in _METHODS:
            found.append(FieldError(field="method", message=f"this gateway takes {' or '.join(_METHODS)}"))
        missing = [name for name, value in asdict(opening.customer).items() if not (value or "").strip()]
        strange = [key for key in opening.options if key not in _OPTIONS and key.lower() not in _SENT]
        return [
            *found,
            *(FieldError(field=f"customer.{name}", message="this gateway requires it") for name in missing),
            *(
                FieldError(field=f"provider_options.{key}", message=f"known are {', '.join(_OPTIONS)}")
                for key in strange
            ),
        ]

    @exchange
    def open(self, opening: Opening) -> Generator[Effect, EffectReply, OpeningOutcome]:
        """POST /payments/checkout (S3). 409 is a "duplicate transaction ID", which is our `order_id`."""
        received = yield from fetch(post(self._url("/payments/checkout"), self._keys(), _sent(opening)))
        if isinstance(received, Inconclusive):
            return received
        if received.ok:
            return _opened(received.body)
        if received.status == 409:
            return ReferenceUsed()
        words = _error(received.body)
        return refused(words) if words is not None else unreadable(f"HTTP {received.status} without a word")

    @exchange
    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, QuestionOutcome]:
        """GET /payments/verify/{transaction_id} (S3). An unknown or expired id brings an error, not a status (OA)."""
        asked = question.transaction_id
        if asked is None:
            return not_found("no transaction of this payment is known that could be asked for")
        received = yield from fetch(get(self._url(f"/payments/verify/{segment(asked)}"), self._keys()))
        if isinstance(received, Inconclusive):
            return received
        if received.ok:
            return _answer(asked, expected, received.body)
        return ForeignTransaction(why="not_found") if _unknown(received) else no_answer(received)

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged:
        """`X-Webhook-Signature: sha256=<hex>` over `<X-Webhook-Timestamp>.<raw body>` (moneybag-skills, signing.md).

        Whether the key is all of `whsec_…` is not stated there; those who use it take all of it.
        """
        if callback.source is not Source.WEBHOOK:
            return Unsigned()
        signature, stamp = callback.header("x-webhook-signature"), callback.header("x-webhook-timestamp")
        if signature is None or stamp is None:
            return Forged("the signature or its timestamp is missing")
        if not signature.startswith("sha256="):
            return Forged("the signature is no sha256=<hex>")
        return check_signature(
            secret=self.webhook_secret,
            message=stamp.encode("utf-8", "replace") + b"." + callback.body,
            given=[signature.removeprefix("sha256=")],
            stamp=stamp,
            received_at=callback.received_at,
        )

    def read_claim(self, callback: Callback) -> CallbackContent:
        """The webhook's body is UNKNOWN; these names are those of S3's redirects and of receivers seen in the wild.

        An IPN brings "the webhook payload" (S3), or its fields by query or form. A webhook's query and its other
        headers (`X-Webhook-Event-Id`, `-Type`) are not under the signature, so they are not read; an IPN's event id is
        nobody's word, and must not use up the id of a webhook still to come.
        """
        webhook = callback.source is Source.WEBHOOK
        read = callbacks.body_fields if webhook else callbacks.fields
        found = callbacks.folded(read(callback, *_NAMES).items())
        event_type = callbacks.text_or_none(found, "event_type", "type")
        inner = (aside(found, name) for name in ("data", "payload"))
        places = [*(callbacks.folded(one.items()) for one in inner if isinstance(one, dict)), found]
        return CallbackContent(
            said=_said(callback, event_type, _first(places, "status")),
            transaction_id=_first(places, *_TRANSACTION),
            reference=_first(places, *_REFERENCE),
            event_id=callbacks.text_or_none(found, "event_id", "id") if webhook else None,
            event_type=event_type,
        )

    def _url(self, path: str) -> str:
        return endpoint(self.base_url, path)

    def _keys(self) -> list[tuple[str, str]]:
        return [("x-merchant-api-key", self.api_key.reveal())]


# -- what is sent and read (S3) ----------------------------------------------------------------------------------------


def _sent(opening: Opening) -> dict[str, Any]:
    methods = [opening.method.lower()] if opening.method else list(_METHODS)
    fields = {
        "order_id": opening.reference,
        "currency": opening.currency,
        "order_amount": two_decimals(opening.amount),
        "order_description": opening.description,
        "success_url": opening.urls.success,
        "cancel_url": opening.urls.cancel,
        "fail_url": opening.urls.failure,
        "ipn_url": opening.urls.ipn,
        "customer": asdict(opening.customer),
        "payment_info": {"allowed_payment_methods": methods},
        **opening.options,
    }
    sent: dict[str, Any] = _without_nulls(fields)
    return sent


def _without_nulls(value: Any) -> Any:
    """An optional field that is null brings an HTTP 500 (moneybag-plugin-whmcs, CHANGELOG)."""
    match value:
        case Mapping():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [_without_nulls(item) for item in value if item is not None]
        case _:
            return value


def _opened(body: Mapping[str, Any]) -> Opened:
    data = _data(body)
    return Opened(
        session_id=text(data, "session_id"),
        checkout_url=web_address(data.get("checkout_url")),
        expires_at=known(iso_or_dhaka, aside(data, "expires_at")),
    )


def _answer(asked: str, expected: Expected, body: Mapping[str, Any]) -> Answer | ForeignTransaction:
    """Only a reply that echoes the id asked says whose that transaction is.

    A reference that is ours but for its case or its outer blanks is no other payment's: it is for the fold to judge.
    """
    data = _data(body)
    transaction = text(data, "transaction_id")
    if transaction != asked:
        raise Unreadable("the reply is about another transaction than the one asked for")
    reference = text(data, "order_id")  # without it, nothing says whose payment this is
    if reference.strip().casefold() != expected.reference.strip().casefold():
        return ForeignTransaction(why="other_payment")
    word = text(data, "status")
    status = STATUSES.get(word)
    if status is Status.COMPLETED and data.get("verified") is not True:
        status = Status.PENDING
    return Answer(
        status=status,
        word=word,
        reference=reference,
        transaction_id=transaction,
        currency=optional_text(data, "currency"),
        fee=_fee(aside(data, "charge_amount")),
        method=(callbacks.text_or_none(data, "payment_method") or "").lower() or None,
        paid_at=known(iso_or_dhaka, aside(data, "paid_at")),  # in older documentation only
        **figures(amount=data.get("amount")),
    )


def _data(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object under `data`; OA's types allow a list as well, of which one of a single object is taken.

    An envelope says in three places how the call went (S3): `success`, `error` and `meta.status_code`.
    """
    code = None if body.get("meta") is None else nested(body, "meta").get("status_code")
    went_well = code is None or whole(code) in range(200, 300)
    if body.get("success", True) is not True or body.get("error") or not went_well:
        raise Unreadable("an error is no answer, whatever its HTTP status")
    data = body.get("data")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise Unreadable("data is missing or no single object")
    return data


def _fee(value: object) -> Decimal | None:
    """`charge_amount`, "0.0750" in S3. A fee decides nothing, so one that cannot be read spoils no answer."""
    try:
        return money(value, places=4)
    except Unreadable:
        return None


def _unknown(received: Received) -> bool:
    """Whether the gateway itself says that it does not know the id, and nobody on the way to it.

    S3's envelope of errors, whole; or OA's validation error about the id, which then cannot be one. FastAPI's own
    `{"detail": "Not Found"}` is none: a deployment says that of a path that is not there yet.
    """
    body = received.body
    if received.status in (400, 404):
        error = body.get("error")
        return (
            body.get("success") is False
            and isinstance(error, dict)
            and callbacks.text_or_none(error, "code") is not None
        )
    detail = body.get("detail") if received.status == 422 else None
    places = [one.get("loc") for one in detail if isinstance(one, dict)] if isinstance(detail, list) else []
    return any(isinstance(place, list) and "transaction_id" in place for place in places)


def _error(body: Mapping[str, Any]) -> str | None:
    """The words of an error: S3's `error`, FastAPI's `detail` (OA), or a bare `message` beside `success` false."""
    error, detail = aside(body, "error"), aside(body, "detail")
    if aside(body, "success") is False and error is None and detail is None:
        return callbacks.text_or_none(body, "message", longest=2000) or ""
    if isinstance(error, dict):
        return callbacks.text_or_none(error, "message", "code", longest=2000) or ""
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = aside(detail[0], "loc")
        where = ".".join(str(part) for part in place if isinstance(part, str)) if isinstance(place, list) else ""
        return f"{where}: {callbacks.text_or_none(detail[0], 'msg', longest=2000) or 'refused'}".removeprefix(": ")
    return str(detail) if isinstance(detail, str) else None


def _said(callback: Callback, event_type: str | None, status: str | None) -> Said | None:
    """`payment.success`, `.succeeded`, `.failed`, `.cancelled`, else the status; a refund's success is no payment's."""
    category, _, word = (event_type or "payment.").partition(".")
    if category != "payment":
        return said(callback)
    return said(callback, word) or said(callback, status)


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> str | None:
    return next((value for place in places if (value := callbacks.text_or_none(place, *names)) is not None), None)
