"""PayParse: a checkout link paid by mobile banking. Source: S0, gateway.payparse.site/docs, one page.

The one thing to get wrong: it documents no status API, no webhook and no signature. So nothing it sends proves a
payment; only an account with a `status_check` of its own can be asked, and no status word is known here.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Literal

from msgspec import Struct

from consumers.ports.gateway import (
    Capabilities,
    Effect,
    EffectReply,
    FieldError,
    Forged,
    Misconfigured,
    Opened,
    Opening,
    OpeningOutcome,
    Signed,
    Unsigned,
)
from consumers.providers.kit import callback_fields as callbacks
from consumers.providers.kit import field_limits
from consumers.providers.kit.outgoing import endpoint, get, number, post, segment
from consumers.providers.kit.pointers import is_pointer, value_at
from consumers.providers.kit.replies import (
    Received,
    echoed_money,
    exchange,
    fetch,
    fetch_answer,
    figures,
    not_found,
    optional_text,
    refusal,
    same,
    text,
    unreadable,
    web_address,
)
from consumers.providers.kit.said import said
from consumers.providers.kit.timestamps import iso, known
from schemas.answers import Answer, Expected, Inconclusive, Question, QuestionOutcome
from schemas.callbacks import Callback, CallbackContent
from schemas.secret import Secret
from schemas.wire import Told, aside
from schemas.words import Id, MoneyField, Source, Status

# "pending" in the create reply is the only word S0 shows, and a create reply is no answer. The words of an account's
# status API are in its `status_check`.
STATUSES: Mapping[str, Status] = {}

# The fields of the create request (S0). Which of them are mandatory is UNKNOWN; all are sent.
_SENT = ("amount", "order_ref", "expires_in", "success_url", "cancel_url")

_DEFAULT_SECONDS = 900  # S0: "default 15m"


class NotFound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an account's status API says that it does not know a payment: HTTP status, and a word at a JSON pointer.

    Nothing else counts as "not found", because a 404 may be anybody's on the way. Raises Misconfigured.
    """

    http: int
    at: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        wrong = []
        if not (200 <= self.http < 300 or 400 <= self.http < 500) or self.http in _TROUBLED:
            wrong.append(FieldError(field="http", message="is 2xx or 4xx, but none of 401, 403, 408 and 429"))
        if not is_pointer(self.at):
            wrong.append(FieldError(field="at", message="is no JSON pointer such as /error/code"))
        if not self.words:
            wrong.append(FieldError(field="words", message="needs at least one word"))
        if wrong:
            raise Misconfigured(wrong)


_TROUBLED = (401, 403, 408, 429)  # with these no reply is read at all


class StatusCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A status API that PayParse does not document and that this account has.

    `path` follows `base_url`; `{session_id}` and `{reference}` in it are replaced. The next six are JSON pointers into
    its reply, the rest are its words. Without `not_found`, nothing it says means that a payment is unknown there.
    Raises Misconfigured for a table that could not be asked or read.
    """

    method: Literal["GET", "POST"] = "GET"
    path: str
    status: str
    amount: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    session_id: str | None = None
    reference: str | None = None
    completed: tuple[str, ...]
    failed: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    refunded: tuple[str, ...] = ()
    not_found: NotFound | None = None

    def __post_init__(self) -> None:
        wrong = []
        if not self.path.startswith("/"):
            wrong.append(FieldError(field="path", message="begins with /"))
        placeholders = set(re.findall(r"\{[^}]*\}", self.path))
        if not placeholders or not placeholders <= {"{session_id}", "{reference}"}:
            wrong.append(
                FieldError(field="path", message="holds {session_id} or {reference}, and nothing else in braces")
            )
        for name in ("status", *_POINTED):
            pointer = getattr(self, name)
            if pointer is not None and not is_pointer(pointer):
                wrong.append(FieldError(field=name, message=f"is no JSON pointer such as /data/{name}"))
        words = [word for status in Status for word in getattr(self, status.value)]
        if not self.completed:
            wrong.append(FieldError(field="completed", message="needs at least one word"))
        if twice := sorted({word for word in words if words.count(word) > 1}):
            wrong.append(FieldError(field="completed", message=f"and the other lists share {', '.join(twice)}"))
        if wrong:
            raise Misconfigured(wrong)

    @property
    def statuses(self) -> Mapping[str, Status]:
        return {word: status for status in Status for word in getattr(self, status.value)}


_POINTED = (MoneyField.AMOUNT, MoneyField.CURRENCY, Id.TRANSACTION, Id.SESSION, Id.REFERENCE)


class PayParse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One PayParse account. Without `status_check`, a success claim is held as `unverifiable`."""

    name: ClassVar[str] = "payparse"

    base_url: str
    api_key: Secret
    status_check: StatusCheck | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Nothing is documented to be added to the two URLs of a redirect (S0); the word is in our own path."""
        check = self.status_check
        if check is None:
            return Capabilities(always=frozenset(), asked_by=frozenset(), shows_refunds=False, wordless=True)
        return Capabilities(
            always=frozenset(name for name in _POINTED if getattr(check, name) is not None),
            # Our reference is always known, so a path that holds both waits for the session alone.
            asked_by=frozenset({Id.SESSION if "{session_id}" in check.path else Id.REFERENCE}),
            shows_refunds=bool(check.refunded),
            wordless=True,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        return timedelta(seconds=expires_in or _DEFAULT_SECONDS)

    def check(self, opening: Opening) -> list[FieldError]:
        """Amount and lifetime as S0 limits them."""
        return [
            *field_limits.amount_between(opening, "10.00", "500000.00"),
            *field_limits.seconds(opening, 300, 86_400),
            *(field_limits.path_reference(opening) if Id.REFERENCE in self.capabilities.asked_by else ()),
            *field_limits.options_apart(opening, _SENT),
        ]

    @exchange
    def open(self, opening: Opening) -> Generator[Effect, EffectReply, OpeningOutcome]:
        """POST /api/v1/order/create (S0). It documents no error; a 4xx in JSON is taken as a refusal."""
        body = {
            "amount": number(opening.amount),
            "order_ref": opening.reference,
            "expires_in": opening.expires_in or _DEFAULT_SECONDS,
            "success_url": opening.urls.success,
            # Also where the buyer lands who opens an expired link, so a hit there may mean expired as well.
            "cancel_url": opening.urls.cancel,
            **opening.options,
        }
        received = yield from fetch(post(self._url("/api/v1/order/create"), self._key(), body))
        if isinstance(received, Inconclusive):
            return received
        if not received.ok:
            return refusal(received, *(aside(received.body, name) for name in ("message", "error")))
        return _opened(opening, received.body)

    @exchange
    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, QuestionOutcome]:  # noqa: ARG002
        """The account's own `status_check`. Without one there is nobody to ask, and the core does not."""
        check = self.status_check
        if check is None:
            return unreadable("PayParse has no status API, and no status_check is configured")
        if expected.session_id is None and "{session_id}" in check.path:
            return not_found("no checkout of this payment exists that could be asked for")
        path = check.path.replace("{reference}", segment(expected.reference))
        path = path.replace("{session_id}", segment(expected.session_id or ""))
        url = self._url(path)
        request = post(url, self._key(), {}) if check.method == "POST" else get(url, self._key())
        body = yield from fetch_answer(request, partial(_unknown, check.not_found))
        return body if isinstance(body, Inconclusive) else _answer(check, body)

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged:
        return Forged("PayParse does not sign") if callback.source is Source.WEBHOOK else Unsigned()

    def read_claim(self, callback: Callback) -> CallbackContent:
        """No parameter of its redirects is documented (S0); the names are those of its create request and reply."""
        found = callbacks.fields(callback, "payment_id", "order_ref")
        return CallbackContent(
            said=said(callback),
            session_id=callbacks.text_or_none(found, "payment_id"),
            reference=callbacks.text_or_none(found, "order_ref"),
        )

    def _url(self, path: str) -> str:
        return endpoint(self.base_url, path)

    def _key(self) -> list[tuple[str, str]]:
        return [("x-api-key", self.api_key.reveal())]


def _opened(opening: Opening, body: Told) -> Opened:
    """The 201 of S0. It does not echo `order_ref`."""
    same("amount", opening.amount, echoed_money(body, "amount"))
    same("currency", opening.currency, optional_text(body, "currency"))
    return Opened(
        session_id=text(body, "payment_id"),
        checkout_url=web_address(body.get("checkout_url")),
        expires_at=known(iso, aside(body, "expires_at")),
    )


def _unknown(form: NotFound | None, received: Received) -> bool:
    return form is not None and received.status == form.http and _word(received.body, form.at) in form.words


def _word(body: Told, pointer: str) -> Any:
    """An API that says `"paid": true` has the words "true" and "false"."""
    word = value_at(body, pointer)
    return str(word).lower() if isinstance(word, bool) else word


def _answer(check: StatusCheck, body: Told) -> Answer:
    # The pointed places as one flat object, so that they are read, and complained of, like any other reply's fields.
    flat: dict[str, Any] = {
        name: value_at(body, pointer) for name in _POINTED if (pointer := getattr(check, name)) is not None
    }
    word = text({"status": _word(body, check.status)}, "status")
    return Answer(
        status=check.statuses.get(word),
        word=word,
        session_id=optional_text(flat, "session_id"),
        reference=optional_text(flat, "reference"),
        transaction_id=optional_text(flat, "transaction_id"),
        currency=optional_text(flat, "currency"),
        **figures(amount=flat.get("amount")),
    )
