"""What an ID token proves: whose it is, by its signature and its claims, and when the person signed in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry
from msgspec import Struct

from worker.config.oidc import Oidc

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a private key alone: with any other, a reader of the public keys could sign."""
LEEWAY = timedelta(seconds=60)
"""By so much the provider's clock and ours may differ."""
FRESH_LEEWAY = timedelta(seconds=30)
"""By so much a sign-in may seem to be older than the question, where it has to be newer."""
OLDEST_TOKEN = timedelta(minutes=10)
LATEST = 2.0**40


class ProviderRefused(Exception):
    """What the provider said proves nothing. The message is for the log."""


class NotFresh(ProviderRefused):
    """The provider did not say that the person signed in just now."""


class Person(Struct, frozen=True, kw_only=True):
    """Whom an ID token proves. `name`: the configured claim; None where there is none that can be believed."""

    name: str | None
    signed_in_at: float | None


def checked_claims(text: str, keys: KeySet, oidc: Oidc, nonce: str, now: datetime) -> dict[str, Any]:
    """The claims of a token that is ours. Raises ProviderRefused, JoseError, InvalidKeyIdError for an unknown key."""
    claims = _verified(text, keys)
    wanted = {
        "iss": {"essential": True, "value": oidc.issuer},
        "aud": {"essential": True, "value": oidc.client_id},
    }
    params = {"nonce": nonce, "client_id": oidc.client_id}
    token = CodeIDToken(claims, {}, options=wanted, params=params)
    token.validate(now=int(now.timestamp()), leeway=int(LEEWAY.total_seconds()))
    if claims["iat"] < (now - OLDEST_TOKEN - LEEWAY).timestamp():
        raise ProviderRefused("ID token: too old")
    return claims


def check_fresh(person: Person, asked_at: datetime, now: datetime) -> None:
    """Raises NotFresh unless the person signed in at the provider after they were asked to."""
    earliest, latest = (asked_at - FRESH_LEEWAY).timestamp(), (now + LEEWAY).timestamp()
    if person.signed_in_at is None:
        raise NotFresh("auth_time: missing")
    if not earliest <= person.signed_in_at <= latest:
        raise NotFresh("auth_time: not after the question")


def _verified(text: str, keys: KeySet) -> dict[str, Any]:
    """The claims, if one of these keys signed them. Raises JoseError, and InvalidKeyIdError for an unknown key."""
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    return jwt.decode(text, keys, registry=registry).claims


def signing_key(data: dict[str, Any]) -> Key | None:
    """A public key that signs; None for any other, of which a set may have some."""
    if data.get("kty") not in ("RSA", "EC") or data.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(data)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def name_of(claims: dict[str, Any], claim: str) -> str | None:
    """The person's name. An e-mail address is believed only where the provider has verified it."""
    name = claims.get(claim)
    if not isinstance(name, str) or (claim == "email" and claims.get("email_verified") is not True):
        return None
    return name


def number_of(value: object) -> float | None:
    """A time in seconds since 1970; None for anything else, such as a number that is too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LATEST:
        return None
    return float(value)


def what_is_wrong(error: JoseError) -> str:
    """The error's code, and the name of a registered claim."""
    claim = getattr(error, "claim", None)
    return (
        f"{error.error} {claim}" if claim in ("iss", "aud", "azp", "exp", "nbf", "iat", "nonce", "sub") else error.error
    )
