"""OnePayBD, which passes bKash Tokenized Checkout on. Source: S1; bKash's codes: paykit-bd, pypi:bkash-pgw-tokenized.

The one thing to get wrong: only Execute takes the money. A return that says `status=success` means that the buyer
approved, and `statusCode` "0000" that the call itself went well; paid is "0000" and `transactionStatus` "Completed".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from consumers.ports.gateway import (
    Capabilities,
    Effect,
    EffectReply,
    FieldError,
    Forged,
    HttpReply,
    HttpRequest,
    Misconfigured,
    NoReply,
    Opened,
    Opening,
    OpeningOutcome,
    ReferenceUsed,
    Signed,
    Token,
    TokenWanted,
    Unsigned,
)
from consumers.providers.kit import callback_fields as callbacks
from consumers.providers.kit import field_limits
from consumers.providers.kit.outgoing import endpoint, post, two_decimals
from consumers.providers.kit.replies import (
    Received,
    echoed_money,
    exchange,
    figures,
    judged,
    no_reply,
    not_found,
    optional_text,
    refusal,
    same,
    text,
    unreadable,
    web_address,
)
from consumers.providers.kit.said import said
from consumers.providers.kit.timestamps import bkash, known
from consumers.providers.onepaybd_errors import (
    SUCCESSFUL,
    TROUBLE_OF_CODE,
    WORDS,
    codes,
    error_code,
    reply_code,
    surely_refused,
    token_refused,
    troubled,
)
from schemas.answers import Answer, Executed, ExecuteReply, Expected, Inconclusive, Question, QuestionOutcome, Trouble
from schemas.callbacks import Callback, CallbackContent
from schemas.secret import Secret
from schemas.wire import Unreadable, aside, whole
from schemas.words import Id, MoneyField, QuestionKind, Source, Status

# `transactionStatus`. S1 shows Initiated; the others are bKash's as its clients know them. An official list is UNKNOWN.
STATUSES: Mapping[str, Status] = {
    "Initiated": Status.PENDING,
    "Pending Authorized": Status.PENDING,
    "PendingAuthorized": Status.PENDING,  # the spelling varies
    "Authorized": Status.PENDING,  # held on the buyer's wallet, not taken
    "Completed": Status.COMPLETED,
    "Cancelled": Status.CANCELLED,
    "Declined": Status.FAILED,
    "Failed": Status.FAILED,
    "Expired": Status.EXPIRED,
}

_REFERENCE_USED = "2029"  # "Duplicate for all transactions"

# What an Execute came to by its code. Every other code is "other".
_EXECUTED: Mapping[str, ExecuteReply] = {
    SUCCESSFUL: "completed",  # with `transactionStatus` "Completed" only
    "2056": "refused",  # invalid payment state: the buyer has not approved yet
    "2060": "refused",  # execution pre-requisite not met
    "2062": "settled",  # payment already completed
    "2068": "settled",  # transaction already completed
    "2116": "settled",  # agreement execution done
    "2117": "settled",  # payment execution done
    "2119": "settled",  # authorized payment already processed
}

# Without one of these replies nobody knows whether Execute took the money.
_UNHEARD = (Trouble.NO_REPLY, Trouble.SERVER_ERROR, Trouble.RATE_LIMITED)

_EXECUTE_SECONDS = 30.0  # bKash: "API timeout of 30 seconds should be set"
_DEFAULT_LIFETIME = 3600
_USUAL_TOKEN = 3600  # bKash's live an hour
_SHORTEST_TOKEN, _LONGEST_TOKEN = 60, 86_400  # whatever is said; one that ended before is renewed when it is refused

# The fields of POST /create that payproof fills (S1); `merchantAssociationInfo` is left to `provider_options`.
_SENT = ("mode", "intent", "amount", "currency", "merchantInvoiceNumber", "payerReference", "callbackURL")

_Path = Annotated[str, Meta(pattern=r"^/[!-~]*\Z")]


class Paths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the calls are under `base_url`. S1 documents `/create`; the other three are UNKNOWN, hence configurable.

    Raises Misconfigured where Execute shares its path: what is sent there takes money, whatever it was meant to ask.
    """

    grant: _Path = "/grant"
    create: _Path = "/create"
    execute: _Path = "/execute"
    status: _Path = "/status"

    def __post_init__(self) -> None:
        if self.execute in (self.grant, self.create, self.status):
            raise Misconfigured([FieldError(field="execute", message="is the path of another call")])


class OnePayBD(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One OnePayBD account. With `capture` payproof alone calls Execute; without, the shop does, and we only ask."""

    name: ClassVar[str] = "onepaybd"

    base_url: str
    api_key: Secret
    paths: Paths = field(default_factory=Paths)
    app_key: Secret | None = None
    app_secret: Secret | None = None
    username: Secret | None = None
    password: Secret | None = None
    capture: bool = True

    @property
    def capabilities(self) -> Capabilities:
        """With `capture`, nobody takes money behind our back, so `Initiated` after the end proves that nobody paid."""
        return Capabilities(
            always=frozenset({*Id, MoneyField.AMOUNT, MoneyField.CURRENCY}),
            asked_by=frozenset({Id.SESSION}),
            shows_refunds=False,
            executes=self.capture,
            pending_expires=self.capture,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        """Ours: a paymentID lives 24 hours, but without our Execute it is worth nothing."""
        return timedelta(seconds=_DEFAULT_LIFETIME if expires_in is None else expires_in)

    def check(self, opening: Opening) -> list[FieldError]:
        """S1 names no smallest and no greatest amount, and no lengths."""
        return [
            *field_limits.amount_between(opening, "0.01", None),
            *field_limits.seconds(opening, 300, 86_400),
            *field_limits.options_apart(opening, _SENT),
        ]

    @exchange
    def open(self, opening: Opening) -> Generator[Effect, EffectReply, OpeningOutcome]:
        """POST /create (S1), all fields strings. "0000" means that a session exists, not that anything was paid."""
        body: dict[str, object] = {
            "mode": "0011",
            "intent": "sale",
            "amount": two_decimals(opening.amount),
            "currency": opening.currency,
            "merchantInvoiceNumber": opening.reference,
            "payerReference": opening.reference,  # free text
            "callbackURL": opening.urls.back,
            **opening.options,
        }
        received = yield from self._call(self.paths.create, body)
        if isinstance(received, Inconclusive):
            return received
        code = error_code(received.body)
        if code == _REFERENCE_USED:
            return ReferenceUsed()
        if code is not None and code in TROUBLE_OF_CODE:
            return troubled(code)
        if code is not None or not received.ok:
            return refusal(received, *(aside(received.body, name) for name in WORDS))
        return _opened(opening, received)

    @exchange
    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, QuestionOutcome]:
        """Query, or Execute where that is asked and is ours to call. Both know a payment by its paymentID alone."""
        if expected.session_id is None:
            return not_found("no checkout of this payment exists that could be asked for")
        if question.kind is QuestionKind.EXECUTE and self.capture:
            return (yield from self._execute(expected.session_id, expected.reference))
        return (yield from self._query(expected.session_id, expected.reference))

    @exchange
    def grant(self) -> Generator[HttpRequest, HttpReply, Token | Inconclusive]:
        """POST /grant, with whatever credentials are configured; what OnePayBD wants there is UNKNOWN."""
        fields = {"app_key": self.app_key, "app_secret": self.app_secret}
        headers = {"username": self.username, "password": self.password}
        try:
            reply = yield self._request(self.paths.grant, _revealed(fields), _revealed(headers))
        except NoReply as error:
            return no_reply(error)
        received = judged(reply)
        return received if isinstance(received, Inconclusive) else _token(received)

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged:
        """The returns' `signature` is the same for success, failure and cancel (S1), so it proves nothing."""
        return Forged("OnePayBD does not sign") if callback.source is Source.WEBHOOK else Unsigned()

    def read_claim(self, callback: Callback) -> CallbackContent:
        """`?paymentID=…&status=success|failure|cancel&signature=…` (S1), where keys and words are seen to vary."""
        found = callbacks.fields(callback, "paymentid", "status")
        word = callbacks.text_or_none(found, "status")
        return CallbackContent(said=said(callback, word), session_id=callbacks.text_or_none(found, "paymentid"))

    def _execute(self, session_id: str, reference: str) -> Generator[Effect, EffectReply, Executed]:
        """A reply that cannot be read may hide taken money, so the doubt stands until Query ends it."""
        fields = {"paymentID": session_id}
        sent = yield from self._sent(self.paths.execute, fields, surely_refused, seconds=_EXECUTE_SECONDS)
        received = sent if isinstance(sent, Inconclusive) else judged(sent)
        if isinstance(received, Inconclusive) and received.trouble in _UNHEARD:
            return Executed(reply="none", then=received)
        if isinstance(sent, HttpReply) and surely_refused(sent):  # it did not run, and Query would be refused as well
            refused = received if isinstance(received, Inconclusive) else troubled(reply_code(sent) or "401")
            return Executed(reply="other", then=refused)
        reply, answer = _executed(received, reference)
        if answer is not None:
            return Executed(reply=reply, then=answer)
        return Executed(reply=reply, then=(yield from self._query(session_id, reference)))

    @exchange
    def _query(self, session_id: str, reference: str) -> Generator[Effect, EffectReply, Answer | Inconclusive]:
        received = yield from self._call(self.paths.status, {"paymentID": session_id})
        return received if isinstance(received, Inconclusive) else _answer(received, reference)

    def _call(self, path: str, fields: Mapping[str, object]) -> Generator[Effect, EffectReply, Received | Inconclusive]:
        """What may be sent twice without harm."""
        sent = yield from self._sent(path, fields, token_refused)
        return sent if isinstance(sent, Inconclusive) else judged(sent)

    def _sent(
        self,
        path: str,
        fields: Mapping[str, object],
        refused: Callable[[HttpReply], bool],
        *,
        seconds: float = 10.0,
    ) -> Generator[Effect, EffectReply, HttpReply | Inconclusive]:
        """POST with the shared token; where that was `refused`, it is renewed and all is sent again, once."""
        try:
            token = yield TokenWanted()
            reply = yield self._request(path, fields, {"authorization": f"Bearer {token}"}, seconds)
            if isinstance(reply, HttpReply) and refused(reply):
                assert isinstance(token, str)
                token = yield TokenWanted(stale=token)
                reply = yield self._request(path, fields, {"authorization": f"Bearer {token}"}, seconds)
        except NoReply as error:
            return no_reply(error)
        assert isinstance(reply, HttpReply)
        return reply

    def _request(
        self, path: str, fields: Mapping[str, object], headers: Mapping[str, str], seconds: float = 10.0
    ) -> HttpRequest:
        keys = (("apikey", self.api_key.reveal()), *headers.items())
        request = post(endpoint(self.base_url, path), keys, fields, seconds=seconds)
        return replace(request, takes_money=path == self.paths.execute)


# -- what is read ------------------------------------------------------------------------------------------------------


def _executed(received: Received | Inconclusive, ours: str) -> tuple[ExecuteReply, Answer | None]:
    """What Execute's reply came to, and its answer where it has one that a Query could not better.

    An error beside success, money, or an error that means something else leaves the doubt.
    """
    if isinstance(received, Inconclusive):
        return "unread", None
    try:
        meanings = {_EXECUTED.get(code, "other") for code in codes(received.body)}
        if meanings - {"completed"}:
            clear = len(meanings) == 1 and not _names_money(received.body)
            return (meanings.pop() if clear else "unread"), None
        answer = _answer(received, ours)
    except Unreadable:
        return "unread", None
    if isinstance(answer, Inconclusive) or answer.unreadable:
        return "unread", None
    return ("completed", answer) if answer.status is Status.COMPLETED else ("other", None)


def _names_money(body: Mapping[str, Any]) -> bool:
    """Whether it tells of taken money, whatever its code says; a status that nobody knows may tell of it."""
    if body.get("trxID") not in (None, ""):
        return True
    word = optional_text(body, "transactionStatus")
    status = None if word is None else STATUSES.get(word)
    return word is not None and (status is None or status.paid)


def _opened(opening: Opening, received: Received) -> Opened:
    body = _successful(received)
    same("merchantInvoiceNumber", opening.reference, optional_text(body, "merchantInvoiceNumber"))
    same("amount", opening.amount, echoed_money(body, "amount"))
    same("currency", opening.currency, optional_text(body, "currency"))
    return Opened(session_id=text(body, "paymentID"), checkout_url=web_address(body.get("bkashURL")))


def _answer(received: Received, ours: str) -> Answer | Inconclusive:
    """Execute's reply and Query's, which differ in the invoice's name; of two names, one that is not ours counts.

    A `trxID` exists once money was taken.
    """
    code = error_code(received.body)
    if code is not None:
        return troubled(code)
    body = _successful(received)
    word = text(body, "transactionStatus")
    status = STATUSES.get(word)
    paid = status is not None and status.paid
    invoices = [optional_text(body, name) for name in ("merchantInvoiceNumber", "merchantInvoice")]
    echoed = sorted((invoice for invoice in invoices if invoice is not None), key=lambda invoice: invoice == ours)
    return Answer(
        status=status,
        word=word,
        session_id=optional_text(body, "paymentID"),
        reference=echoed[0] if echoed else None,
        transaction_id=optional_text(body, "trxID"),
        currency=optional_text(body, "currency"),
        method="bkash" if paid else None,
        paid_at=known(bkash, aside(body, "paymentExecuteTime")) if paid else None,
        **figures(amount=body.get("amount")),
    )


def _successful(received: Received) -> dict[str, Any]:
    if not received.ok or received.body.get("statusCode") != SUCCESSFUL:
        raise Unreadable(f"HTTP {received.status} without statusCode 0000")
    return received.body


def _token(received: Received) -> Token | Inconclusive:
    """`id_token`, and its life by `expires_in`, which decides nothing. A statusCode is UNKNOWN."""
    code = error_code(received.body)
    if code is not None:
        return troubled(code)
    token = received.body.get("id_token")
    if not received.ok or not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,8000}", token):
        return unreadable(f"HTTP {received.status} without a token that could be used")
    return Token(text=str(token), seconds=_life(aside(received.body, "expires_in")))


def _life(expires_in: object) -> int:
    """Seconds as a number or a string; bKash's hour where that is absent, cannot be read, or is over already."""
    try:
        seconds = whole(expires_in)
    except Unreadable:
        return _USUAL_TOKEN
    return max(_SHORTEST_TOKEN, min(seconds, _LONGEST_TOKEN)) if seconds > 0 else _USUAL_TOKEN


def _revealed(secrets: Mapping[str, Secret | None]) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in secrets.items() if secret is not None}
