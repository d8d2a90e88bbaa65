"""Moneybag, API v2. Source: S3, docs.moneybag.com.bd; OA is the newer OpenAPI of fitl-com-bd/moneybag-skills.

It is asked by its own transaction id, which only a redirect, IPN or webhook brings, and any sender can make one up. So
an answer counts for a payment only if it echoes that payment's `order_id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import asdict

from consumers.providers import kit
from consumers.providers.moneybag_envelope import data_of, error_words, unknown_transaction

# "Payment Status Values" (S3). OA types `status` as a free string.
STATUSES: Mapping[str, kit.Status] = {
    "SUCCESS": kit.Status.COMPLETED,  # with `verified` true only; without, it is pending
    "FAILED": kit.Status.FAILED,
    "PENDING": kit.Status.PENDING,
    "CANCELLED": kit.Status.CANCELLED,
    "EXPIRED": kit.Status.EXPIRED,
    "REFUNDED": kit.Status.REFUNDED,  # partial refunds: UNKNOWN
}

# The fields of POST /payments/checkout that payproof fills (S3), and the fields that `provider_options` may add. It may
# replace payment_info. OA refuses a request with any other top-level field; checkout_source is in OA only.
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
_OPTIONS = dict.fromkeys(("shipping", "order_items", "metadata", "payment_info", "checkout_source"), object)

_METHODS = ("card", "mobile_banking")

# The field names that are read in a callback, in lower case.
_TRANSACTION = ("transaction_id", "payment_transaction_id")
_REFERENCE = ("order_id", "reference")
_NAMES = (*_TRANSACTION, *_REFERENCE, "status", "event_id", "id", "event_type", "type", "data", "payload")


class Moneybag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Moneybag merchant. `webhook_secret` is the whole string that the portal shows, with `whsec_`."""

    name: ClassVar[str] = "moneybag"

    base_url: str
    api_key: kit.Secret
    webhook_secret: kit.Secret

    @property
    def capabilities(self) -> kit.Capabilities:
        return kit.Capabilities(
            always=frozenset({kit.Id.REFERENCE, kit.Id.TRANSACTION, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.TRANSACTION}),
            candidates=kit.Id.TRANSACTION,
            shows_refunds=True,
            signs=True,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:  # noqa: ARG002
        """Half an hour in all of Moneybag's public demo transactions; nothing in the request changes it."""
        return timedelta(minutes=30)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """The limits that S3 and OA both accept, and every customer field ("All customer fields are required", S3)."""
        customer = asdict(opening.customer)
        missing = [name for name, value in customer.items() if not (value or "").strip()]
        return [
            *kit.field_limits.length("reference", opening.reference, least=10, most=30),
            *kit.field_limits.amount_between(opening, "10.00", "500000.00"),
            *kit.field_limits.length("description", opening.description, least=1, most=255),
            *kit.field_limits.callback_urls(opening, 255),
            *kit.field_limits.options_apart(opening, _SENT),
            *kit.field_limits.methods(opening, _METHODS),
            *(kit.FieldError(field=f"customer.{name}", message="this gateway requires it") for name in missing),
            *kit.field_limits.options_known(opening, _OPTIONS, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /payments/checkout (S3). 409, "duplicate transaction ID", says that our `order_id` was used."""
        received = yield from kit.fetch(kit.post(self._url("/payments/checkout"), self._keys(), _sent(opening)))
        if received.ok:
            return _opened(received.body)
        if received.status == 409:
            return kit.ReferenceUsed()
        words = error_words(received.body)
        return kit.refused(words) if words is not None else kit.unreadable(f"HTTP {received.status} without a word")

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:
        """GET /payments/verify/{transaction_id} (S3). An unknown or expired id brings an error, not a status (OA)."""
        asked = question.transaction_id
        if asked is None:
            return kit.not_found("no transaction of this payment is known that could be asked for")
        received = yield from kit.fetch(kit.get(self._url(f"/payments/verify/{kit.segment(asked)}"), self._keys()))
        if received.ok:
            return _answer(asked, expected, received.body)
        return kit.ForeignTransaction(why="not_found") if unknown_transaction(received) else kit.no_answer(received)

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """`X-Webhook-Signature: sha256=<hex>` over `<X-Webhook-Timestamp>.<raw body>` (moneybag-skills, signing.md).

        It does not state whether the key includes `whsec_`; other clients use the whole string.
        """
        if callback.source is not kit.Source.WEBHOOK:
            return kit.Unsigned()
        signature, stamp = callback.header("x-webhook-signature"), callback.header("x-webhook-timestamp")
        if signature is None or stamp is None:
            return kit.Forged("the signature or its timestamp is missing")
        if not signature.startswith("sha256="):
            return kit.Forged("the signature is no sha256=<hex>")
        digest = signature.removeprefix("sha256=")
        return kit.check_signature(
            callback, secret=self.webhook_secret, before_body=f"{stamp}.", digests=[digest], stamp=stamp
        )

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """The webhook's body is UNKNOWN, so the names of S3's redirects and of other receivers are tried.

        An IPN brings "the webhook payload" (S3), or its fields by query or form. A webhook's query and its other
        headers (`X-Webhook-Event-Id`, `-Type`) are not signed, so they are not read. An IPN's event id is not read
        either: anyone can send it, and it must not make a later signed webhook a repetition.
        """
        webhook = callback.source is kit.Source.WEBHOOK
        read = kit.body_fields if webhook else kit.fields
        found = kit.folded(read(callback, *_NAMES).items())
        event_type = kit.text_or_none(found, "event_type", "type")
        inner = (kit.aside(found, name) for name in ("data", "payload"))
        places = [*(kit.folded(one.items()) for one in inner if isinstance(one, dict)), found]
        return kit.CallbackContent(
            said=_said(callback, event_type, _first(places, "status")),
            transaction_id=_first(places, *_TRANSACTION),
            reference=_first(places, *_REFERENCE),
            event_id=kit.text_or_none(found, "event_id", "id") if webhook else None,
            event_type=event_type,
        )

    def _url(self, path: str) -> str:
        return kit.endpoint(self.base_url, path)

    def _keys(self) -> list[tuple[str, str]]:
        return [("x-merchant-api-key", self.api_key.reveal())]


# -- what is sent and read (S3) ----------------------------------------------------------------------------------------


def _sent(opening: kit.Opening) -> dict[str, Any]:
    methods = [opening.method.lower()] if opening.method else list(_METHODS)
    fields = {
        "order_id": opening.reference,
        "currency": opening.currency,
        "order_amount": kit.two_decimals(opening.amount),
        "order_description": opening.description,
        "success_url": opening.urls.success,
        "cancel_url": opening.urls.cancel,
        "fail_url": opening.urls.failure,
        "ipn_url": opening.urls.ipn,
        "customer": asdict(opening.customer),
        "payment_info": {"allowed_payment_methods": methods},
        **opening.options,
    }
    # An optional field that is null brings an HTTP 500 (moneybag-plugin-whmcs, CHANGELOG).
    sent: dict[str, Any] = kit.without_nulls(fields)
    return sent


def _opened(body: Mapping[str, Any]) -> kit.Opened:
    data = data_of(body)
    return kit.Opened(
        session_id=kit.required_text(data, "session_id"),
        checkout_url=kit.web_address(data.get("checkout_url")),
        expires_at=kit.time_or_none(kit.timestamps.iso_or_dhaka, kit.aside(data, "expires_at")),
    )


def _answer(asked: str, expected: kit.Expected, body: Mapping[str, Any]) -> kit.Answer | kit.ForeignTransaction:
    """The answer about the transaction `asked`; a ForeignTransaction where its `order_id` is another payment's.

    Raises Unreadable where the reply echoes another transaction id.
    """
    data = data_of(body)
    transaction = kit.required_text(data, "transaction_id")
    if transaction != asked:
        raise kit.Unreadable("the reply is about another transaction than the one asked for")
    reference = kit.required_text(data, "order_id")  # required: it says whose payment this is
    if not kit.may_be_ours(reference, expected.reference):
        return kit.ForeignTransaction(why="other_payment")
    word = kit.required_text(data, "status")
    status = STATUSES.get(word)
    if status is kit.Status.COMPLETED and data.get("verified") is not True:
        status = kit.Status.PENDING
    return kit.Answer(
        status=status,
        word=word,
        reference=reference,
        transaction_id=transaction,
        currency=kit.optional_text(data, "currency"),
        fee=_fee(kit.aside(data, "charge_amount")),
        method=kit.lower_or_none(data, "payment_method"),
        # In older documentation only.
        paid_at=kit.time_or_none(kit.timestamps.iso_or_dhaka, kit.aside(data, "paid_at")),
        **kit.read_amounts(amount=data.get("amount")),
    )


def _fee(value: object) -> Decimal | None:
    """`charge_amount`, "0.0750" in S3; None where it is unreadable, because nothing depends on a fee."""
    try:
        return kit.money(value, places=4)
    except kit.Unreadable:
        return None


def _said(callback: kit.Callback, event_type: str | None, status: str | None) -> kit.Said | None:
    """The outcome by `payment.success`, `.succeeded`, `.failed`, `.cancelled`, else by the status. Not for refunds."""
    category, _, word = (event_type or "payment.").partition(".")
    if category != "payment":
        return kit.said_of(callback)
    return kit.said_of(callback, word) or kit.said_of(callback, status)


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> str | None:
    return next((value for place in places if (value := kit.text_or_none(place, *names)) is not None), None)
