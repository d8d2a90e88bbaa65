"""A request to the console: by an operator who is signed in (`Visit`), or by somebody who is not yet (`Guest`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from aiohttp import web
from msgspec import Struct

from consumers.ports.bus import ClaimPublisher
from consumers.rules import Rules
from schemas.words import OperatorRole
from worker.config import Config, Merchant
from worker.config.console import Operator
from worker.config.operators import Operators
from worker.console.form_files import FormFile
from worker.console.sign_in import SignIn
from worker.console.wording import say
from worker.ingress.rate_limits import RateLimits
from worker.postgres.database import Database


class ConsoleContext(Struct, frozen=True, kw_only=True):
    """What every page may use. `database` is the console's own small pool; claims go by `claims`.

    `menu`: the roles that may open a page, by its path.
    """

    config: Config
    rules: Rules
    operators: Operators
    database: Database
    claims: ClaimPublisher
    sign_in: SignIn
    senders: RateLimits
    menu: Mapping[str, Collection[OperatorRole]]

    def address(self, request: web.Request) -> str:
        """Where the request comes from, behind trusted proxies."""
        return str(self.senders.client(request) or "")


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
    """A request by an operator. `token` is the session's, as the browser's cookie has it."""

    operator: Operator
    token: str

    @property
    def database(self) -> Database:
        return self.context.database

    @property
    def now(self) -> datetime:
        return self.database.clock.now()

    @property
    def merchants(self) -> tuple[Merchant, ...]:
        """The merchants that this operator sees. No page reads anything of another."""
        return tuple(one for one in self.context.config.merchants if self.operator.sees(one.id))

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
        return value.strip() if isinstance(value, str) else ""


def form_token(token: str) -> str:
    """The token that a form carries: made from the session's, which it does not give away."""
    return sha256(b"payproof-form:" + token.encode()).hexdigest()


def token_hash(token: str) -> bytes:
    """What the database has of a session's token."""
    return sha256(b"payproof-session:" + token.encode()).digest()
