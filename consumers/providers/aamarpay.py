"""aamarPay. Sources: AP-1 and AP-2, aamarpay.readme.io/reference (initiate-payment-json, search-transaction).

It gives no session id, and is asked by our reference, with the account's key in the URL. Only the word for a paid
payment is published, so nothing else that it answers says how a payment ended. `opt_a` to `opt_d` come back unsigned,
and are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from msgspec import Struct

from consumers.providers import kit

# `pay_status` (AP-2). It says paid together with `status_code` "2" only. Words for any other end are UNKNOWN: they read
# as `pending`, so that a word that nobody has seen closes and holds no payment.
STATUSES: Mapping[str, kit.Status] = {"Successful": kit.Status.COMPLETED}
_PAID_CODE = "2"
_NO_WORD = "no pay_status"

# The fields of POST /jsonpost.php that payproof fills (AP-1), and those that `provider_options` may add. `cus_add2` is
# optional in AP-1 and required in aamarPay's own sample, so it is always sent.
_SENT = (
    *("store_id", "signature_key", "tran_id", "amount", "currency", "desc", "success_url", "fail_url", "cancel_url"),
    *("type", "cus_name", "cus_email", "cus_phone", "cus_add1", "cus_city", "cus_country", "cus_postcode"),
)
_OPTIONS = dict.fromkeys(("cus_add2", "cus_state", "opt_a", "opt_b", "opt_c", "opt_d"), str)
_FAULTS = ("result", "error", "message", "msg", "reason")  # `result` is the string "true" where all is well
_REQUIRED = ("name", "email", "phone", "address", "city", "country")

_DEFAULT_LIFETIME = 1800  # ours: how long a checkout of aamarPay lives is UNKNOWN


class AamarPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One aamarPay store. `base_url` is the host's root: test stores have another host than real ones."""

    name: ClassVar[str] = "aamarpay"

    base_url: str
    store_id: kit.Secret
    signature_key: kit.Secret

    @property
    def capabilities(self) -> kit.Capabilities:
        return kit.Capabilities(
            always=frozenset({kit.Id.REFERENCE, kit.Id.TRANSACTION, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.REFERENCE}),
            shows_refunds=False,
            tells_unknown=False,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        return timedelta(seconds=_DEFAULT_LIFETIME if expires_in is None else expires_in)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """The length of `tran_id` and the fields that AP-1 requires. It names no smallest and no greatest amount."""
        return [
            *kit.field_limits.length("reference", opening.reference, least=1, most=32),
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.length("description", opening.description, least=1, most=255),
            *kit.field_limits.customer_given(opening, _REQUIRED),
            *kit.field_limits.options_apart(opening, _SENT),
            *kit.field_limits.options_known(opening, _OPTIONS, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /jsonpost.php (AP-1). An error has HTTP 200 and no fixed shape: a reply without `payment_url`."""
        customer = opening.customer
        body = {
            "store_id": self.store_id.reveal(),
            "signature_key": self.signature_key.reveal(),
            "tran_id": opening.reference,
            "amount": kit.two_decimals(opening.amount),
            "currency": opening.currency,
            "desc": opening.description,
            "success_url": opening.urls.success,
            "fail_url": opening.urls.failure,
            "cancel_url": opening.urls.cancel,
            "type": "json",
            "cus_name": customer.name,
            "cus_email": customer.email,
            "cus_phone": customer.phone,
            "cus_add1": customer.address,
            "cus_add2": customer.city,
            "cus_city": customer.city,
            "cus_country": customer.country,
            "cus_postcode": customer.postcode,
            **opening.options,
        }
        request = kit.post(kit.endpoint(self.base_url, "/jsonpost.php"), (), kit.without_nulls(body))
        received = yield from kit.fetch(request, kit.only_object)
        address = received.body.get("payment_url")
        if address in (None, ""):
            return _no_checkout(received)
        # A path alone belongs to the host that was called (3P): the host of real stores would take real money.
        return kit.Opened(checkout_url=kit.web_address(address, beside=request.url))

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """GET /api/v1/trxcheck/request.php (AP-2). Its form of "not found" is UNKNOWN, so no reply means that."""
        received = yield from self._search(expected.reference)
        return _answer(received.body, expected) if received.ok else kit.no_answer(received)

    @kit.exchange
    def prove(self) -> kit.Exchange[kit.Proof]:
        """Search for a payment of nobody. A refused key and an unknown payment may look alike: both are UNKNOWN."""
        yield from self._search(kit.NOBODYS_PAYMENT)
        return kit.Proof(verdict="unknown", words="aamarPay documents no reply that tells a refused key from others")

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """Always unsigned: aamarPay's IPN page says that it is signed, and does not say how."""
        return kit.never_signed(callback, "aamarPay")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """The form of a return or an IPN. A return by `cancel_url` brings nothing: our own path says it."""
        found = kit.fields(callback, "mer_txnid", "pg_txnid", "pay_status", "status_code")
        return kit.CallbackContent(
            said=kit.said_of(callback, kit.text_or_none(found, "pay_status")),
            reference=kit.text_or_none(found, "mer_txnid"),
        )

    def _search(self, reference: str) -> kit.Exchange[kit.Received]:
        url = kit.endpoint(self.base_url, "/api/v1/trxcheck/request.php")
        keys = {"store_id": self.store_id, "signature_key": self.signature_key}
        request = kit.get(url, query={"request_id": reference, "type": "json"}, secret=keys)
        return (yield from kit.fetch(request, _object_or_nothing))


# -- what is read ------------------------------------------------------------------------------------------------------


def _no_checkout(received: kit.Received) -> kit.OpeningOutcome:
    """Refused where the reply has a text, which names the fault: under a usual name, a name we sent, or any other."""
    texts = [kit.aside(received.body, name) for name in (*_FAULTS, *_SENT)]
    others = (kit.aside(received.body, name) for name in received.body)
    texts += [text for text in others if isinstance(text, str) and text.isprintable()]
    plain = [text for text in texts if isinstance(text, str) and not isinstance(text, kit.Number)]
    words = [text for text in plain if text.lower() not in ("", "true", "false")]
    if not words or str(texts[0]).lower() == "true":
        return kit.unreadable(f"HTTP {received.status} without payment_url")
    return kit.refused(*words)


def _object_or_nothing(reply: kit.HttpReply) -> kit.Told | kit.Inconclusive:
    """Its object. Empty where the body has nothing in it: users take that for its "not found"."""
    return kit.Told() if reply.body.strip() in (b"[]", b"null") else kit.only_object(reply)


def _answer(body: kit.Told, expected: kit.Expected) -> kit.Answer | kit.Inconclusive:
    """Paid by `pay_status` and `status_code` together; anything else about our payment is pending.

    Without a word and without our reference it says nothing, which may be all that aamarPay says before anyone paid.
    Raises Unreadable for a word without our reference.
    """
    word = kit.optional_text(body, "pay_status") or _NO_WORD
    paid = word in STATUSES and kit.optional_text(body, "status_code") == _PAID_CODE
    reference = kit.optional_text(body, "mer_txnid")
    if not paid and reference is None:
        if word == _NO_WORD:
            return kit.undocumented("a reply without pay_status and mer_txnid")
        raise kit.Unreadable("a reply without mer_txnid is not about a payment")
    amount, currency = _sent_amount(body, expected)
    return kit.Answer(
        status=STATUSES[word] if paid else kit.Status.PENDING,
        word=word,
        reference=reference,
        transaction_id=kit.optional_text(body, "pg_txnid") if paid else None,
        currency=currency,
        method=kit.lower_or_none(body, "payment_type"),
        paid_at=_paid_at(body) if paid else None,
        **kit.read_amounts(amount=amount),
    )


def _sent_amount(body: kit.Told, expected: kit.Expected) -> tuple[object, str | None]:
    """The amount and the currency that the merchant sent.

    `amount` and `amount_currency` have that figure, in `currency` and `currency_merchant`; which of them differs after
    a conversion is UNKNOWN. So a figure or a currency that is not ours counts. A zero is no figure.
    """
    first = (body.get("amount"), kit.optional_text(body, "currency"))
    second = (body.get("amount_currency"), kit.optional_text(body, "currency_merchant") or first[1])
    told = [first] if kit.read_amounts(amount=second[0]).get("amount") in (None, 0) else [first, second]
    return next((pair for pair in told if not _is_ours(pair, expected)), first)


def _is_ours(told: tuple[object, str | None], expected: kit.Expected) -> bool:
    amount, currency = told
    return kit.read_amounts(amount=amount).get("amount") == expected.amount and currency == expected.currency


def _paid_at(body: Mapping[str, Any]) -> Any:
    """`date_processed`, else `date`, without a zone (AP-2)."""
    times = (kit.aside(body, name) for name in ("date_processed", "date"))
    return next((at for at in (kit.time_or_none(kit.timestamps.iso_or_dhaka, time) for time in times) if at), None)
