"""The `status_check` of a PayParse account: its status API, and how the fields and words of its reply are read.

A word may stand in one list only. The form of "not found" must not be one that a proxy could send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from consumers.providers import kit

_TROUBLED = (401, 403, 408, 429)  # a reply with one of these is not read

POINTED = (kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY, kit.Id.TRANSACTION, kit.Id.SESSION, kit.Id.REFERENCE)
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
            wrong.append(kit.FieldError(field="http", message="is 2xx or 4xx, but none of 401, 403, 408 and 429"))
        if not kit.is_pointer(self.at):
            wrong.append(kit.FieldError(field="at", message="is no JSON pointer such as /error/code"))
        if not self.words:
            wrong.append(kit.FieldError(field="words", message="needs at least one word"))
        if wrong:
            raise kit.Misconfigured(wrong)


class StatusCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The status API of an account, which PayParse does not document.

    `path` follows `base_url`; `{session_id}` and `{reference}` in it are replaced. `status` to `reference` are JSON
    pointers into its reply; `completed` to `refunded` are its words for each status. Without `not_found`, no reply
    means "not found". Raises Misconfigured for a table with an error.
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
            wrong.append(kit.FieldError(field="path", message="begins with /"))
        placeholders = set(re.findall(r"\{[^}]*\}", self.path))
        if not placeholders or not placeholders <= {"{session_id}", "{reference}"}:
            wrong.append(
                kit.FieldError(field="path", message="holds {session_id} or {reference}, and nothing else in braces")
            )
        for name in ("status", *POINTED):
            pointer = getattr(self, name)
            if pointer is not None and not kit.is_pointer(pointer):
                wrong.append(kit.FieldError(field=name, message=f"is no JSON pointer such as /data/{name}"))
        words = [word for status in kit.Status for word in getattr(self, status.value)]
        if not self.completed:
            wrong.append(kit.FieldError(field="completed", message="needs at least one word"))
        if twice := sorted({word for word in words if words.count(word) > 1}):
            wrong.append(kit.FieldError(field="completed", message=f"and the other lists share {', '.join(twice)}"))
        if wrong:
            raise kit.Misconfigured(wrong)

    @property
    def statuses(self) -> Mapping[str, kit.Status]:
        return {word: status for status in kit.Status for word in getattr(self, status.value)}
