"""A merchant's account at one gateway. Claims, keys and call budgets are kept apart by account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from msgspec import Struct
from msgspec.structs import asdict, replace

from consumers.ports.gateway import Capabilities, Provider
from consumers.ports.openings import OpeningRefused
from schemas.answers import Answer, Executed
from schemas.secret import ElsewhereSecret, Secret
from schemas.statements import StatementMap

_Outcome = TypeVar("_Outcome")

_SHORTEST_SECRET = 4  # in characters; a number of a store with fewer would be cut out of every sentence


class Account(Struct, frozen=True, kw_only=True):
    """`id` is unique in the configuration; `merchant` is the merchant's id.

    `calls_per_second` is the budget of gateway calls that all workers share. None: no limit of ours.
    `pending_expires_after`: how many seconds after a payment's end `pending` proves that it was not paid, at a gateway
    whose `pending` does not prove it by itself. `statement`: how the account's statements are read, where that is
    configured.
    """

    id: str
    merchant: str
    provider: Provider
    calls_per_second: float | None = None
    pending_expires_after: float | None = None
    statement: StatementMap | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The gateway's declared capabilities, with `pending_expires_after` of this account."""
        declared = self.provider.capabilities
        if self.pending_expires_after is None:
            return declared
        return replace(declared, pending_expires_after=self.pending_expires_after)

    def without_secrets(self, outcome: _Outcome) -> _Outcome:
        """The outcome without the account's keys and passwords: a gateway may repeat what it was sent.

        It may do so in the words of a refusal, and in a status word that is in no table.
        """
        match outcome:
            case OpeningRefused(message=words):
                return replace(outcome, message=self._hidden(words))
            case Answer(word=word):
                return replace(outcome, word=self._hidden(word))
            case Executed(then=Answer() as then):
                return replace(outcome, then=self.without_secrets(then))
        return outcome

    def _hidden(self, text: str) -> str:
        secrets = {
            form for secret in _secrets_in(self.provider) for form in (secret, quote(secret, ""), quote_plus(secret))
        }
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text


def _secrets_in(value: Any) -> Iterator[str]:
    """The secrets of a provider's fields, of its tables too, that this process was given."""
    if isinstance(value, Secret):
        if not isinstance(value, ElsewhereSecret) and value.reveal():
            yield value.reveal()
    elif isinstance(value, Struct):
        yield from _secrets_in(asdict(value))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_in(inner)
