"""The configuration as the process holds it, and at the same time the description that the file is read by.

The one thing to get wrong: these types are walked, not merely annotated. A field added here is a key of the file; its
`Meta` is enforced, and a `Secret` may be written as `env:NAME` or `file:PATH`.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from consumers.account import Account
from consumers.rules import Rules
from schemas.checks import DAY, Checks, Seconds
from schemas.secret import Secret
from schemas.words import EventType
from worker.config.keys import digest_of
from worker.runtime.encryption import key_of

ALL_EVENTS = "payment.*"
JITTER = 0.05
"""A check is made later by up to this part of its delay, so that payments that began together do not stay together."""

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every such secret begins with

Id = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9-]{0,39}\Z",
        extra={"say": "an id is 1 to 40 of a-z, 0-9 and -, and does not begin with -"},
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
ApiKeys = Annotated[tuple[Secret, ...], Meta(min_length=1)]
Retention = Annotated[float, Meta(ge=DAY, extra={"duration": True})]
EventNames = Annotated[tuple[str, ...], Meta(min_length=1)]


class Webhook(Struct, frozen=True, kw_only=True):
    """An endpoint of the shop. `events` are exact types or `payment.*`.

    While there are `previous_secrets`, what is sent is signed with each of them too, so that a shop that still knows an
    older one can verify it.
    """

    url: str
    secret: Secret
    previous_secrets: tuple[Secret, ...] = ()
    events: EventNames = (ALL_EVENTS,)

    def wants(self, event: EventType) -> bool:
        return ALL_EVENTS in self.events or event in self.events

    @property
    def key(self) -> bytes:
        """The bytes that sign: what follows `whsec_`, base64-decoded."""
        return base64.b64decode(self.secret.reveal().removeprefix(WEBHOOK_SECRET_PREFIX))


class Merchant(Struct, frozen=True, kw_only=True):
    """`name` is what buyers see on our pages; without one they see none. Of each API key `load` keeps the hash."""

    id: Id
    name: Name | None = None
    api_keys: ApiKeys
    accounts: tuple[Account, ...] = ()
    webhooks: tuple[Webhook, ...] = ()


class Archive(Struct, frozen=True, kw_only=True):
    """Callbacks as received: encrypted with the first of `keys` and read with any; without keys they are plain.

    `retention` is how long they are kept, and the requests that payments were opened with; one that tells of the buyer
    goes as soon as its checkout is open.
    """

    keys: tuple[Secret, ...] = ()
    retention: Retention = 90 * DAY

    @property
    def cipher_keys(self) -> tuple[bytes, ...]:
        return tuple(key_of(key.reveal()) for key in self.keys)


class File(Struct, frozen=True, kw_only=True):
    """The keys of the TOML file."""

    return_wait: Seconds = 4.0
    allow_private_webhooks: bool = False
    allow_http_hosts: frozenset[str] = frozenset()
    checks: Checks = Checks()
    archive: Archive = Archive()
    merchants: Annotated[tuple[Merchant, ...], Meta(min_length=1)]


class Settings(Struct, frozen=True, kw_only=True):
    """What the environment says. `database_url` None: embedded, in `data_dir`; `amqp_url` None: queue in Postgres.

    `public_url` has no slash at its end. `trusted_proxies` are those whose `X-Forwarded-For` is believed.
    """

    config_path: Path
    database_url: Secret | None
    data_dir: Path
    amqp_url: Secret | None
    public_url: str
    listen: tuple[str, int]
    ops_listen: tuple[str, int]
    log: Literal["json", "console"]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def public_path(self) -> str:
        """What `public_url` has before all our paths: `/pay`, or nothing."""
        return urlsplit(self.public_url).path


class Config(File, frozen=True, kw_only=True):
    """Everything configured. `literal_secrets` are the paths of secrets written out in the file."""

    settings: Settings
    literal_secrets: tuple[str, ...] = ()

    @property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(account for merchant in self.merchants for account in merchant.accounts)

    def account(self, account_id: str) -> Account | None:
        for merchant in self.merchants:
            for account in merchant.accounts:
                if account.id == account_id:
                    return account
        return None

    def merchant(self, merchant_id: str) -> Merchant | None:
        return next((merchant for merchant in self.merchants if merchant.id == merchant_id), None)

    def merchant_by_key(self, presented: str) -> Merchant | None:
        """Whose API key this is. Takes the same time whichever key it is, and however much of one is right."""
        digest = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        found = None
        for merchant in self.merchants:
            for key in merchant.api_keys:
                if hmac.compare_digest(digest_of(key), digest):
                    found = merchant
        return found


def rules_of(config: Config) -> Rules:
    """What of the configuration the stages need to know."""
    return Rules(
        accounts={account.id: account for account in config.accounts},
        checks=config.checks,
        public_url=config.settings.public_url,
        jitter=JITTER,
    )
