"""The OpenID Connect provider: its discovery document and keys, the exchange of a code, and what its ID token proves.

Authlib speaks the protocol. Every call has a deadline, a bound on its answer, and follows no redirect. What a provider
sends is never part of a message: a reason is ours, or a word of the standard's.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
import warnings
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

import httpx
import msgspec
from authlib.deprecate import AuthlibDeprecationWarning
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from worker.config.oidc import Oidc, wrong_address
from worker.console.bounded_answers import BoundedTransport, TooLarge
from worker.console.id_tokens import (
    Person,
    ProviderRefused,
    checked_claims,
    name_of,
    number_of,
    signing_key,
    what_is_wrong,
)
from worker.console.oidc_flow import Flow

with warnings.catch_warnings():
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)  # it asks for httpx's successor, which few have yet
    from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError

SECONDS = 8.0
CALLS_AT_ONCE = 4
KEPT_SECONDS = 3600.0
ANEW_SECONDS = 60.0
"""An unknown key is looked for in keys that are fetched anew, but not more often than this."""
FAILED_SECONDS = 5.0
_Value = TypeVar("_Value")


class ProviderSilent(Exception):
    """The provider gave no answer that can be used. The message is for the log."""


class Discovery(Struct, frozen=True):
    """What is used of the provider's discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    @property
    def auth_method(self) -> str:
        """How the client names itself: in the form where that is possible, where every character is unambiguous."""
        offered = self.token_endpoint_auth_methods_supported
        return "client_secret_post" if "client_secret_post" in offered else "client_secret_basic"


class _Keys(Struct, frozen=True):
    keys: list[dict[str, Any]]


class Provider:
    """Speaks with the provider of one configuration."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self._tls = ssl.create_default_context()
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self._discovery = _Kept(self._fetch_discovery)
        self._keys = _Kept(self._fetch_keys)

    async def address(self, flow: Flow, redirect_uri: str) -> str:
        """Where the browser is sent. To confirm an act, the provider has to ask the person to sign in again."""
        discovery = await self.discovery()
        again = {"prompt": "login", "max_age": 0} if flow.onward is None else {}
        async with self._client(redirect_uri=redirect_uri) as client:
            url, _ = client.create_authorization_url(
                discovery.authorization_endpoint,
                state=flow.state,
                code_verifier=flow.verifier,
                nonce=flow.nonce,
                **again,
            )
        return str(url)

    async def person(self, flow: Flow, code: str, redirect_uri: str, said: str | None, now: datetime) -> Person:
        """Exchange the code of an answer. `said`: the issuer that the answer names.

        Raises ProviderSilent and ProviderRefused.
        """
        discovery = await self.discovery()
        expected = said or not discovery.authorization_response_iss_parameter_supported
        if not expected or said not in (None, discovery.issuer):
            raise ProviderRefused("iss of the answer")
        text = await self._exchange(discovery, flow, code, redirect_uri)
        claims = await self._claims(text, flow.nonce, now)
        return Person(name=name_of(claims, self.oidc.claim), signed_in_at=number_of(claims.get("auth_time")))

    async def discovery(self) -> Discovery:
        return await self._discovery.get(KEPT_SECONDS)

    async def keys(self) -> KeySet:
        return await self._keys.get(KEPT_SECONDS)

    async def _exchange(self, discovery: Discovery, flow: Flow, code: str, redirect_uri: str) -> str:
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._turns,
                self._client(redirect_uri=redirect_uri, auth_method=discovery.auth_method) as client,
            ):
                token = await client.fetch_token(
                    discovery.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=flow.verifier,
                )
        except OAuthError as error:
            raise ProviderRefused(f"token endpoint: {standard_word(error.error)}") from None
        except (TimeoutError, httpx.HTTPError, ValueError, TypeError) as error:
            raise ProviderSilent(f"token endpoint: {_why(error)}") from None
        text = token.get("id_token")
        if not isinstance(text, str):
            raise ProviderRefused("no ID token")
        return text

    async def _claims(self, text: str, nonce: str, now: datetime) -> dict[str, Any]:
        """The claims of an ID token that is ours, by its signature and by each claim that says so."""
        try:
            try:
                return checked_claims(text, await self.keys(), self.oidc, nonce, now)
            except InvalidKeyIdError:
                return checked_claims(text, await self._keys.get(ANEW_SECONDS), self.oidc, nonce, now)
        except JoseError as error:
            raise ProviderRefused(f"ID token: {what_is_wrong(error)}") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ProviderRefused("ID token: unreadable") from None

    async def _fetch_discovery(self) -> Discovery:
        found = await self._fetch(f"{self.oidc.issuer.rstrip('/')}/.well-known/openid-configuration", Discovery)
        if found.issuer != self.oidc.issuer:
            raise ProviderSilent("discovery: it names another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if wrong := wrong_address(getattr(found, name)):
                raise ProviderSilent(f"discovery: {name} {wrong}")
        return found

    async def _fetch_keys(self) -> KeySet:
        discovery = await self.discovery()
        found = await self._fetch(discovery.jwks_uri, _Keys)
        keys = [key for one in found.keys if (key := signing_key(one)) is not None]
        if not keys:
            raise ProviderSilent("keys: none that signs")
        return KeySet(keys)

    async def _fetch(self, url: str, kind: type[_Value]) -> _Value:
        what = "keys" if kind is _Keys else "discovery"
        try:
            async with asyncio.timeout(SECONDS), self._turns, self._client() as client:
                answer = await client.request("GET", url, withhold_token=True)
        except (TimeoutError, httpx.HTTPError) as error:
            raise ProviderSilent(f"{what}: {_why(error)}") from None
        if answer.status_code != httpx.codes.OK:
            raise ProviderSilent(f"{what}: status {answer.status_code}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ProviderSilent(f"{what}: not as the standard says") from None

    def _client(self, redirect_uri: str | None = None, auth_method: str | None = None) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self.oidc.client_id,
            client_secret=self.oidc.client_secret.reveal(),
            token_endpoint_auth_method=auth_method,
            scope=self.oidc.scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            transport=BoundedTransport(self._tls),
            headers={"Accept-Encoding": "identity"},
            timeout=SECONDS,
            follow_redirects=False,
            trust_env=False,
        )


def standard_word(text: object) -> str:
    """An error code of the standards, which are of small letters and _; anything else is not repeated."""
    plain = isinstance(text, str) and 0 < len(text) <= 50 and text.replace("_", "").isalpha() and text.isascii()
    return str(text) if plain else "an error"


class _Kept(Generic[_Value]):
    """A value that is fetched by one at a time, and kept. A failure is kept too, for seconds."""

    def __init__(self, fetch: Callable[[], Awaitable[_Value]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._value: _Value | None = None
        self._fetched_at = self._failed_at = -math.inf
        self._failure = ProviderSilent()

    async def get(self, youngest: float) -> _Value:
        """The value if it is younger than so many seconds, else a new one. Raises ProviderSilent."""
        async with self._lock:
            if self._value is not None and time.monotonic() - self._fetched_at < youngest:
                return self._value
            if time.monotonic() - self._failed_at < FAILED_SECONDS:
                raise ProviderSilent(*self._failure.args)
            try:
                value = await self._fetch()
            except ProviderSilent as error:
                self._failed_at, self._failure = time.monotonic(), error
                raise
            self._value, self._fetched_at = value, time.monotonic()
            return value


def _why(error: Exception) -> str:
    match error:
        case TimeoutError() | httpx.TimeoutException():
            return f"no answer within {SECONDS:g} s"
        case TooLarge():
            return str(error)
        case httpx.HTTPStatusError():
            return f"status {error.response.status_code}"
        case httpx.ConnectError():
            return "no connection"
        case httpx.HTTPError():
            return "the connection was cut, or the answer is no HTTP"
        case _:
            return "not as the standard says"
