"""An OpenID Connect provider of the tests: it signs people in as it should, or misbehaves as a test tells it.

It listens on `localhost`, another site than the console's `127.0.0.1`, so that browsers treat its answers as they treat
those of a real one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from msgspec import Struct

from schemas.secret import Secret
from tests.consoles import Answer
from tests.local_server import serving
from worker.config.oidc import Claim, Oidc
from worker.console.access import COOKIE
from worker.console.visit import form_token

CLIENT, CLIENT_SECRET = "the-console", "the secret of the client & more"
PERSON = {"sub": "s-Abida", "email": "abida@shop.example", "email_verified": True, "preferred_username": "abida"}
LONGER_THAN_ANY_BOUND = 2 * 1024 * 1024


@cache
def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@cache
def ec(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


class Grant(Struct, frozen=True):
    """A code that was given out, and what it was asked for with."""

    query: Mapping[str, str]
    signed_in_at: int


Forge = Callable[["TestProvider", dict[str, Any]], str]
Handler = Callable[[web.Request], Any]


class TestProvider:
    """`claims` replace those of its ID tokens, or remove them with None. `forge` makes the ID token in its own way.

    `answers` replace the handlers of its paths. `asked` are the queries of its authorization endpoint, `calls` counts
    the requests by path. `session_at`: when the browser signed in there, as far as it still knows.
    """

    __test__ = False

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[RSAKey | ECKey] = [rsa("rsa-1"), ec("ec-1")]
        self.key: RSAKey | ECKey = self.keys[0]
        self.alg = "RS256"
        self.person: dict[str, Any] = dict(PERSON)
        self.claims: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.forge: Forge | None = None
        self.answers: dict[str, Handler] = {}
        self.asked: list[dict[str, str]] = []
        self.calls = Counter[str]()
        self.grants: dict[str, Grant] = {}
        self.session_at: int | None = None
        self.heeds_prompt = True
        self.checks_pkce = True

    def oidc(self, claim: Claim = "email") -> Oidc:
        return Oidc(issuer=self.url, client_id=CLIENT, client_secret=Secret(CLIENT_SECRET), claim=claim)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._answering(self._discovery))
        app.router.add_get("/keys", self._answering(self._keys))
        app.router.add_get("/authorize", self._answering(self._authorize))
        app.router.add_post("/authorize", self._answering(self._signed_in))
        app.router.add_post("/token", self._answering(self._token))
        app.router.add_get("/reached", self._answering(self._keys))
        return app

    def answer_to(self, address: str) -> str:
        """The path and query of the console that a person is sent back to, who signs in at this address."""
        query = dict(parse_qsl(urlsplit(address).query))
        self.asked.append(query)
        back = urlsplit(self._back(query, int(time.time())))
        return f"{back.path}?{back.query}"

    def id_token(self, grant: Grant) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": grant.query["nonce"],
            "auth_time": grant.signed_in_at,
            **self.person,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.forge is not None:
            return self.forge(self, claims)
        return jwt.encode({"alg": self.alg, "kid": self.key.kid}, claims, self.key, algorithms=[self.alg])

    def _answering(self, usual: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.calls[request.path] += 1
            made = self.answers.get(request.path, usual)(request)
            return made if isinstance(made, web.StreamResponse) else await made

        return answer

    def _discovery(self, _: web.Request) -> web.Response:
        usual = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
        }
        return web.json_response({**usual, **self.discovery})

    def _keys(self, _: web.Request) -> web.Response:
        strange = [{"kty": "AKP", "kid": "new", "pub": "AA"}, {"kty": "RSA", "use": "enc"}, {"kty": "RSA", "n": 1}]
        return web.json_response({"keys": [*strange, *(key.as_dict(private=False) for key in self.keys)]})

    def _authorize(self, request: web.Request) -> web.StreamResponse:
        """A page with one button; or straight back, for a browser that has signed in here and need not again."""
        query = dict(request.query)
        self.asked.append(query)
        asks = self.heeds_prompt and query.get("prompt") == "login"
        if self.session_at is not None and not asks:
            raise web.HTTPFound(self._back(query, self.session_at))
        form = (
            f'<form method="post" action="/authorize?{urlencode(query)}"><button>Sign in as the person</button></form>'
        )
        page = f'<!doctype html><html lang="en"><title>The provider</title><h1>The provider</h1>{form}'
        return web.Response(text=page, content_type="text/html")

    def _signed_in(self, request: web.Request) -> web.StreamResponse:
        self.session_at = int(time.time())
        raise web.HTTPFound(self._back(dict(request.query), self.session_at))

    def _back(self, query: dict[str, str], signed_in_at: int) -> str:
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = f"4/{secrets.token_urlsafe(16)}"
        self.grants[code] = Grant(query, signed_in_at)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        grant = self.grants.pop(str(form.get("code")), None)  # a code counts once
        if not self._is_client(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        challenge = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        fits = grant is not None and (not self.checks_pkce or _encoded(challenge) == grant.query["code_challenge"])
        if grant is None or not fits or form.get("redirect_uri") != grant.query["redirect_uri"]:
            return web.json_response({"error": "invalid_grant", "error_description": "secret words"}, status=400)
        return web.json_response(
            {"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.id_token(grant)}
        )

    def _is_client(self, request: web.Request, form: Mapping[str, Any]) -> bool:
        if "client_secret_post" in self.discovery.get("token_endpoint_auth_methods_supported", ()):
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT, CLIENT_SECRET)
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {basic}" and "client_secret" not in form


class Browser:
    """Keeps cookies, and sends none that is strict along with an answer that comes from the provider's site."""

    def __init__(self, url: str) -> None:
        self.url, self.cookies, self.strict = url, dict[str, str](), set[str]()

    async def get(self, path: str, *, from_provider: bool = False) -> Answer:
        return await self._request("GET", path, None, from_provider=from_provider)

    async def post(self, path: str, **fields: str) -> Answer:
        return await self._request("POST", path, {"token": form_token(self.cookies.get(COOKIE, "")), **fields})

    async def _request(
        self, method: str, path: str, form: dict[str, str] | None, *, from_provider: bool = False
    ) -> Answer:
        sent = {n: v for n, v in self.cookies.items() if not (from_provider and n in self.strict)}
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in sent.items()), "Origin": self.url}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(method, f"{self.url}{path}", headers=headers, data=form, allow_redirects=False) as got,
        ):
            for name, cookie in got.cookies.items():
                assert cookie["secure"]
                assert cookie["httponly"] or name == "__Host-language"
                assert cookie["path"] == "/"
                self.cookies[name] = cookie.value
                (self.strict.add if cookie["samesite"] == "Strict" else self.strict.discard)(name)
                if cookie["max-age"] == "0":
                    del self.cookies[name]
            return Answer(got.status, await got.text(), dict(got.headers), got.headers.get("Location"))

    async def begin(self, path: str = "/sign-in/oidc?next=/session") -> str:
        """Be sent to the provider. Returns its address."""
        answer = await self.get(path)
        assert answer.status == 303, answer.text
        return answer.location or ""

    async def sign_in(self, provider: TestProvider) -> Answer:
        return await self.get(provider.answer_to(await self.begin()), from_provider=True)


@asynccontextmanager
async def provider_running(tls: ssl.SSLContext | None = None) -> AsyncIterator[TestProvider]:
    provider = TestProvider()
    async with serving(provider.app(), tls) as url:
        provider.url = url.replace("127.0.0.1", "localhost")
        yield provider


def unsigned(_: TestProvider, claims: dict[str, Any]) -> str:
    """`alg` none, as whoever has no key at all would write it."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*map(_encoded, parts), ""])


def by_public_key(provider: TestProvider, claims: dict[str, Any]) -> str:
    """HS256 with the public key as its secret, by whoever read that key."""
    head = {"alg": "HS256", "kid": provider.key.kid}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{_encoded(hmac.digest(provider.key.as_pem(private=False), signed.encode(), 'sha256'))}"


def by_foreign_key(provider: TestProvider, claims: dict[str, Any]) -> str:
    """Another's key under the name of the provider's."""
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, rsa("foreign"))


def by_key_of_the_token(_: TestProvider, claims: dict[str, Any]) -> str:
    """Another's key, which the token itself brings along."""
    foreign = rsa("foreign")
    return jwt.encode({"alg": "RS256", "kid": "foreign", "jwk": foreign.as_dict(private=False)}, claims, foreign)


def changed_afterwards(provider: TestProvider, claims: dict[str, Any]) -> str:
    """The claims of another person under a signature of the provider's."""
    head, _, signature = jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, provider.key).split(".")
    other = json.dumps({**claims, "email": "omar@shop.example"}).encode()
    return ".".join([head, _encoded(other), signature])


def not_a_token(_: TestProvider, __: dict[str, Any]) -> str:
    return "x.y.z"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
