"""bKash Tokenized Checkout, mode 0011, as bKash (`bkash.py`) and its reseller OnePayBD (`onepaybd.py`) offer it.

Sources: S1, onepaybd.com/api-documentation.html; BK, bKash's own github.com/bKash-developer/bKash-for-woocommerce, and
its clients pypi:bkash-pgw-tokenized, paykit-bd and bkash-rs.

Only Execute takes the money. A return with `status=success` means that the buyer approved. `statusCode` "0000" means
that the call itself succeeded. Paid is "0000" together with `transactionStatus` "Completed".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from consumers.providers import kit
from consumers.providers.bkash_errors import (
    SUCCESSFUL,
    TROUBLE_OF_CODE,
    WORDS,
    error_code,
    surely_refused,
    token_refused,
    troubled,
)
from consumers.providers.bkash_execute import execute_outcome

# `transactionStatus`. S1 shows Initiated; the others are bKash's as its clients know them. An official list is UNKNOWN.
STATUSES: Mapping[str, kit.Status] = {
    "Initiated": kit.Status.PENDING,
    "Pending Authorized": kit.Status.PENDING,
    "PendingAuthorized": kit.Status.PENDING,  # the spelling varies
    "Authorized": kit.Status.PENDING,  # held on the buyer's wallet, not taken
    "Completed": kit.Status.COMPLETED,
    "Cancelled": kit.Status.CANCELLED,
    "Declined": kit.Status.FAILED,
    "Failed": kit.Status.FAILED,
    "Expired": kit.Status.EXPIRED,
}

_REFERENCE_USED = "2029"  # "Duplicate for all transactions"

_EXECUTE_SECONDS = 30.0  # bKash: "API timeout of 30 seconds should be set"

# The fields of Create that payproof fills (S1); `merchantAssociationInfo` is left to `provider_options`.
_SENT = ("mode", "intent", "amount", "currency", "merchantInvoiceNumber", "payerReference", "callbackURL")


class CallPaths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paths of the calls under `base_url`.

    Raises Misconfigured where Execute shares its path with another call, because any request sent there takes money.
    """

    grant: kit.CallPath
    create: kit.CallPath
    execute: kit.CallPath
    status: kit.CallPath

    def __post_init__(self) -> None:
        if self.execute in (self.grant, self.create, self.status):
            raise kit.Misconfigured([kit.FieldError(field="execute", message="is the path of another call")])


class TokenizedCheckout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The calls that bKash and OnePayBD share. A subclass says their paths, their headers, and what it is able to do.

    Where its capabilities say that it `executes`, only payproof calls Execute. Else the shop does, and we only ask.
    """

    usual_lifetime: ClassVar[int]
    """In seconds, where the shop wishes none."""
    shortest_lifetime: ClassVar[int]

    base_url: str

    @property
    def capabilities(self) -> kit.Capabilities:
        raise NotImplementedError

    def call_paths(self) -> CallPaths:
        raise NotImplementedError

    def keys(self, token: str | None) -> Iterable[tuple[str, str]]:
        """The headers that prove who we are: with the token, or those of the grant, which has none yet."""
        raise NotImplementedError

    def lifetime(self, expires_in: int | None) -> timedelta:
        """Chosen by us. A paymentID lives 24 hours."""
        return timedelta(seconds=self.usual_lifetime if expires_in is None else expires_in)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """No smallest and no greatest amount, and no lengths, are documented."""
        return [
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.seconds(opening, self.shortest_lifetime, 86_400),
            *kit.field_limits.options_apart(opening, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """Create (S1), all fields strings. "0000" means that a session exists, not that money was paid."""
        body: dict[str, object] = {
            "mode": "0011",
            "intent": "sale",
            "amount": kit.two_decimals(opening.amount),
            "currency": opening.currency,
            "merchantInvoiceNumber": opening.reference,
            "payerReference": opening.reference,  # free text
            "callbackURL": opening.urls.back,
            **opening.options,
        }
        received = yield from self._call(self.call_paths().create, body)
        code = error_code(received.body)
        if code == _REFERENCE_USED:
            return kit.ReferenceUsed()
        if code is not None and code in TROUBLE_OF_CODE:
            return troubled(code)
        if code is not None or not received.ok:
            return kit.refusal_in(received, *WORDS)
        return _opened(opening, received)

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:
        """Execute, where that is asked and is ours to call, else Query. Both are asked by the paymentID alone."""
        if expected.session_id is None:
            return kit.not_found("no checkout of this payment exists that could be asked for")
        if question.kind is kit.QuestionKind.EXECUTE and self.capabilities.executes:
            return (yield from self._execute(expected.session_id, expected.reference))
        return (yield from self._query(expected.session_id, expected.reference))

    @kit.exchange
    def granted(
        self, fields: Mapping[str, str]
    ) -> Generator[kit.HttpRequest, kit.HttpReply, kit.Token | kit.Inconclusive]:
        """The token that Grant gives for these fields."""
        received = yield from kit.fetch(self._request(self.call_paths().grant, fields, None))
        return _token(received)

    def read_return(self, callback: kit.Callback) -> kit.CallbackContent:
        """`?paymentID=…&status=success|failure|cancel&signature=…` (S1). Other spellings were seen."""
        found = kit.fields(callback, "paymentid", "status")
        word = kit.text_or_none(found, "status")
        return kit.CallbackContent(said=kit.said_of(callback, word), session_id=kit.text_or_none(found, "paymentid"))

    def _execute(self, session_id: str, reference: str) -> kit.Exchange[kit.Executed]:
        """Execute, and Query where the reply to Execute is not a clear answer."""
        request = self._tokened(self.call_paths().execute, {"paymentID": session_id}, _EXECUTE_SECONDS)
        sent = yield from kit.send_with_token(request, surely_refused)
        reply, then = execute_outcome(sent, partial(_answer, ours=reference), STATUSES)
        if then is None:
            then = yield from self._query(session_id, reference)
        return kit.Executed(reply=reply, then=then)

    @kit.exchange
    def _query(self, session_id: str, reference: str) -> kit.Exchange[kit.Answer | kit.Inconclusive]:
        """An exchange of its own, so that the outcome of an Execute is returned even if its Query brings no answer."""
        received = yield from self._call(self.call_paths().status, {"paymentID": session_id})
        return _answer(received, reference)

    def _call(self, path: str, fields: Mapping[str, object]) -> kit.Exchange[kit.Received]:
        """Send a request that takes no money, so it may be sent again with a new token."""
        sent = yield from kit.send_with_token(self._tokened(path, fields), token_refused)
        return kit.expect_reply(kit.judge(sent))

    def _tokened(
        self, path: str, fields: Mapping[str, object], seconds: float = 10.0
    ) -> Callable[[str], kit.HttpRequest]:
        return lambda token: self._request(path, fields, token, seconds)

    def _request(
        self, path: str, fields: Mapping[str, object], token: str | None, seconds: float = 10.0
    ) -> kit.HttpRequest:
        request = kit.post(kit.endpoint(self.base_url, path), self.keys(token), fields, seconds=seconds)
        return replace(request, takes_money=path == self.call_paths().execute)


# -- what is read ------------------------------------------------------------------------------------------------------


def _opened(opening: kit.Opening, received: kit.Received) -> kit.Opened:
    body = _successful(received)
    kit.check_echo("merchantInvoiceNumber", opening.reference, kit.optional_text(body, "merchantInvoiceNumber"))
    kit.check_echo("amount", opening.amount, kit.money_or_none(body, "amount"))
    kit.check_echo("currency", opening.currency, kit.optional_text(body, "currency"))
    return kit.Opened(
        session_id=kit.required_text(body, "paymentID"), checkout_url=kit.web_address(body.get("bkashURL"))
    )


def _answer(received: kit.Received, ours: str) -> kit.Answer | kit.Inconclusive:
    """Read the reply to Execute or Query. They name the invoice differently; if both names stand, a foreign one counts.

    A `trxID` exists once money was taken.
    """
    code = error_code(received.body)
    if code is not None:
        return troubled(code)
    body = _successful(received)
    word = kit.required_text(body, "transactionStatus")
    status = STATUSES.get(word)
    paid = status is not None and status.paid
    invoices = [kit.optional_text(body, name) for name in ("merchantInvoiceNumber", "merchantInvoice")]
    echoed = sorted((invoice for invoice in invoices if invoice is not None), key=lambda invoice: invoice == ours)
    return kit.Answer(
        status=status,
        word=word,
        session_id=kit.optional_text(body, "paymentID"),
        reference=echoed[0] if echoed else None,
        transaction_id=kit.optional_text(body, "trxID"),
        currency=kit.optional_text(body, "currency"),
        method="bkash" if paid else None,
        paid_at=kit.time_or_none(kit.timestamps.bkash, kit.aside(body, "paymentExecuteTime")) if paid else None,
        **kit.read_amounts(amount=body.get("amount")),
    )


def _successful(received: kit.Received) -> dict[str, Any]:
    if not received.ok or received.body.get("statusCode") != SUCCESSFUL:
        raise kit.Unreadable(f"HTTP {received.status} without statusCode 0000")
    return received.body


def _token(received: kit.Received) -> kit.Token | kit.Inconclusive:
    """The token `id_token`, with its life `expires_in`. Whether OnePayBD's reply has a statusCode is UNKNOWN."""
    code = error_code(received.body)
    if code is not None:
        return troubled(code)
    token = kit.read_token(received.body.get("id_token"), kit.aside(received.body, "expires_in"))
    if token is None or not received.ok:
        return kit.unreadable(f"HTTP {received.status} without a token that could be used")
    return token
