"""`[console.oidc]`: the OpenID Connect provider that proves who a person is. `operators` says what they may."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from schemas.secret import Secret
from worker.config.url_parts import is_loopback, split_url

EXTRA = ("authlib", "httpx")
INSTALL = "pip install 'payproof[oidc]'"

Claim = Literal["email", "preferred_username", "sub"]
_SCOPES: Mapping[Claim, str] = {"email": "openid email", "preferred_username": "openid profile", "sub": "openid"}


class Oidc(Struct, frozen=True, kw_only=True):
    """`issuer` is written exactly as the provider writes it. `claim` of its ID token is the operator's name."""

    issuer: Annotated[str, Meta(min_length=1, max_length=500)]
    client_id: Annotated[
        str, Meta(pattern=r"\A[!-~]{1,255}\Z", extra={"say": "must have 1 to 255 ASCII characters, without spaces"})
    ]
    client_secret: Secret
    claim: Claim = "email"

    @property
    def scope(self) -> str:
        """The scopes that bring the claim."""
        return _SCOPES[self.claim]

    @property
    def host(self) -> str:
        """The provider's host, by which people know it."""
        return split_url(self.issuer)[1]


class Notes(Protocol):
    """Where problems are noted."""

    def note(self, path: str, message: str) -> object: ...


def check_oidc(notes: Notes, values: Mapping[str, Any], path: str) -> None:
    issuer = values.get("issuer")
    if issuer is not None and (wrong := wrong_address(issuer)):
        notes.note(f"{path}.issuer", wrong)
    elif issuer is not None and "?" in issuer:
        notes.note(f"{path}.issuer", "must have no query")


def wrong_address(url: str) -> str | None:
    """Why no secret may be sent to this address, or fetched from it; None where it may."""
    scheme, host = split_url(url)
    if not host:
        return "must be an https URL without fragment and user"
    if scheme != "https" and not is_loopback(host):
        return "must be https; http is for loopback alone"
    return None


def missing_extra() -> str | None:
    """What to do where the packages of the extra are not installed; None where they are."""
    if all(find_spec(name) is not None for name in EXTRA):
        return None
    return f"needs packages that are not installed: {INSTALL}"
