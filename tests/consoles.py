"""The console in front of a real database, and its operators: over HTTP, and as sessions for a browser.

Every operator has the password PASSWORD. `Console.signed_in` begins a session without the form, because a code is
accepted once in half a minute.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from msgspec import Struct
from msgspec.structs import replace

from schemas.secret import Secret
from schemas.words import OperatorRole, SignInOutcome
from tests.integration.shops import CONFIG
from tests.local_server import serving
from worker.config import Config
from worker.config import console as config_console
from worker.config.operators import Operators, credentials_of
from worker.console.access import COOKIE
from worker.console.console_app import console_app
from worker.console.visit import form_token, token_hash
from worker.postgres.console_sessions import begin_session
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus

PASSWORD = "correct horse battery staple"
ROLES = {"viewer": "vera", "operator": "omar", "approver": "abida", "auditor": "aziz"}
"""An operator of each role, of all merchants. There is also `anis`, a second approver, and `onlyother`, an approver of
the merchant `other` alone."""


@cache
def password_hash(name: str) -> str:
    """A hash that costs little to compare."""
    salt = name.encode().ljust(16, b".")[:16]
    return Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=8 * 1024).derive_phc_encoded(
        PASSWORD.encode()
    )


def totp_key(name: str) -> bytes:
    return name.lower().encode().ljust(20, b"-")


def operator(name: str, role: str, *merchants: str) -> config_console.Operator:
    return config_console.Operator(
        name=name,
        role=OperatorRole(role),
        merchants=merchants or None,
        password=Secret(password_hash(name)),
        totp=Secret(base64.b32encode(totp_key(name)).decode()),
    )


OPERATORS = (
    *(operator(name, role) for role, name in ROLES.items()),
    operator("anis", "approver"),
    operator("onlyother", "approver", "other"),
)


class Answer(Struct, frozen=True):
    status: int
    text: str
    headers: Mapping[str, str]
    location: str | None


class Signed:
    """A browser without a face, of one operator; or of nobody. It follows no redirect."""

    def __init__(self, url: str, token: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.url, self.token, self.headers = url, token, dict(headers or {})

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._request("GET", path, headers)

    async def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """Post a form as a page of the console does, with its session's token unless `fields` has another."""
        form = {"token": form_token(self.token), **(fields or {})}
        return await self._request("POST", path, {"Origin": self.url, "Sec-Fetch-Site": "same-origin", **headers}, form)

    async def _request(
        self, method: str, path: str, headers: Mapping[str, str], form: Mapping[str, Any] | None = None
    ) -> Answer:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent = {name: value for name, value in sent.items() if value}
        if self.token:
            sent["Cookie"] = f"{COOKIE}={self.token}"
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(method, f"{self.url}{path}", headers=sent, data=form, allow_redirects=False) as answer,
        ):
            for name, cookie in answer.cookies.items():
                if name == COOKIE:
                    self.token = cookie.value
            text = (await answer.read()).decode("utf-8", "replace")
            return Answer(answer.status, text, dict(answer.headers), answer.headers.get("Location"))


class Console:
    """A running console. `operators` may be read anew, as on SIGHUP."""

    def __init__(self, url: str, database: Database, operators: Operators, app: Any) -> None:
        self.url, self.database, self.operators, self.app = url, database, operators, app

    def nobody(self, **headers: str) -> Signed:
        return Signed(self.url, headers=headers)

    async def signed_in(self, name: str) -> Signed:
        """A new session of this operator."""
        token = f"session-of-{name}-{asyncio.get_running_loop().time()}"
        found = self.operators.named(name)
        assert found is not None
        await begin_session(self.database, token_hash(token), found.name, credentials_of(found), "127.0.0.1")
        return Signed(self.url, token)

    async def by_form(self, name: str, password: str = PASSWORD, code: str | None = None) -> tuple[Signed, Answer]:
        """Sign in by the form. A code that was used is forgotten before, unless one is given."""
        signed = self.nobody()
        if code is None:
            await self.database.execute("DELETE FROM console_codes WHERE operator = $1", name)
            code = self.code(name)
        answer = await signed.post("/sign-in", {"name": name, "password": password, "code": code, "next": "/"})
        return signed, answer

    def code(self, name: str) -> str:
        """The operator's present one-time code."""
        seconds = int(self.database.clock.now().timestamp())
        return TOTP(totp_key(name), 6, SHA1(), 30, enforce_key_length=False).generate(seconds).decode()


@asynccontextmanager
async def running_console(
    database: Database,
    *,
    config: Config = CONFIG,
    console: config_console.Console | None = None,
    count_sign_in: Callable[[SignInOutcome], object] = lambda _: None,
) -> AsyncIterator[Console]:
    """A console on a port of its own, in the test's loop, with OPERATORS unless others are given."""
    whole = replace(config, console=console or config_console.Console(operators=OPERATORS))
    operators = Operators(whole.console)
    app = console_app(whole, operators, database, PostgresBus(database), count_sign_in)
    async with serving(app) as url:
        yield Console(url, database, operators, app)


def tokens_in(page: str) -> set[str]:
    """The tokens of the forms on a page."""
    return set(re.findall(r'name="token" value="([0-9a-f]+)"', page))
