"""ShadhinPay, the current API. Source: S2 and shadhinpay.com/docs/developers (the pages are named beside each fact).

`callbackUrl` is where the buyer's browser returns. The webhook's address is set in ShadhinPay's dashboard. In the older
API of dv.shadhinpay.com it was the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from msgspec import Struct

from consumers.providers import kit
from consumers.providers.shadhinpay_envelope import amount_of, complaint, figure_of, successful, unknown_payment
from consumers.providers.shadhinpay_list import list_payments, listed_payment

# "Payment statuses" (S2). Whether a success can still follow EXPIRED is UNKNOWN.
STATUSES: Mapping[str, kit.Status] = {
    "INITIATED": kit.Status.PENDING,  # "an internal pre-PENDING state", just after creation
    "PENDING": kit.Status.PENDING,
    "COMPLETED": kit.Status.COMPLETED,  # also after a partial refund: see refundTotal
    "FAILED": kit.Status.FAILED,
    "CANCELLED": kit.Status.CANCELLED,
    "EXPIRED": kit.Status.EXPIRED,
    "REFUNDED": kit.Status.REFUNDED,  # fully
}

# The fields of POST /payments that payproof fills (S2), and the fields that `provider_options` may add.
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
    """One ShadhinPay business. `webhook_scheme`: which text the signature covers; see `authenticate`."""

    name: ClassVar[str] = "shadhinpay"

    base_url: str
    client_id: kit.Secret
    business_id: kit.Secret
    api_key: kit.Secret
    webhook_secret: kit.Secret
    webhook_scheme: Literal["documented", "bare"] = "documented"

    @property
    def capabilities(self) -> kit.Capabilities:
        return kit.Capabilities(
            always=frozenset({kit.Id.SESSION, kit.Id.REFERENCE, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.SESSION, kit.Id.REFERENCE}),
            shows_refunds=True,
            signs=True,
            lists=True,
            wordless=True,  # nothing is documented to be added to `callbackUrl` (S2)
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        """`expiresInMinutes`: whole minutes, rounded up; 15 by default (S2)."""
        return timedelta(minutes=15 if expires_in is None else math.ceil(expires_in / 60))

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """The limits of S2 for amounts and vendors. It names no lengths."""
        return [
            *kit.field_limits.amount_between(opening, "10", "200000"),
            *kit.field_limits.seconds(opening, 60, None),
            *kit.field_limits.options_apart(opening, _SENT),
            *kit.field_limits.options_known(opening, _OPTIONS, _SENT),
            *kit.field_limits.methods(opening, _VENDORS),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /payments (S2). Opening again after a lost reply sends the same key and body, and gets the same reply.

        A key is remembered for 24 hours (/idempotency). After that the error is DUPLICATE_RESOURCE, and the checkout is
        looked up in the list.
        """
        body = _sent(opening, self.lifetime(opening.expires_in))
        headers = [*self._keys(), ("x-idempotency-key", opening.payment_id)]
        received = yield from kit.fetch(kit.post(kit.endpoint(self.base_url, "/payments"), headers, body))
        if received.ok:
            successful(received.body)
            return _opened(opening, kit.nested(received.body, "data"))
        if received.status == 409 and received.body.get("errorType") == "DUPLICATE_RESOURCE":
            return (yield from self._opened_before(opening))
        return kit.refusal(received, complaint(received.body))

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """GET /payments/{paymentId}, or the list's row with our reference where no payment id is known (S2)."""
        if expected.session_id is None:
            return _answer((yield from self._listed(expected.reference)))
        body = yield from self._get(f"/payments/{kit.segment(expected.session_id)}")
        return _answer(kit.nested(body, "data"))

    def list_payments(self, since: datetime, until: datetime) -> kit.ListExchange[kit.Inconclusive | None]:
        """GET /payments with `from` and `to` (S2), by windows of time; see shadhinpay_list.py."""
        return list_payments(self._get, _answer, since, until)

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """`X-ShadhinPay-Signature: t=<unix>,v1=<hex>` (/webhooks).

        The documentation has HMAC-SHA256 over `t=<t>.<raw body>`, with the `t=`: the scheme `documented`. The scheme
        `bare` is `<t>.<raw body>`, as other gateways with such a header do. Its tolerance for old times is UNKNOWN.
        """
        if callback.source is not kit.Source.WEBHOOK:
            return kit.Unsigned()
        parts = [part.strip().partition("=") for part in (callback.header("x-shadhinpay-signature") or "").split(",")]
        stamps = [value for name, _, value in parts if name == "t"]
        digests = [value for name, _, value in parts if name == "v1"]
        if len(stamps) != 1 or not digests:
            return kit.Forged("the signature is missing or malformed")
        (stamp,) = stamps
        signed = f"t={stamp}." if self.webhook_scheme == "documented" else f"{stamp}."
        return kit.check_signature(
            callback, secret=self.webhook_secret, before_body=signed, digests=digests, stamp=stamp
        )

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """A webhook's envelope and payload (/webhooks). Returns are not documented, so the same names are tried."""
        if callback.source is not kit.Source.WEBHOOK:
            found = kit.fields(callback, "status", "paymentid", "merchanttxnid")
            return kit.CallbackContent(
                said=kit.said_of(callback, kit.text_or_none(found, "status")),
                session_id=kit.text_or_none(found, "paymentid"),
                reference=kit.text_or_none(found, "merchanttxnid"),
            )
        event = kit.body_fields(callback, "eventid", "eventtype")
        payload = kit.aside(event, "payload")
        payload = payload if isinstance(payload, dict) else {}  # events of payouts and invoices have none of a payment
        return kit.CallbackContent(
            said=kit.said_of(callback, kit.text_or_none(payload, "status")),
            session_id=kit.text_or_none(payload, "paymentId"),
            reference=kit.text_or_none(payload, "merchantTxnId"),
            event_id=kit.text_or_none(event, "eventId"),
            event_type=kit.text_or_none(event, "eventType"),
        )

    def _get(self, path: str) -> kit.Exchange[kit.Told]:
        body = yield from kit.fetch_answer(kit.get(kit.endpoint(self.base_url, path), self._keys()), unknown_payment)
        successful(body)
        return body

    def _opened_before(self, opening: kit.Opening) -> kit.Exchange[kit.Opened | kit.ReferenceUsed]:
        """Our checkout, opened by a request whose reply was lost, if the list surely shows it; else ReferenceUsed."""
        try:
            listed = yield from self._listed(opening.reference)
            figure, _ = amount_of(listed)
            status = STATUSES.get(kit.required_text(listed, "status"))
            if kit.money(figure) == opening.amount and status is kit.Status.PENDING:
                return _opened(opening, listed)
        except kit.Unreadable:
            pass
        except kit.NoAnswer as error:
            # Other trouble is temporary. Later the list may show that the checkout is ours.
            if error.found.trouble not in (kit.Trouble.NOT_FOUND, kit.Trouble.UNREADABLE):
                raise
        return kit.ReferenceUsed()

    def _listed(self, reference: str) -> kit.Exchange[dict[str, Any]]:
        body = yield from self._get(f"/payments?merchantTxnId={kit.segment(reference)}")
        return listed_payment(body.get("data"), reference)

    def _keys(self) -> list[tuple[str, str]]:
        return [
            ("client-id", self.client_id.reveal()),
            ("business-id", self.business_id.reveal()),
            ("x-api-key", self.api_key.reveal()),
        ]


# -- what is sent and read (S2) ----------------------------------------------------------------------------------------


def _sent(opening: kit.Opening, lifetime: timedelta) -> dict[str, object]:
    wished: dict[str, object | None] = {
        "preferredVendor": _VENDORS.get((opening.method or "").lower()),
        "customerPhone": opening.customer.phone,
        "customerEmail": opening.customer.email,
        "description": opening.description or None,
    }
    return {
        "amount": kit.two_decimals(opening.amount),
        "currency": opening.currency,
        "merchantTxnId": opening.reference,
        "callbackUrl": opening.urls.back,
        "expiresInMinutes": int(lifetime / timedelta(minutes=1)),
        **kit.without_nulls(wished),
        **opening.options,
    }


def _opened(opening: kit.Opening, payment: Mapping[str, Any]) -> kit.Opened:
    kit.check_echo("merchantTxnId", opening.reference, kit.optional_text(payment, "merchantTxnId"))
    figure, currency = amount_of(payment)
    kit.check_echo("amount", opening.amount, kit.money_or_none({"amount": figure}, "amount"))
    kit.check_echo("currency", opening.currency, currency)
    return kit.Opened(
        session_id=kit.required_text(payment, "paymentId"),
        checkout_url=kit.web_address(payment.get("paymentUrl")),
        expires_at=kit.time_or_none(kit.timestamps.iso, kit.aside(payment, "expiresAt")),
    )


def _answer(payment: dict[str, Any]) -> kit.Answer:
    word = kit.required_text(payment, "status")
    status = STATUSES.get(word)
    amount, currency = amount_of(payment)
    refunded, refunded_in = figure_of(payment.get("refundTotal"))
    if refunded_in not in (None, currency):
        refunded = refunded_in  # an amount in another currency is passed on as unreadable
    money_told = kit.read_amounts(amount=amount, refunded_amount=refunded)
    if status is kit.Status.REFUNDED and not money_told.get("refunded_amount"):
        money_told["refunded_amount"] = None  # the status says all; a total of zero beside it says nothing
    session = kit.optional_text(payment, "paymentId")
    return kit.Answer(
        status=status,
        word=word,
        session_id=session,
        reference=kit.optional_text(payment, "merchantTxnId"),
        # No documented object has the TrxID of bKash or Nagad, so a paid payment's own id stands for it.
        transaction_id=session if status is not None and status.paid else None,
        currency=currency,
        method=kit.lower_or_none(payment, "vendor"),  # nothing depends on it
        paid_at=kit.time_or_none(kit.timestamps.iso, kit.aside(payment, "completedAt")),
        **money_told,
    )
