"""OnePayBD, which resells bKash Tokenized Checkout (`bkash_checkout.py`) under its own paths and key.

Source: S1, as `bkash_checkout.py` names it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import ClassVar

from msgspec import field

from consumers.providers import kit
from consumers.providers.bkash_checkout import STATUSES, CallPaths, TokenizedCheckout

__all__ = ["STATUSES", "OnePayBD", "Paths"]


class Paths(CallPaths, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """S1 documents `/create`. The others are UNKNOWN, so configurable."""

    grant: kit.CallPath = "/grant"
    create: kit.CallPath = "/create"
    execute: kit.CallPath = "/execute"
    status: kit.CallPath = "/status"


class OnePayBD(TokenizedCheckout, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One OnePayBD account. With `capture` only payproof calls Execute. Without it the shop does, and we only ask."""

    name: ClassVar[str] = "onepaybd"
    usual_lifetime: ClassVar[int] = 3600
    shortest_lifetime: ClassVar[int] = 300

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

    def call_paths(self) -> CallPaths:
        return self.paths

    def keys(self, token: str | None) -> Iterable[tuple[str, str]]:
        """The `apikey` on every call (S1). The grant also has bKash's username and password, where configured."""
        own = ("apikey", self.api_key.reveal())
        if token is not None:
            return (own, ("authorization", f"Bearer {token}"))
        return (own, *_revealed({"username": self.username, "password": self.password}).items())

    def grant(self) -> Generator[kit.HttpRequest, kit.HttpReply, kit.Token | kit.Inconclusive]:
        """POST /grant, with all configured credentials. Which of them OnePayBD needs is UNKNOWN."""
        return self.granted(_revealed({"app_key": self.app_key, "app_secret": self.app_secret}))

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        """Always unsigned: the `signature` of a return is the same for success, failure and cancel (S1)."""
        return kit.never_signed(callback, "OnePayBD")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        return self.read_return(callback)


def _revealed(secrets: Mapping[str, kit.Secret | None]) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in secrets.items() if secret is not None}
