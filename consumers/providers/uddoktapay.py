"""UddoktaPay, on the shop's own server. Sources: UP-OLD, uddoktapay.readme.io; UP-NEW, github.com/uddoktapay/docs.

Creating a payment gives no id. Its `invoice_id` comes with the buyer's return and with the webhook, and it is all that
UddoktaPay can be asked by. Any sender can bring another order's invoice. So an answer counts for a payment only if it
echoes that payment's reference, which was sent as `metadata.reference`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from msgspec import Struct

from consumers.providers import kit

# The words of verify-payment (UP-OLD). `ERROR` is no status: see `ask`. How a refund is told is UNKNOWN.
STATUSES: Mapping[str, kit.Status] = {
    "COMPLETED": kit.Status.COMPLETED,
    "PENDING": kit.Status.PENDING,  # may turn after days: by an SMS that is found late, or by an administrator (UP-NEW)
}

# The fields of POST /checkout-v2 that payproof fills (UP-OLD), and the field that `provider_options` may add.
_SENT = ("full_name", "email", "amount", "metadata", "redirect_url", "cancel_url", "webhook_url")
_OPTIONS: Mapping[str, type] = {"return_type": str}

_DEFAULT_LIFETIME = 1800  # ours: UddoktaPay names no end of a checkout

_KEY = "rt-uddoktapay-api-key"


class UddoktaPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One brand of an installation. `base_url` ends in `/api`."""

    name: ClassVar[str] = "uddoktapay"

    base_url: str
    api_key: kit.Secret

    @property
    def capabilities(self) -> kit.Capabilities:
        return kit.Capabilities(
            always=frozenset({kit.Id.SESSION, kit.Id.REFERENCE, kit.MoneyField.AMOUNT}),
            asked_by=frozenset({kit.Id.SESSION}),
            shows_refunds=False,
            candidates=kit.Id.SESSION,
            unknown_expires=False,
            secret_headers=frozenset({_KEY}),
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        return timedelta(seconds=_DEFAULT_LIFETIME if expires_in is None else expires_in)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """`full_name` and `email` are required (UP-OLD). There is no currency in an answer, so only BDT is opened."""
        return [
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.options_apart(opening, _SENT),
            *kit.field_limits.options_known(opening, _OPTIONS, _SENT),
            *kit.field_limits.customer_given(opening, ("name", "email")),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /checkout-v2 (UP-OLD). The reply has a link and no id."""
        body = {
            "full_name": opening.customer.name,
            "email": opening.customer.email,
            "amount": kit.two_decimals(opening.amount),
            "metadata": {"reference": opening.reference},
            "redirect_url": opening.urls.success,
            "return_type": "GET",
            "cancel_url": opening.urls.cancel,
            "webhook_url": opening.urls.ipn,
            **opening.options,
        }
        received = yield from kit.fetch(kit.post(kit.endpoint(self.base_url, "/checkout-v2"), self._keys(), body))
        if not received.ok or received.body.get("status") is False:
            return kit.refusal_in(received, "message")
        if received.body.get("status") is not True:
            raise kit.Unreadable("status is neither true nor false")
        return kit.Opened(checkout_url=kit.web_address(received.body.get("payment_url")))

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:
        """POST /verify-payment (UP-OLD).

        `ERROR` means that the invoice is not known yet. It may be known later, so it proves nothing about the payment.
        """
        asked = question.session_id
        if asked is None:
            return kit.not_found("no invoice of this payment is known that could be asked for")
        received = yield from self._verify(asked)
        if received.body.get("status") == "ERROR":
            return kit.ForeignTransaction(why="not_found")
        return _answer(asked, expected, received.body) if received.ok else kit.no_answer(received)

    @kit.exchange
    def prove(self) -> kit.Exchange[kit.Proof]:
        """Ask about an invoice of nobody. How a wrong key is refused is UNKNOWN, so `ERROR` may mean that too."""
        yield from self._verify(kit.NOBODYS_PAYMENT)
        words = "UddoktaPay documents no reply that tells a refused key from an unknown invoice"
        return kit.Proof(verdict="unknown", words=words)

    def authenticate(self, callback: kit.Callback) -> kit.Unsigned | kit.Forged:
        """A webhook carries the API key itself (UP-OLD). Its content is not signed, so it is a hint all the same."""
        if callback.source is kit.Source.RETURN:
            return kit.Unsigned()
        given = (callback.header(_KEY) or "").encode("utf-8", "replace")
        right = hmac.compare_digest(given, self.api_key.reveal().encode())
        return kit.Unsigned() if right else kit.Forged("the API key is missing or wrong")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """`invoice_id`, by GET or POST; a webhook has the fields of verify-payment beside it (UP-OLD)."""
        found = kit.fields(callback, "invoice_id", "status", "metadata")
        metadata = kit.aside(found, "metadata")
        return kit.CallbackContent(
            said=kit.said_of(callback, kit.text_or_none(found, "status")),
            session_id=kit.text_or_none(found, "invoice_id"),
            reference=kit.text_or_none(metadata, "reference") if isinstance(metadata, dict) else None,
        )

    def _verify(self, invoice: str) -> kit.Exchange[kit.Received]:
        url = kit.endpoint(self.base_url, "/verify-payment")
        return (yield from kit.fetch(kit.post(url, self._keys(), {"invoice_id": invoice})))

    def _keys(self) -> list[tuple[str, str]]:
        return [(_KEY, self.api_key.reveal())]


def _answer(asked: str, expected: kit.Expected, body: Mapping[str, Any]) -> kit.Answer | kit.ForeignTransaction:
    """The answer about the invoice `asked`; a ForeignTransaction where its reference is another payment's.

    Raises Unreadable where the reply is about another invoice or has no reference: it may be our payment's, and a
    person has to look.
    """
    word, invoice = kit.required_text(body, "status"), kit.required_text(body, "invoice_id")
    if invoice != asked:
        raise kit.Unreadable("the reply is about another invoice than the one asked for")
    reference = kit.required_text(kit.nested(body, "metadata"), "reference")
    if not kit.may_be_ours(reference, expected.reference):
        return kit.ForeignTransaction(why="other_payment")
    return kit.Answer(
        status=STATUSES.get(word),
        word=word,
        session_id=invoice,
        reference=reference,
        transaction_id=kit.optional_text(body, "transaction_id"),
        fee=kit.money_or_none(body, "fee"),
        method=kit.lower_or_none(body, "payment_method"),
        paid_at=kit.time_or_none(kit.timestamps.iso_or_dhaka, kit.aside(body, "date")),
        # `charged_amount` is what the buyer paid with the fee, and is never compared.
        **kit.read_amounts(amount=body.get("amount")),
    )
