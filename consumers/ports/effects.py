"""The effects that a gateway's exchange may yield, and what it is sent back: requests, replies, the shared token."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from msgspec import Struct

from consumers.timing import TIMING
from schemas.secret import Secret

T = TypeVar("T")


class HttpRequest(Struct, frozen=True, kw_only=True):
    """Yielded to send a request. `url` is absolute, `body` is sent as it is, `seconds` is the deadline of the whole.

    `takes_money`: it begins within `Timing.execute_begins_within` of when its question was asked, or is not sent. It is
    sent a second time only where the first one is known not to have run.

    `secret_query` are parameters that follow those of `url`, for gateways that take a password there. They stand apart,
    so that no text of a request, an error or a span shows them. Only the transport calls `reveal_url`.
    """

    method: str
    url: str
    secret_query: tuple[tuple[str, Secret], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    seconds: float = TIMING.request_deadline.total_seconds()
    takes_money: bool = False

    def reveal_url(self) -> str:
        """The URL as it is sent, with its secrets."""
        if not self.secret_query:
            return self.url
        secrets = urlencode([(name, secret.reveal()) for name, secret in self.secret_query])
        return f"{self.url}{'&' if '?' in self.url else '?'}{secrets}"

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url})"


class HttpReply(Struct, frozen=True, kw_only=True):
    """A complete reply of any status. Header names are lower case; the body is at most 1 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpReply({self.status}, {len(self.body)} bytes)"


class NoReply(Exception):
    """Raised at the `yield` when the connection was refused or cut, or the reply was too long or late."""


class TokenWanted(Struct, frozen=True, kw_only=True):
    """Yielded to get the account's shared token. `stale`: the token that the gateway has just refused.

    The reply is the token's text. All processes share one token per account. The worker that runs the exchange calls
    `grant()`, never concurrently, if there is no token, it ends within a minute, or it equals `stale`.
    """

    stale: str | None = None


class Token(Struct, frozen=True, kw_only=True):
    """An access token that `grant()` returns. `seconds`: how long it is valid, by the gateway's word."""

    text: str
    seconds: int


Effect = HttpRequest | TokenWanted
EffectReply = HttpReply | str
Exchange = Generator[Effect, EffectReply, T]
"""The generator that a gateway's method returns. It yields effects, is sent their replies, and returns the outcome."""
