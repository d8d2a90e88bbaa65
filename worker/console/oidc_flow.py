"""A person on the way to the identity provider and back: what ties the answer to the browser that asked.

The browser's cookie has one random secret; state, nonce and PKCE's verifier are derived from it. An answer that another
browser asked for does not fit, and neither does a code that was asked for by another.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from hashlib import sha256

from aiohttp import web
from msgspec import Struct
from yarl import URL

from worker.config.url_parts import is_loopback
from worker.console.visit import Visit, is_own_path
from worker.postgres.console_confirmations import ANSWER_WITHIN, USE_WITHIN, use_confirmation

FLOW_COOKIE = "__Host-payproof-oidc"
CONFIRMED_COOKIE = "__Host-payproof-confirmed"
CALLBACK = "/sign-in/oidc/callback"
LONGEST_PATH = 1_000


class Flow(Struct, frozen=True, kw_only=True):
    """`onward`: the page that is opened after signing in. None: the person is signed in, and confirms an act."""

    secret: str
    onward: str | None

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """PKCE's code verifier."""
        return self._derived("verifier")

    @property
    def id_hash(self) -> bytes:
        """What the database has of the secret."""
        return confirmation_hash(self.secret)

    @property
    def cookie(self) -> str:
        return f"{self.secret}.{base64.urlsafe_b64encode((self.onward or '').encode()).decode()}"

    def _derived(self, purpose: str) -> str:
        return hmac.digest(self.secret.encode(), f"payproof-oidc:{purpose}".encode(), "sha256").hex()


def new_flow(onward: str | None) -> Flow:
    own = onward is None or (is_own_path(onward) and len(onward) <= LONGEST_PATH)
    return Flow(secret=secrets.token_urlsafe(32), onward=onward if own else "/")


def flow_of(request: web.Request) -> Flow | None:
    """The flow that this browser began; None where it began none, or too long ago."""
    secret, _, onward = request.cookies.get(FLOW_COOKIE, "").partition(".")
    try:
        path = base64.urlsafe_b64decode(onward.encode()).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return None
    if not secret or (path and not is_own_path(path)):
        return None
    return Flow(secret=secret, onward=path or None)


def begin(answer: web.StreamResponse, flow: Flow) -> None:
    """Have the browser keep the flow. The cookie is not strict: the answer comes from the provider's site."""
    seconds = int(ANSWER_WITHIN.total_seconds())
    answer.set_cookie(FLOW_COOKIE, flow.cookie, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def end(answer: web.StreamResponse) -> None:
    answer.del_cookie(FLOW_COOKIE, path="/", secure=True, httponly=True, samesite="Lax")


def set_confirmed(answer: web.StreamResponse, flow: Flow) -> None:
    """Have the browser keep the proof of a confirmation, apart from its session: a session alone confirms nothing."""
    answer.set_cookie(
        CONFIRMED_COOKIE,
        flow.secret,
        max_age=int(USE_WITHIN.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="Strict",
    )


async def used_confirmation(visit: Visit) -> bool:
    """Whether this browser has confirmed the act that it asks for. It counts once."""
    secret = visit.request.cookies.get(CONFIRMED_COOKIE, "")
    if not secret:
        return False
    return await use_confirmation(visit.database, confirmation_hash(secret), visit.session_hash, visit.request.path)


def confirmation_hash(secret: str) -> bytes:
    return sha256(b"payproof-confirmation:" + secret.encode("utf-8", "surrogateescape")).digest()


def redirect_uri(request: web.Request) -> str:
    """The console's own address, as the browser names it, where the provider sends people back to.

    A browser keeps the session's cookie over https, or on loopback: so it is https everywhere else.
    """
    scheme = "http" if is_loopback(request.url.host or "") else "https"
    return f"{scheme}://{request.host}{CALLBACK}"


def act_path(written: str) -> str:
    """The path of a form's action, as its request will have it."""
    return URL(written).path if is_own_path(written) and len(written) <= LONGEST_PATH else "/"
