"""ShurjoPay v2.1. Source: SP, shurjopay.com.bd/developers, and its own plugins: SP-PY, SP-JAVA and SP-WOO.

It calls its own checkout `sp_order_id`, and sends it back under the name `order_id`. Ours comes back as
`customer_order_id`. Only `sp_code` says how a payment stands: `bank_status` contradicts it at paid orders.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from consumers.providers import kit
from consumers.providers.shurjopay_envelope import is_bare, order_of, read_body

# `sp_code`, the list of SP-JAVA (ShurjopayStatus.java). The statuses are our reading of its words.
STATUSES: Mapping[str, kit.Status] = {
    "1000": kit.Status.COMPLETED,
    "1001": kit.Status.FAILED,
    "1002": kit.Status.CANCELLED,
    "1004": kit.Status.PENDING,  # session expired: of the checkout or of the token, so it proves no end
    "1005": kit.Status.FAILED,  # channel unavailable
    "1006": kit.Status.FAILED,  # OTP
    "1007": kit.Status.FAILED,  # PIN
    "1008": kit.Status.FAILED,  # balance
    "1009": kit.Status.FAILED,  # daily limit
    "1061": kit.Status.FAILED,  # the same payment within 10 minutes at bKash
    "1065": kit.Status.PENDING,  # initiated, not completed (DBBL)
    "1066": kit.Status.PENDING,  # not initiated
    "1067": kit.Status.FAILED,  # declined
    "1068": kit.Status.PENDING,  # initiated
    "2000": kit.Status.COMPLETED,  # refund requested
    "2001": kit.Status.COMPLETED,  # refund accepted
    "2002": kit.Status.REFUNDED,
    "2005": kit.Status.PENDING,  # the bank reviews the transaction, which may take days
    "2006": kit.Status.COMPLETED,  # refund cancelled
    "2007": kit.Status.PENDING,  # request timeout: the money may have been taken
    "2009": kit.Status.FAILED,  # wallet locked
    "3000": kit.Status.REFUNDED,  # reversed
}

# Codes that say nothing about a payment. 200 and 404 are HTTP's words.
_TROUBLES: Mapping[str, kit.Trouble] = {
    "1003": kit.Trouble.KEY_REFUSED,
    "1064": kit.Trouble.KEY_REFUSED,
    "2008": kit.Trouble.KEY_REFUSED,  # merchant inactive
    **dict.fromkeys(("1010", "1011", "1012", "1062", "1063", "200", "404"), kit.Trouble.UNREADABLE),
}
_UNKNOWN_ORDER = "1011"
_TOKEN_REFUSED = ("1004", "1064")  # without an order beside them
_GRANTED = ("200", "1000")  # SP-PY's sample and SP's text differ

_TOKEN_SECONDS = 900  # "valid 15 minutes" (SP), whatever `expires_in` says
_DEFAULT_LIFETIME = 1800  # how long a checkout lives is UNKNOWN

# The fields of POST /secret-pay that payproof fills (SP), and the fields of the buyer that SP requires.
_SENT = ("prefix", "token", "store_id", "return_url", "cancel_url", "amount", "order_id", "currency")
_CUSTOMER = {
    "name": "customer_name",
    "address": "customer_address",
    "phone": "customer_phone",
    "city": "customer_city",
    "postcode": "customer_post_code",
    "email": "customer_email",
    "country": "customer_country",
}
_REQUIRED = ("name", "address", "phone", "city", "postcode")
_WORDS = ("message", "sp_message", "sp_massage")


class ShurjoPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ShurjoPay merchant. `prefix` is the store's, which begins its order ids."""

    name: ClassVar[str] = "shurjopay"

    base_url: str
    username: kit.Secret
    password: kit.Secret
    prefix: Annotated[str, Meta(min_length=1, max_length=5)]

    @property
    def capabilities(self) -> kit.Capabilities:
        """Its redirects name the checkout and no outcome."""
        return kit.Capabilities(
            always=frozenset({kit.Id.SESSION, kit.Id.REFERENCE, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.SESSION}),
            shows_refunds=True,
            wordless=True,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        """Chosen by us; nothing in the request changes ShurjoPay's."""
        return timedelta(seconds=expires_in or _DEFAULT_LIFETIME)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """The required fields of SP, which names no amounts and no lengths but that of the prefix."""
        return [
            *kit.field_limits.amount_between(opening, "0.01", None, ("BDT", "USD")),
            *kit.field_limits.customer_given(opening, _REQUIRED),
            *kit.field_limits.options_apart(opening, (*_SENT, *_CUSTOMER.values())),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /secret-pay (SP). SP shows no refusal; a reply without an address that has a message is read as such."""
        received = yield from self._call("/secret-pay", self._sent(opening))
        code = kit.text_or_none(received.body, "sp_code")
        if code is not None and _TROUBLES.get(code) is kit.Trouble.KEY_REFUSED:
            return _troubled(code)
        if received.ok and received.body.get("checkout_url") is not None:
            return _opened(opening, received.body)
        if received.ok and kit.text_or_none(received.body, *_WORDS, longest=2000) is None:
            return kit.unreadable(f"HTTP {received.status} without a checkout's address and without a message")
        return kit.refusal_in(received, *_WORDS)

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """POST /verification (SP) by the `sp_order_id` that we stored, never by the browser's."""
        session = expected.session_id
        if session is None:
            return kit.not_found("no checkout of this payment exists that could be asked for")
        received = yield from self._call("/verification", {"order_id": session})
        if is_bare(received.body) and kit.text_or_none(received.body, "sp_code") == _UNKNOWN_ORDER:
            return kit.not_found()
        if not received.ok:
            return kit.no_answer(received)
        return _answer(order_of(received.body, session))

    @kit.exchange
    def grant(self) -> Generator[kit.HttpRequest, kit.HttpReply, kit.Token | kit.Inconclusive]:
        """POST /get_token (SP). The token's text is `<store_id>:<token>`, since a checkout is opened with both."""
        credentials = {"username": self.username.reveal(), "password": self.password.reveal()}
        received = yield from kit.fetch(kit.post(kit.endpoint(self.base_url, "/get_token"), (), credentials))
        code = kit.optional_text(received.body, "sp_code")
        if code is not None and code not in _GRANTED:
            return _troubled(code)
        token = kit.read_token(received.body.get("token"), kit.aside(received.body, "expires_in"))
        if token is None or not received.ok:
            return kit.unreadable(f"HTTP {received.status} without a token that could be used")
        store = kit.whole(received.body.get("store_id"))
        return replace(token, text=f"{store}:{token.text}", seconds=min(token.seconds, _TOKEN_SECONDS))

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        return kit.never_signed(callback, "ShurjoPay")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """`?order_id=<sp_order_id>`, at returns by GET and at IPNs by POST (SP, developers/ipn)."""
        found = kit.fields(callback, "order_id")
        return kit.CallbackContent(said=kit.said_of(callback), session_id=kit.text_or_none(found, "order_id"))

    def _sent(self, opening: kit.Opening) -> dict[str, object]:
        buyer = {theirs: getattr(opening.customer, ours) for ours, theirs in _CUSTOMER.items()}
        return {
            "prefix": self.prefix,
            "return_url": opening.urls.back,
            "cancel_url": opening.urls.cancel,
            "amount": kit.number(opening.amount),
            "order_id": opening.reference,
            "currency": opening.currency,
            "client_ip": "127.0.0.1",  # required; the buyer's is not known here, and an option may replace it
            **kit.without_nulls(buyer),
            **opening.options,
        }

    def _call(self, path: str, fields: Mapping[str, object]) -> kit.Exchange[kit.Received]:
        """Send a request with the account's token. No call takes money, so it may be sent again with a new token."""

        def request(granted: str) -> kit.HttpRequest:
            store, _, token = granted.partition(":")
            number = int(store) if store.isdecimal() else store
            ours = {"token": token, "store_id": number} if path == "/secret-pay" else {}
            headers = [("authorization", f"Bearer {token}")]
            return kit.post(kit.endpoint(self.base_url, path), headers, {**ours, **fields})

        sent = yield from kit.send_with_token(request, _token_refused)
        return kit.expect_reply(kit.judge(sent, read_body))


# -- what is read (SP) -------------------------------------------------------------------------------------------------


def _opened(opening: kit.Opening, body: kit.Told) -> kit.Opened:
    kit.check_echo("customer_order_id", opening.reference, kit.optional_text(body, "customer_order_id"))
    kit.check_echo("amount", opening.amount, kit.money_or_none(body, "amount"))
    kit.check_echo("currency", opening.currency, kit.optional_text(body, "currency"))
    return kit.Opened(
        session_id=kit.required_text(body, "sp_order_id"), checkout_url=kit.web_address(body.get("checkout_url"))
    )


def _answer(order: Mapping[str, Any]) -> kit.Answer | kit.Inconclusive:
    """The answer in one order. `amount` is compared; `received_amount` and `payable_amount` may be less by a discount.

    Raises Unreadable for a code without an order, since that is about the call.
    """
    code = kit.required_text(order, "sp_code")
    if code in _TROUBLES:
        return _troubled(code)
    session, reference = kit.optional_text(order, "order_id"), kit.optional_text(order, "customer_order_id")
    if session is None and reference is None:
        raise kit.Unreadable("an sp_code without any id is no state of an order")
    status = STATUSES.get(code)
    paid = status is not None and status.paid
    transaction = kit.optional_text(order, "bank_trx_id")
    return kit.Answer(
        status=status,
        word=code,
        session_id=session,
        reference=reference,
        transaction_id=None if transaction == "0" else transaction,  # "0": the money has no id of its own
        currency=kit.optional_text(order, "currency"),
        method=kit.lower_or_none(order, "method") if paid else None,
        paid_at=kit.time_or_none(kit.timestamps.iso_or_dhaka, kit.aside(order, "date_time")) if paid else None,
        **kit.read_amounts(amount=order.get("amount")),
    )


def _troubled(code: str) -> kit.Inconclusive:
    shown = code if code.isascii() and code.isdigit() else "in another form"
    return kit.Inconclusive(trouble=_TROUBLES.get(code, kit.Trouble.UNREADABLE), detail=f"sp_code {shown[:20]}")


def _token_refused(reply: kit.HttpReply) -> bool:
    """Whether a new token may help, by the HTTP status or by a code that stands beside no order."""
    if reply.status in (401, 403):
        return True
    received = kit.judge(reply, read_body)
    if isinstance(received, kit.Inconclusive) or not is_bare(received.body):
        return False
    return kit.text_or_none(received.body, "sp_code") in _TOKEN_REFUSED
