"""ShadhinPay, the current API. Source: S2 and shadhinpay.com/docs/developers (the pages are named beside each fact).

The one thing to get wrong: `callbackUrl` is where the buyer's browser returns, not where webhooks go; the webhook's
address is set in ShadhinPay's dashboard. (In the older API of dv.shadhinpay.com it was the other way round.)
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from msgspec import Struct

from consumers.ports.gateway import (
    Capabilities,
    Effect,
    EffectReply,
    FieldError,
    Forged,
    ListedLines,
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
    echoed_money,
    exchange,
    fetch,
    fetch_answer,
    figures,
    nested,
    optional_text,
    refusal,
    same,
    text,
    unreadable,
    web_address,
)
from consumers.providers.kit.said import said
from consumers.providers.kit.signatures import check_signature
from consumers.providers.kit.timestamps import iso, known
from consumers.providers.shadhinpay_list import list_payments, listed_rows
from schemas.answers import Answer, Expected, Inconclusive, Question, QuestionOutcome, Trouble
from schemas.callbacks import Callback, CallbackContent
from schemas.secret import Secret
from schemas.wire import Told, Unreadable, aside, money
from schemas.words import Id, MoneyField, Source, Status

# "Payment statuses" (S2). Whether a success can still follow EXPIRED is UNKNOWN.
STATUSES: Mapping[str, Status] = {
    "INITIATED": Status.PENDING,  # "an internal pre-PENDING state", just after creation
    "PENDING": Status.PENDING,
    "COMPLETED": Status.COMPLETED,  # also after a partial refund: see refundTotal
    "FAILED": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
    "EXPIRED": Status.EXPIRED,
    "REFUNDED": Status.REFUNDED,  # fully
}

# The fields of POST /payments that payproof fills (S2), and those that it leaves to `provider_options`.
_SENT = (
    "amount",
    "currency",
    "merchantTxnId",
    "callbackUrl",
    "preferredVendor",
    "customerPhone",
    "customerEmail",
    "description",
    "expiresInMinutes",
)
_OPTIONS: Mapping[str, type] = {"valueA": str, "valueB": str, "valueC": str, "valueD": str, "isSandbox": bool}

_VENDORS = {"bkash": "BKASH", "nagad": "NAGAD"}


class ShadhinPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ShadhinPay business. `webhook_scheme` is what the signature covers; see `authenticate`."""

    name: ClassVar[str] = "shadhinpay"

    base_url: str
    client_id: Secret
    business_id: Secret
    api_key: Secret
    webhook_secret: Secret
    webhook_scheme: Literal["documented", "bare"] = "documented"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            always=frozenset({Id.SESSION, Id.REFERENCE, MoneyField.AMOUNT, MoneyField.CURRENCY}),
            asked_by=frozenset({Id.SESSION, Id.REFERENCE}),
            shows_refunds=True,
            signs=True,
            lists=True,
            wordless=True,  # nothing is documented to be added to `callbackUrl` (S2)
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        """`expiresInMinutes`, whole minutes, 15 where nothing is wished (S2)."""
        return timedelta(minutes=15 if expires_in is None else math.ceil(expires_in / 60))

    def check(self, opening: Opening) -> list[FieldError]:
        """Amounts and vendors as S2 gives them. It names no lengths."""
        found = [
            *field_limits.amount_between(opening, "10", "200000"),
            *field_limits.seconds(opening, 60, None),
            *field_limits.options_apart(opening, _SENT),
            *field_limits.options_known(opening, _OPTIONS, _SENT),
        ]
        if opening.method is not None and opening.method.lower() not in _VENDORS:
            found.append(FieldError(field="method", message="this gateway takes bkash or nagad"))
        return found

    @exchange
    def open(self, opening: Opening) -> Generator[Effect, EffectReply, OpeningOutcome]:
        """POST /payments (S2). Opening again after a lost reply sends the same key and body, and replays the reply.

        A key is remembered for 24 hours (/idempotency). After that the reference is a DUPLICATE_RESOURCE, and the
        checkout that exists is found in the list.
        """
        body = _sent(opening, self.lifetime(opening.expires_in))
        headers = [*self._keys(), ("x-idempotency-key", opening.payment_id)]
        received = yield from fetch(post(endpoint(self.base_url, "/payments"), headers, body))
        if isinstance(received, Inconclusive):
            return received
        if received.ok:
            _successful(received.body)
            return _opened(opening, nested(received.body, "data"))
        if received.status == 409 and received.body.get("errorType") == "DUPLICATE_RESOURCE":
            listed = yield from self._listed(opening.reference)
            return _opened_before(opening, listed)
        return refusal(received, _complaint(received.body))

    @exchange
    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, QuestionOutcome]:  # noqa: ARG002
        """GET /payments/{paymentId}, or the list's row with our own reference where no payment id is known (S2)."""
        if expected.session_id is None:
            listed = yield from self._listed(expected.reference)
            return listed if isinstance(listed, Inconclusive) else _answer(listed)
        body = yield from self._get(f"/payments/{segment(expected.session_id)}")
        return body if isinstance(body, Inconclusive) else _answer(nested(body, "data"))

    def list_payments(
        self, since: datetime, until: datetime
    ) -> Generator[Effect | ListedLines, EffectReply | None, Inconclusive | None]:
        """GET /payments with `from` and `to` (S2), by windows of time; see shadhinpay_list."""
        return list_payments(self._get, _answer, since, until)

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged:
        """`X-ShadhinPay-Signature: t=<unix>,v1=<hex>` (/webhooks).

        Its text has HMAC-SHA256 over `t=<t>.<raw body>`, the `t=` included, which is the scheme `documented`; `bare` is
        `<t>.<raw body>`, as others with such a header do. Its tolerance for old times is UNKNOWN.
        """
        if callback.source is not Source.WEBHOOK:
            return Unsigned()
        parts = [part.strip().partition("=") for part in (callback.header("x-shadhinpay-signature") or "").split(",")]
        stamps = [value for name, _, value in parts if name == "t"]
        digests = [value for name, _, value in parts if name == "v1"]
        if len(stamps) != 1 or not digests:
            return Forged("the signature is missing or malformed")
        prefix = "t=" if self.webhook_scheme == "documented" else ""
        return check_signature(
            secret=self.webhook_secret,
            message=f"{prefix}{stamps[0]}.".encode("utf-8", "replace") + callback.body,
            given=digests,
            stamp=stamps[0],
            received_at=callback.received_at,
        )

    def read_claim(self, callback: Callback) -> CallbackContent:
        """A webhook's envelope and payload (/webhooks). Of a return nothing is documented: the same names are tried."""
        if callback.source is not Source.WEBHOOK:
            found = callbacks.fields(callback, "status", "paymentid", "merchanttxnid")
            return CallbackContent(
                said=said(callback, callbacks.text_or_none(found, "status")),
                session_id=callbacks.text_or_none(found, "paymentid"),
                reference=callbacks.text_or_none(found, "merchanttxnid"),
            )
        event = callbacks.body_fields(callback, "eventid", "eventtype")
        payload = aside(event, "payload")
        payload = payload if isinstance(payload, dict) else {}  # events of payouts and invoices are no payments
        return CallbackContent(
            said=said(callback, callbacks.text_or_none(payload, "status")),
            session_id=callbacks.text_or_none(payload, "paymentId"),
            reference=callbacks.text_or_none(payload, "merchantTxnId"),
            event_id=callbacks.text_or_none(event, "eventId"),
            event_type=callbacks.text_or_none(event, "eventType"),
        )

    @exchange
    def _get(self, path: str) -> Generator[Effect, EffectReply, Told | Inconclusive]:
        body = yield from fetch_answer(get(endpoint(self.base_url, path), self._keys()), _unknown)
        if not isinstance(body, Inconclusive):
            _successful(body)
        return body

    @exchange
    def _listed(self, reference: str) -> Generator[Effect, EffectReply, dict[str, Any] | Inconclusive]:
        """The one payment of the list whose reference is exactly ours; whether the filter matches parts is UNKNOWN.

        A list without it proves nothing: the row may come later, or stand on another page.
        """
        body = yield from self._get(f"/payments?merchantTxnId={segment(reference)}")
        if isinstance(body, Inconclusive):
            return body
        ours = [row for row in listed_rows(body.get("data")) if aside(row, "merchantTxnId") == reference]
        if len(ours) > 1:
            return unreadable("the list has two payments with our reference, which is unique there")
        return ours[0] if ours else unreadable("the list does not show it, which proves nothing")

    def _keys(self) -> list[tuple[str, str]]:
        return [
            ("client-id", self.client_id.reveal()),
            ("business-id", self.business_id.reveal()),
            ("x-api-key", self.api_key.reveal()),
        ]


# -- what is sent and read (S2) ----------------------------------------------------------------------------------------


def _sent(opening: Opening, lifetime: timedelta) -> dict[str, object]:
    wished: dict[str, object | None] = {
        "preferredVendor": _VENDORS.get((opening.method or "").lower()),
        "customerPhone": opening.customer.phone,
        "customerEmail": opening.customer.email,
        "description": opening.description or None,
    }
    return {
        "amount": two_decimals(opening.amount),
        "currency": opening.currency,
        "merchantTxnId": opening.reference,
        "callbackUrl": opening.urls.back,
        "expiresInMinutes": int(lifetime / timedelta(minutes=1)),
        **{name: value for name, value in wished.items() if value is not None},
        **opening.options,
    }


def _opened(opening: Opening, payment: Mapping[str, Any]) -> Opened:
    same("merchantTxnId", opening.reference, optional_text(payment, "merchantTxnId"))
    figure, currency = _sum(payment)
    same("amount", opening.amount, echoed_money({"amount": figure}, "amount"))
    same("currency", opening.currency, currency)
    return Opened(
        session_id=text(payment, "paymentId"),
        checkout_url=web_address(payment.get("paymentUrl")),
        expires_at=known(iso, aside(payment, "expiresAt")),
    )


def _successful(body: Told) -> None:
    """Raise Unreadable for an envelope that says anything but success (/conventions), whatever its HTTP status."""
    if body.get("status", "success") != "success" or body.get("errorType"):
        raise Unreadable("an error is no answer, whatever its HTTP status")


def _unknown(received: Received) -> bool:
    """RESOURCE_NOT_FOUND in the envelope of an error (/errors), as 404 or under a 200."""
    body = received.body
    in_words = body.get("status") == "error" and body.get("errorType") == "RESOURCE_NOT_FOUND"
    return in_words and (received.ok or received.status == 404)


def _opened_before(opening: Opening, listed: dict[str, Any] | Inconclusive) -> Opened | ReferenceUsed | Inconclusive:
    """Our own checkout, opened by a request whose reply was lost; anything less certain is a used reference."""
    if isinstance(listed, Inconclusive):
        # What the list says does not show that it is ours. Other trouble passes, and then it may turn out to be.
        return ReferenceUsed() if listed.trouble in (Trouble.NOT_FOUND, Trouble.UNREADABLE) else listed
    try:
        figure, _ = _sum(listed)
        if money(figure) == opening.amount and STATUSES.get(text(listed, "status")) is Status.PENDING:
            return _opened(opening, listed)
    except Unreadable:
        pass
    return ReferenceUsed()


def _answer(payment: dict[str, Any]) -> Answer:
    word = text(payment, "status")
    status = STATUSES.get(word)
    amount, currency = _sum(payment)
    refunded, refunded_in = _figure(payment.get("refundTotal"))
    if refunded_in not in (None, currency):
        refunded = refunded_in  # a figure in another currency is none, and is told as one that cannot be read
    money_told = figures(amount=amount, refunded_amount=refunded)
    if status is Status.REFUNDED and not money_told.get("refunded_amount"):
        money_told["refunded_amount"] = None  # fully refunded by its status; a total of nothing beside it is no figure
    session = optional_text(payment, "paymentId")
    return Answer(
        status=status,
        word=word,
        session_id=session,
        reference=optional_text(payment, "merchantTxnId"),
        # The TrxID of bKash or Nagad is in no documented object; a paid payment's own id stands for its money.
        transaction_id=session if status is not None and status.paid else None,
        currency=currency,
        method=(callbacks.text_or_none(payment, "vendor") or "").lower()
        or None,  # decides nothing, so it spoils no answer
        paid_at=known(iso, aside(payment, "completedAt")),
        **money_told,
    )


def _sum(payment: Mapping[str, Any]) -> tuple[object, str | None]:
    """Amount and currency: flat in S2's samples, a Money object by /conventions; both are accepted, if they agree."""
    amount, inner = _figure(payment.get("amount"))
    outer = optional_text(payment, "currency")
    if inner is not None and outer is not None and inner != outer:
        raise Unreadable("two currencies for one amount")
    return amount, outer or inner


def _figure(value: object) -> tuple[object, str | None]:
    """A figure and its currency. An object without an amount is no money, and no absent money either."""
    return (value.get("amount", value), optional_text(value, "currency")) if isinstance(value, dict) else (value, None)


def _complaint(body: Mapping[str, Any]) -> str:
    """The message, and on validation errors what `data` says of each field (/conventions)."""
    message, data = aside(body, "message"), aside(body, "data")
    fields = (
        [f"{name}: {words}" for name, words in data.items() if isinstance(words, str)] if isinstance(data, dict) else []
    )
    return "; ".join([message, *fields] if isinstance(message, str) else fields)
