"""OnePayBD, which resells bKash Tokenized Checkout. Source: S1; bKash's codes: paykit-bd, pypi:bkash-pgw-tokenized.

Only Execute takes the money. A return with `status=success` means that the buyer approved. `statusCode` "0000" means
that the call itself succeeded. Paid is "0000" together with `transactionStatus` "Completed".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from consumers.providers import kit
from consumers.providers.onepaybd_errors import (
    SUCCESSFUL,
    TROUBLE_OF_CODE,
    WORDS,
    error_code,
    surely_refused,
    token_refused,
    troubled,
)
from consumers.providers.onepaybd_execute import execute_outcome

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
_DEFAULT_LIFETIME = 3600

# The fields of POST /create that payproof fills (S1); `merchantAssociationInfo` is left to `provider_options`.
_SENT = ("mode", "intent", "amount", "currency", "merchantInvoiceNumber", "payerReference", "callbackURL")

_Path = Annotated[str, Meta(pattern=r"^/[!-~]*\Z")]


class Paths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paths of the calls under `base_url`. S1 documents `/create`; the others are UNKNOWN, so configurable.

    Raises Misconfigured where Execute shares its path with another call, because any request sent there takes money.
    """

    grant: _Path = "/grant"
    create: _Path = "/create"
    execute: _Path = "/execute"
    status: _Path = "/status"

    def __post_init__(self) -> None:
        if self.execute in (self.grant, self.create, self.status):
            raise kit.Misconfigured([kit.FieldError(field="execute", message="is the path of another call")])


class OnePayBD(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One OnePayBD account. With `capture` only payproof calls Execute. Without it the shop does, and we only ask."""

    name: ClassVar[str] = "onepaybd"

    base_url: str
    api_key: kit.Secret
    paths: Paths = field(default_factory=Paths)
    app_key: kit.Secret | None = None
    app_secret: kit.Secret | None = None
    username: kit.Secret | None = None
    password: kit.Secret | None = None
    capture: bool = True

    @property
    def capabilities(self) -> kit.Capabilities:
        """With `capture`, only we can take the money, so `Initiated` after the end proves that it was not paid."""
        return kit.Capabilities(
            always=frozenset({*kit.Id, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.SESSION}),
            shows_refunds=False,
            executes=self.capture,
            pending_expires=self.capture,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        """Chosen by us. A paymentID lives 24 hours, but cannot be paid without our Execute."""
        return timedelta(seconds=_DEFAULT_LIFETIME if expires_in is None else expires_in)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """S1 names no smallest and no greatest amount, and no lengths."""
        return [
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.seconds(opening, 300, 86_400),
            *kit.field_limits.options_apart(opening, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /create (S1), all fields strings. "0000" means that a session exists, not that money was paid."""
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
        received = yield from self._call(self.paths.create, body)
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
        """Execute, where that is asked and `capture` is set, else Query. Both are asked by the paymentID alone."""
        if expected.session_id is None:
            return kit.not_found("no checkout of this payment exists that could be asked for")
        if question.kind is kit.QuestionKind.EXECUTE and self.capture:
            return (yield from self._execute(expected.session_id, expected.reference))
        return (yield from self._query(expected.session_id, expected.reference))

    @kit.exchange
    def grant(self) -> Generator[kit.HttpRequest, kit.HttpReply, kit.Token | kit.Inconclusive]:
        """POST /grant, with all configured credentials. Which of them OnePayBD needs is UNKNOWN."""
        fields = {"app_key": self.app_key, "app_secret": self.app_secret}
        headers = {"username": self.username, "password": self.password}
        received = yield from kit.fetch(self._request(self.paths.grant, _revealed(fields), _revealed(headers)))
        return _token(received)

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """Always unsigned: the `signature` of a return is the same for success, failure and cancel (S1)."""
        return kit.never_signed(callback, "OnePayBD")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """`?paymentID=…&status=success|failure|cancel&signature=…` (S1). Other spellings were seen."""
        found = kit.fields(callback, "paymentid", "status")
        word = kit.text_or_none(found, "status")
        return kit.CallbackContent(said=kit.said_of(callback, word), session_id=kit.text_or_none(found, "paymentid"))

    def _execute(self, session_id: str, reference: str) -> kit.Exchange[kit.Executed]:
        """Execute, and Query where the reply to Execute is not a clear answer."""
        request = self._tokened(self.paths.execute, {"paymentID": session_id}, _EXECUTE_SECONDS)
        sent = yield from kit.send_with_token(request, surely_refused)
        reply, then = execute_outcome(sent, partial(_answer, ours=reference), STATUSES)
        if then is None:
            then = yield from self._query(session_id, reference)
        return kit.Executed(reply=reply, then=then)

    @kit.exchange
    def _query(self, session_id: str, reference: str) -> kit.Exchange[kit.Answer | kit.Inconclusive]:
        """An exchange of its own, so that the outcome of an Execute is returned even if its Query brings no answer."""
        received = yield from self._call(self.paths.status, {"paymentID": session_id})
        return _answer(received, reference)

    def _call(self, path: str, fields: Mapping[str, object]) -> kit.Exchange[kit.Received]:
        """Send a request that takes no money, so it may be sent again with a new token."""
        sent = yield from kit.send_with_token(self._tokened(path, fields), token_refused)
        return kit.expect_reply(kit.judge(sent))

    def _tokened(
        self, path: str, fields: Mapping[str, object], seconds: float = 10.0
    ) -> Callable[[str], kit.HttpRequest]:
        return lambda token: self._request(path, fields, {"authorization": f"Bearer {token}"}, seconds)

    def _request(
        self, path: str, fields: Mapping[str, object], headers: Mapping[str, str], seconds: float = 10.0
    ) -> kit.HttpRequest:
        keys = (("apikey", self.api_key.reveal()), *headers.items())
        request = kit.post(kit.endpoint(self.base_url, path), keys, fields, seconds=seconds)
        return replace(request, takes_money=path == self.paths.execute)


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
    """The token `id_token`, with its life `expires_in`. Whether the reply has a statusCode is UNKNOWN."""
    code = error_code(received.body)
    if code is not None:
        return troubled(code)
    token = kit.read_token(received.body.get("id_token"), kit.aside(received.body, "expires_in"))
    if token is None or not received.ok:
        return kit.unreadable(f"HTTP {received.status} without a token that could be used")
    return token


def _revealed(secrets: Mapping[str, kit.Secret | None]) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in secrets.items() if secret is not None}
