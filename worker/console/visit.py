"""A request to the console: by an operator who is signed in (`Visit`), or by somebody who is not yet (`Guest`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aiohttp import web
from msgspec import Struct, field

from consumers.ports.bus import ClaimPublisher
from consumers.rules import Rules
from schemas.words import OperatorRole
from worker.config import Config, Merchant
from worker.config.console import Operator
from worker.config.operators import Operators
from worker.console.form_files import FormFile
from worker.console.operator_turns import Turns
from worker.console.sign_in import SignIn
from worker.console.sign_in_record import SignInRecord
from worker.console.wording import say
from worker.ingress.rate_limits import RateLimits
from worker.postgres.database import Database

if TYPE_CHECKING:
    from worker.console.identity_provider import Provider

HEAVY_AT_ONCE = 2
HEAVY_WAIT_SECONDS, HEAVY_SECONDS = 20.0, 120.0
HEAVY_LINE = 5
"""So many heavy requests of one operator may wait for that operator's own."""


class ConsoleContext(Struct, frozen=True, kw_only=True):
    """What every page may use. `database` is the console's own small pool; claims go by `claims`.

    `turns` bounds what an operator does at once, and `sessions` what a session does. `heavy` is for large files and
    long downloads: few at once, or they would take all memory and connections, and of each operator one
    (`heavy_turns`). `looks` is for a look at an uploaded statement: one at a time, in a process of its own that has
    192 MiB at most. `menu`: the roles that may open a page, by its path. `providers` has the identity provider in use.
    """

    config: Config
    rules: Rules
    operators: Operators
    database: Database
    claims: ClaimPublisher
    sign_in: SignIn
    sign_in_record: SignInRecord
    senders: RateLimits
    sessions: Turns
    turns: Turns
    heavy: asyncio.Semaphore
    looks: asyncio.Semaphore
    heavy_turns: Turns
    menu: Mapping[str, Collection[OperatorRole]]
    providers: list[Provider]

    @property
    def provider(self) -> Provider | None:
        """The identity provider that is configured now; None where there is none."""
        oidc = self.operators.console.oidc
        if oidc is None:
            return None
        if not self.providers or self.providers[0].oidc != oidc:
            from worker.console.identity_provider import Provider  # noqa: PLC0415 - its packages are an extra

            self.providers[:] = [Provider(oidc)]
        return self.providers[0]

    def address(self, request: web.Request) -> str:
        """Where the request comes from, behind trusted proxies."""
        return self.senders.address(request) or ""


class Guest(Struct, frozen=True, kw_only=True):
    """A request by somebody whom no session names. `form`: its fields; empty but for a POST."""

    request: web.Request
    context: ConsoleContext
    language: str
    form: Mapping[str, Any]

    def say(self, key: str, **values: object) -> str:
        """The text of this key in the person's language."""
        return say(self.language, key, **values)

    @property
    def address(self) -> str:
        return self.context.address(self.request)


class Visit(Guest, frozen=True, kw_only=True):
    """A request by an operator. `token` is the session's, as the browser's cookie has it. `turn` is the operator's."""

    operator: Operator
    token: str
    turn: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def database(self) -> Database:
        return self.context.database

    @asynccontextmanager
    async def heavy(self, free: asyncio.Semaphore | None = None) -> AsyncIterator[None]:
        """A turn for what takes much memory or a connection for long, in place of the operator's other turn.

        `free`: of these turns, in place of the context's `heavy`. Raises OutOfTurn where the operator has one already,
        and TimeoutError where none is free.
        """
        free = self.context.heavy if free is None else free
        await self.turn.aclose()
        async with self.context.heavy_turns.of(self.operator.name):
            async with asyncio.timeout(HEAVY_WAIT_SECONDS):
                await free.acquire()
            try:
                async with asyncio.timeout(HEAVY_SECONDS):
                    yield
            finally:
                free.release()

    @property
    def now(self) -> datetime:
        return self.database.clock.now()

    @property
    def merchants(self) -> tuple[Merchant, ...]:
        """The merchants that this operator sees. No page reads anything of another."""
        return tuple(one for one in self.context.config.merchants if self.operator.sees(one.id))

    @property
    def session_hash(self) -> bytes:
        return token_hash(self.token)

    @property
    def form_token(self) -> str:
        """What a form of this session has in its field `token`; another site cannot know it."""
        return form_token(self.token)

    def file(self, name: str) -> FormFile | None:
        """A file of the form; None where none was chosen."""
        value = self.form.get(name)
        return value if isinstance(value, FormFile) and value.body else None

    def field(self, name: str) -> str:
        """A text field of the form, without spaces around it; empty where it is missing."""
        value = self.form.get(name, "")
        return value.replace("\0", "").strip() if isinstance(value, str) else ""


def is_own_path(path: str) -> bool:
    """Whether this is a path of ours, and no address of another site."""
    return path.startswith("/") and not path.startswith("//") and not any(sign in path for sign in "\\\r\n\t")


def form_token(token: str) -> str:
    """The token that a form carries: made from the session's, which it does not give away."""
    return sha256(b"payproof-form:" + token.encode()).hexdigest()


def token_hash(token: str) -> bytes:
    """What the database has of a session's token."""
    return sha256(b"payproof-session:" + token.encode()).digest()
