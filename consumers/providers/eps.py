"""EPS, Easy Payment System. Sources: EPS-OFF, its own samples; EPS-OBS, a payment observed in its sandbox.

EPS publishes no reference of its API, and neither of the sources shows an unpaid payment. So a word that is not listed
is pending, and a reply that does not echo our reference is no answer.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from hashlib import sha512
from typing import ClassVar

from msgspec import Struct

from consumers.providers import kit

# `Status`, in any case (EPS-OFF compares in upper case). The word of an open checkout is UNKNOWN.
STATUSES: Mapping[str, kit.Status] = {
    "SUCCESS": kit.Status.COMPLETED,
    "COMPLETED": kit.Status.COMPLETED,
    "FAILED": kit.Status.FAILED,
    "FAILURE": kit.Status.FAILED,
    "CANCEL": kit.Status.CANCELLED,
    "CANCELED": kit.Status.CANCELLED,
    "PENDING": kit.Status.PENDING,  # in tests of its users only
}

_DEFAULT_LIFETIME = 1800  # how long a checkout lives is UNKNOWN
_TOKEN_SECONDS = 600  # how long a token lives is UNKNOWN; `expireDate` has no documented form

# The fields of POST /EPSEngine/InitializeEPS that payproof fills (EPS-OFF).
_SENT = (
    "merchantId",
    "storeId",
    "CustomerOrderId",
    "merchantTransactionId",
    "transactionTypeId",
    "totalAmount",
    "successUrl",
    "failUrl",
    "cancelUrl",
    "customerName",
    "customerEmail",
    "customerAddress",
    "customerCity",
    "customerPostcode",
    "customerCountry",
    "customerPhone",
    "productName",
)
_WEB = 1  # `transactionTypeId`
_WORDS = ("ErrorMessage", "errorMessage", "message")


class EPS(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One EPS merchant. `hash_key` signs requests as it is given, not decoded from base64."""

    name: ClassVar[str] = "eps"

    base_url: str
    merchant_id: kit.Secret
    store_id: kit.Secret
    username: kit.Secret
    password: kit.Secret
    hash_key: kit.Secret

    @property
    def capabilities(self) -> kit.Capabilities:
        """Its answers name no currency, so only BDT is opened. Its API shows no refunds."""
        return kit.Capabilities(
            always=frozenset({kit.Id.REFERENCE, kit.MoneyField.AMOUNT}),
            asked_by=frozenset({kit.Id.REFERENCE}),
            shows_refunds=False,
            tells_unknown=False,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        """Chosen by us; nothing in the request changes EPS's."""
        return timedelta(seconds=expires_in or _DEFAULT_LIFETIME)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """EPS-OFF: a `merchantTransactionId` has at least 10 characters. A greatest length and amounts are UNKNOWN."""
        return [
            *kit.field_limits.length("reference", opening.reference, least=10),
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.options_apart(opening, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /EPSEngine/InitializeEPS (EPS-OFF). A refusal is a reply without `RedirectURL`, with its reason."""
        url, body = self._url("/EPSEngine/InitializeEPS"), self._sent(opening)
        received = yield from self._call(opening.reference, lambda headers: kit.post(url, headers, body))
        if received.ok and received.body.get("RedirectURL") not in (None, ""):
            return kit.Opened(
                session_id=kit.required_text(received.body, "TransactionId"),
                checkout_url=kit.web_address(received.body.get("RedirectURL")),
            )
        if received.ok and kit.text_or_none(received.body, *_WORDS, longest=2000) is None:
            return kit.unreadable(f"HTTP {received.status} without a checkout's address and without a reason")
        return kit.refusal_in(received, *_WORDS)

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """GET /EPSEngine/CheckMerchantTransactionStatus by our reference (EPS-OFF).

        How EPS answers about a reference that it does not know, or that nobody paid yet, is UNKNOWN. So no reply means
        "not found". Users saw a 404, and a reply without our reference.
        """
        received = yield from self._search(expected.reference)
        if received.status == 404:
            return kit.undocumented("HTTP 404")
        return _answer(received.body) if received.ok else kit.no_answer(received)

    @kit.exchange
    def prove(self) -> kit.Exchange[kit.Proof]:
        """A granted token, and a reply of EPS about nobody's payment: its status or fault there is UNKNOWN.

        Users saw a 404 there. A refused token or hash key would have come first.
        """
        received = yield from self._search(kit.NOBODYS_PAYMENT)
        known = received.ok and any(name in received.body for name in ("Status", *_WORDS))
        if not known and received.status != 404:
            words = f"it grants a token, and its HTTP {received.status} about an unknown payment is not documented"
            return kit.Proof(verdict="unknown", words=words)
        words = "it accepts user name, password and hash key; merchant_id and store_id are first sent with an opening"
        return kit.Proof(verdict="works", words=words)

    @kit.exchange
    def grant(self) -> Generator[kit.HttpRequest, kit.HttpReply, kit.Token | kit.Inconclusive]:
        """POST /Auth/GetToken (EPS-OFF). A reason instead of a token means that the account's keys are refused."""
        username = self.username.reveal()
        body = {"userName": username, "password": self.password.reveal()}
        request = kit.post(self._url("/Auth/GetToken"), [("x-hash", self._hash(username))], body)
        received = yield from kit.fetch(request)
        token = kit.read_token(received.body.get("token"), str(_TOKEN_SECONDS))
        if token is None and kit.text_or_none(received.body, *_WORDS, longest=2000) is not None:
            return kit.Inconclusive(trouble=kit.Trouble.KEY_REFUSED, detail="a reason instead of a token")
        if token is None or not received.ok:
            return kit.unreadable(f"HTTP {received.status} without a token that could be used")
        return token

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        return kit.never_signed(callback, "EPS")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """`?Status&MerchantTransactionId&EPSTransactionId`; EPS-OFF also has the last name with `_` at its end.

        Raises Unreadable for an IPN, `{"Data": "<IV>:<cipher>"}` (eps.com.bd/ipn): which key decrypts it is UNKNOWN.
        """
        found = kit.fields(callback, "status", "merchanttransactionid", "epstransactionid", "epstransactionid_")
        reference = kit.text_or_none(found, "merchanttransactionid")
        if reference is None and "data" in found and callback.body:
            raise kit.Unreadable("the notification is encrypted")
        return kit.CallbackContent(
            said=kit.said_of(callback, kit.text_or_none(found, "status")),
            reference=reference,
            transaction_id=kit.text_or_none(found, "epstransactionid", "epstransactionid_"),
        )

    def _sent(self, opening: kit.Opening) -> dict[str, object]:
        buyer = opening.customer
        wished: dict[str, object | None] = {
            "customerName": buyer.name,
            "customerEmail": buyer.email,
            "customerAddress": buyer.address,
            "customerCity": buyer.city,
            "customerState": buyer.city,  # the shop names no state; an option may
            "customerPostcode": buyer.postcode,
            "customerCountry": buyer.country,
            "customerPhone": buyer.phone,
        }
        return {
            "merchantId": self.merchant_id.reveal(),
            "storeId": self.store_id.reveal(),
            "CustomerOrderId": opening.reference,
            "merchantTransactionId": opening.reference,
            "transactionTypeId": _WEB,
            "totalAmount": kit.number(opening.amount),
            "successUrl": opening.urls.success,
            "failUrl": opening.urls.failure,
            "cancelUrl": opening.urls.cancel,
            "productName": opening.description or opening.reference,
            "productProfile": "general",
            "productCategory": "general",
            **kit.without_nulls(wished),
            **opening.options,
        }

    def _search(self, reference: str) -> kit.Exchange[kit.Received]:
        query = f"?merchantTransactionId={kit.segment(reference)}"
        url = self._url(f"/EPSEngine/CheckMerchantTransactionStatus{query}")
        return (yield from self._call(reference, lambda headers: kit.get(url, headers)))

    def _call(
        self, signed: str, request: Callable[[list[tuple[str, str]]], kit.HttpRequest]
    ) -> kit.Exchange[kit.Received]:
        """Send a request with the account's token and the hash of `signed`. No call takes money.

        The body of a 404 is not read.
        """
        hashed = ("x-hash", self._hash(signed))
        sent = yield from kit.send_with_token(
            lambda token: request([hashed, ("authorization", f"Bearer {token}")]), _token_refused
        )
        return kit.expect_reply(
            kit.judge(sent, lambda reply: kit.Told() if reply.status == 404 else kit.json_object(reply))
        )

    def _hash(self, text: str) -> str:
        """The header `x-hash`: base64 of HMAC-SHA512 (EPS-OFF)."""
        return b64encode(hmac.digest(self.hash_key.reveal().encode(), text.encode(), sha512)).decode()

    def _url(self, path: str) -> str:
        return kit.endpoint(self.base_url, path)


# -- what is read ------------------------------------------------------------------------------------------------------


def _answer(body: kit.Told) -> kit.Answer | kit.Inconclusive:
    """The flat object that EPS-OBS saw; EPS-OFF reads other names, which no reply was seen to have.

    Both names with nothing in them were seen for an unknown reference. Raises Unreadable where only one is missing: a
    reply that names no payment may be about a paid one.
    """
    names = ("Status", "MerchantTransactionId")
    if all(name in body and body.get(name) in (None, "") for name in names):
        return kit.undocumented("Status and MerchantTransactionId are empty")
    word = kit.required_text(body, "Status")
    reference = kit.required_text(body, "MerchantTransactionId")
    status = STATUSES.get(word.upper(), kit.Status.PENDING)
    return kit.Answer(
        status=status,
        word=word,
        reference=reference,
        transaction_id=kit.optional_text(body, "EPSTransactionId"),
        method=kit.lower_or_none(body, "FinancialEntity") if status.paid else None,
        paid_at=kit.time_or_none(kit.timestamps.iso_or_dhaka, kit.aside(body, "TransactionDate"))
        if status.paid
        else None,
        **kit.read_amounts(amount=body.get("TotalAmount")),
    )


def _token_refused(reply: kit.HttpReply) -> bool:
    return reply.status in (401, 403)
