"""A status API that only the configuration knows: where its reply has each field, and what its words mean.

A word may stand in one list only. The form of "not found" must not be one that a proxy could send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct

from consumers.ports.gateway import Misconfigured
from consumers.ports.openings import FieldError
from consumers.providers.kit.pointers import is_pointer, value_at
from consumers.providers.kit.replies import Received
from consumers.providers.kit.reply_fields import optional_text, read_amounts, required_text
from schemas.answers import Answer
from schemas.wire import Told, Unreadable
from schemas.words import Id, MoneyField, Status

_TROUBLED = (401, 403, 408, 429)  # a reply with one of these is not read

POINTED = (MoneyField.AMOUNT, MoneyField.CURRENCY, Id.TRANSACTION, Id.SESSION, Id.REFERENCE)
"""The fields of an answer that a pointer may lead to."""


class NotFound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reply by which a status API says that it does not know a payment: HTTP status, and a word at a JSON pointer.

    Nothing else counts as "not found", because a 404 may be a proxy's. Raises Misconfigured.
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


class StatusTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status` to `reference` are JSON pointers into the reply; `completed` to `refunded` are its words.

    Without `not_found`, no reply means "not found". With `any_case`, words are compared without their case. Raises
    Misconfigured for a table with an error.
    """

    any_case: ClassVar[bool] = False

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
        if wrong := self.errors():
            raise Misconfigured(wrong)

    def errors(self) -> list[FieldError]:
        """The errors of the table, none where all is well."""
        wrong = []
        for name in ("status", *POINTED):
            pointer = getattr(self, name)
            if pointer is not None and not is_pointer(pointer):
                wrong.append(FieldError(field=name, message=f"is no JSON pointer such as /data/{name}"))
        words = [self._as_compared(word) for status in Status for word in getattr(self, status.value)]
        if not self.completed:
            wrong.append(FieldError(field="completed", message="needs at least one word"))
        if twice := sorted({word for word in words if words.count(word) > 1}):
            wrong.append(FieldError(field="completed", message=f"and the other lists share {', '.join(twice)}"))
        return wrong

    @property
    def always(self) -> frozenset[Id | MoneyField]:
        """The fields that every paid answer has: those with a pointer."""
        return frozenset(name for name in POINTED if getattr(self, name) is not None)

    @property
    def statuses(self) -> Mapping[str, Status]:
        return {self._as_compared(word): status for status in Status for word in getattr(self, status.value)}

    def is_unknown(self, received: Received) -> bool:
        """Whether the reply is the configured form of "not found"."""
        form = self.not_found
        return form is not None and received.status == form.http and _word(received.body, form.at) in form.words

    def read(self, body: Told) -> Answer:
        """The answer in a reply. Raises Unreadable without a status word.

        So it does where a word of an end stands beside none of the ids that the table points to: it is the end of the
        request and not of our payment, as in `{"status": "failed", "message": "wrong key"}`.
        """
        # The values at the pointers as one flat object, so that they are read like the fields of any other reply.
        flat: dict[str, Any] = {
            name: value_at(body, pointer) for name in POINTED if (pointer := getattr(self, name)) is not None
        }
        word = required_text({"status": _word(body, self.status)}, "status")
        status = self.statuses.get(self._as_compared(word))
        session_id, reference = optional_text(flat, "session_id"), optional_text(flat, "reference")
        points = self.session_id is not None or self.reference is not None
        if status is not None and status.closed and points and session_id is None and reference is None:
            raise Unreadable(f"{status} beside no id of ours is not about our payment")
        return Answer(
            status=status,
            word=word,
            session_id=session_id,
            reference=reference,
            transaction_id=optional_text(flat, "transaction_id"),
            currency=optional_text(flat, "currency"),
            **read_amounts(amount=flat.get("amount")),
        )

    def _as_compared(self, word: str) -> str:
        return word.casefold() if self.any_case else word


def _word(body: Told, pointer: str) -> Any:
    """The status word. For an API that says `"paid": true` the words are "true" and "false"."""
    word = value_at(body, pointer)
    return str(word).lower() if isinstance(word, bool) else word
