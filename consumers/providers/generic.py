"""A gateway from a table: opened by one POST, asked by one request, and known by its names and words alone.

Everything about it stands in the account's configuration (`generic_tables.py`). It follows the rules of every gateway:
a callback is a hint, trouble is no answer, and a word in no list holds the payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Literal
from urllib.parse import urlencode

from msgspec import Struct, field
from msgspec.structs import replace

from consumers.providers import kit
from consumers.providers.generic_tables import Ask, CallbackNames, Create, key_headers, with_secrets

STATUSES: Mapping[str, kit.Status] = {}  # the words of an account are in its `status`

_DEFAULT_LIFETIME = 1800


class Generic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account at a gateway without a file of its own. It takes BDT alone."""

    name: ClassVar[str] = "generic"

    base_url: str
    create: Create
    status: Ask
    callback: CallbackNames = field(default_factory=CallbackNames)

    def __post_init__(self) -> None:
        """Raises Misconfigured where the session that the gateway is asked by could never be known, or be anyone's.

        So it does where the status reply has a session that is compared with none.
        """
        if not self._by_candidate:
            if self.create.session_id is None and self.status.session_id is not None:
                words = "is compared with create.session_id, which is not there: leave it out, or add that"
                raise kit.Misconfigured([kit.FieldError(field="status.session_id", message=words)])
            return
        wrong = []
        if not self.callback.session_id:
            words = "is needed here or in create: status.ask_by is session_id"
            wrong.append(kit.FieldError(field="callback.session_id", message=words))
        if self.status.reference is None:
            words = "is needed: a session that only a callback brings may be anyone's"
            wrong.append(kit.FieldError(field="status.reference", message=words))
        if wrong:
            raise kit.Misconfigured(wrong)

    @property
    def capabilities(self) -> kit.Capabilities:
        by_reference = self.status.ask_by == "reference"
        return kit.Capabilities(
            always=self.status.always | ({kit.Id.SESSION} if self._by_candidate else frozenset()),
            asked_by=frozenset({kit.Id.REFERENCE if by_reference else kit.Id.SESSION}),
            candidates=kit.Id.SESSION if self._by_candidate else None,
            unknown_expires=False,
            tells_unknown=self.status.not_found is not None,
            shows_refunds=bool(self.status.refunded),
            wordless=self.callback.status is None,
        )

    @property
    def _by_candidate(self) -> bool:
        """Whether it is asked by a session that only a callback brings."""
        return self.status.ask_by == "session_id" and self.create.session_id is None

    def lifetime(self, expires_in: int | None) -> timedelta:
        return timedelta(seconds=expires_in or _DEFAULT_LIFETIME)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        found = [
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.options_apart(opening, self.create.sent),
        ]
        if self.create.amount_as == "whole" and opening.amount.is_finite() and opening.amount % 1:
            found.append(kit.FieldError(field="amount", message="this gateway takes whole taka only"))
        return found

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        create = self.create
        url, keys = kit.endpoint(self.base_url, create.path), key_headers(create.headers)
        received = yield from kit.fetch(_post(create.encoding, url, keys, create.body(opening)))
        if received.ok and (address := kit.value_at(received.body, create.checkout_url)) not in (None, ""):
            session = None
            if create.session_id is not None:
                found = {"session_id": kit.value_at(received.body, create.session_id)}
                session = kit.required_text(found, "session_id")
            return kit.Opened(session_id=session, checkout_url=kit.web_address(address))
        reason = kit.value_at(received.body, create.reason) if create.reason else None
        if received.ok and not (isinstance(reason, str) and reason.strip()):
            return kit.unreadable(f"HTTP {received.status} without a checkout's address and without a reason")
        return kit.refusal(received, reason)

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:
        session = question.session_id if self._by_candidate else expected.session_id
        asked = expected.reference if self.status.ask_by == "reference" else session
        if asked is None:
            return kit.not_found("no session of this payment is known that could be asked for")
        received = yield from kit.fetch(self._question(asked))
        if self.status.is_unknown(received):
            return kit.ForeignTransaction(why="not_found") if self._by_candidate else kit.not_found()
        if not received.ok:
            return kit.no_answer(received)
        answer = self.status.read(received.body)
        return _about(answer, asked, expected) if self._by_candidate else answer

    @kit.exchange
    def prove(self) -> kit.Exchange[kit.Proof | kit.Inconclusive]:
        """Ask about nobody's payment. Only the reply that `status.not_found` describes proves the keys."""
        received = yield from kit.fetch(self._question(kit.NOBODYS_PAYMENT))
        if self.status.is_unknown(received):
            return kit.Proof(verdict="works", words="it accepts the key")
        if self.status.not_found is None:
            words = "status.not_found is not configured, and only that reply tells a refused key from others"
            return kit.Proof(verdict="unknown", words=words)
        return kit.unreadable(f"HTTP {received.status}, and not as status.not_found says")

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """Always unsigned: a gateway that signs needs a file of its own."""
        return kit.never_signed(callback, "a generic gateway")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        names = self.callback
        sessions = [name.lower() for name in names.session_id]
        references, words = ([name.lower()] if name else [] for name in (names.reference, names.status))
        found = kit.fields(callback, *sessions, *references, *words)
        return kit.CallbackContent(
            said=kit.said_of(callback, kit.text_or_none(found, *words)),
            session_id=kit.text_or_none(found, *sessions),
            reference=kit.text_or_none(found, *references),
        )

    def _question(self, asked: str) -> kit.HttpRequest:
        status, url = self.status, kit.endpoint(self.base_url, self.status.path)
        fields, keys = {**with_secrets(status.fixed, status.secrets), status.name: asked}, key_headers(status.headers)
        if status.method == "GET":
            return kit.get(f"{url}?{urlencode(fields)}", keys)
        return _post(status.encoding, url, keys, fields)


def _post(
    encoding: Literal["json", "form"], url: str, keys: list[tuple[str, str]], fields: Mapping[str, object]
) -> kit.HttpRequest:
    if encoding == "json":
        return kit.post(url, keys, fields)
    return kit.post_form(url, {name: _text(value) for name, value in fields.items()}, keys)


def _text(value: object) -> str:
    """A value of a form; an amount with its own digits."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _about(answer: kit.Answer, asked: str, expected: kit.Expected) -> kit.Answer | kit.ForeignTransaction:
    """The answer about a session that only a callback gave us, if it is about this payment. It never pays two orders.

    Raises Unreadable where it names no reference or another session.
    """
    if answer.reference is None:
        raise kit.Unreadable("the reply does not name our reference, so it may be about any payment")
    if not kit.may_be_ours(answer.reference, expected.reference):
        return kit.ForeignTransaction(why="other_payment")
    if answer.session_id not in (None, asked):
        raise kit.Unreadable("the reply is about another session than the one asked for")
    return replace(answer, session_id=asked)
