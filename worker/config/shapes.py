"""The configuration as the process holds it, and at the same time the description by which the file is read.

A field that is added here becomes a key of the file. Its `Meta` is enforced, and a `Secret` may be written as
`env:NAME` or `file:PATH`.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from consumers.account import Account
from consumers.rules import Rules
from schemas.checks import DAY, Checks, Seconds
from schemas.secret import Secret
from schemas.words import EventType, Scope
from worker.config.console import Console
from worker.config.keys import WEBHOOK_SECRET_PREFIX, digest_of
from worker.config.settings import Settings
from worker.runtime.contacts import ContactKeys
from worker.runtime.encryption import key_of
from worker.runtime.sizes import GB, MB

ALL_EVENTS = "payment.*"
JITTER = 0.05
"""A check is made later by up to this part of its delay, so that payments that began together do not stay together."""

Id = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9-]{0,39}\Z",
        extra={"say": "an id is 1 to 40 of a-z, 0-9 and -, and does not begin with -"},
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Scopes = Annotated[frozenset[Scope], Meta(min_length=1)]
LISTED_KEYS_MAY = frozenset(Scope) - {Scope.RESOLVE}
"""What the keys of `api_keys` may: a person's decision needs a key that says so."""
Retention = Annotated[float, Meta(ge=DAY, extra={"duration": True})]
ArchiveSize = Annotated[int, Meta(ge=100 * MB, extra={"size": True})]
EventsRetention = Annotated[float, Meta(ge=30 * DAY, extra={"duration": True})]
"""Longer than webhooks are tried, and than a shop is away that reads the log."""
PaymentsRetention = Annotated[float, Meta(ge=366 * DAY, extra={"duration": True})]
"""Longer than a gateway speaks of a payment: refunds, disputes, statements of a year."""
EventNames = Annotated[tuple[str, ...], Meta(min_length=1)]


class Webhook(Struct, frozen=True, kw_only=True):
    """An endpoint of the shop. `events` are exact types or `payment.*`.

    With an `id`, what waits for the endpoint goes to its new URL when its URL changes. An id stays with its endpoint.

    While there are `previous_secrets`, webhooks are signed with each of them too. So a shop that still has an older
    secret can verify them.
    """

    id: Id | None = None
    url: str
    secret: Secret
    previous_secrets: tuple[Secret, ...] = ()
    events: EventNames = (ALL_EVENTS,)

    def wants(self, event: EventType) -> bool:
        return ALL_EVENTS in self.events or event in self.events

    @property
    def key(self) -> bytes:
        """The signing key: the text after `whsec_`, base64-decoded."""
        return base64.b64decode(self.secret.reveal().removeprefix(WEBHOOK_SECRET_PREFIX))


class ApiKey(Struct, frozen=True, kw_only=True):
    """An API key of a shop by its `name`, given as `hash` or as `key`. `load` keeps only the hash."""

    name: Id
    hash: Secret | None = None
    key: Secret | None = None
    may: Scopes

    @property
    def written(self) -> Secret:
        """The key or its hash, as it is configured. The rules of the configuration see to it that one is there."""
        written = self.hash if self.hash is not None else self.key
        assert written is not None, f"the key {self.name} has neither key nor hash"
        return written


class Merchant(Struct, frozen=True, kw_only=True):
    """`name` is shown to buyers on our pages; without it no name is shown. `load` keeps only hashes of the API keys."""

    id: Id
    name: Name | None = None
    api_keys: tuple[Secret, ...] = ()
    keys: tuple[ApiKey, ...] = ()
    accounts: tuple[Account, ...] = ()
    webhooks: tuple[Webhook, ...] = ()

    @property
    def every_key(self) -> tuple[ApiKey, ...]:
        """All of the shop's keys. Those of `api_keys` are named by their place, which no configured name can be."""
        listed = (
            ApiKey(name=f"api_keys[{index}]", key=key, may=LISTED_KEYS_MAY) for index, key in enumerate(self.api_keys)
        )
        return (*listed, *self.keys)


class Caller(Struct, frozen=True):
    """Who calls the API: a merchant, by one of its keys."""

    merchant: Merchant
    key: ApiKey


class Archive(Struct, frozen=True, kw_only=True):
    """Callbacks as received: encrypted with the first of `keys` and read with any. Without keys they are not encrypted.

    `retention` is how long callbacks and the requests that opened payments are kept. A request that holds a buyer's
    data is deleted as soon as its checkout is open. `max_size` is in bytes: from then on only digests are stored.
    """

    keys: tuple[Secret, ...] = ()
    retention: Retention = 90 * DAY
    max_size: ArchiveSize = 5 * GB

    @property
    def cipher_keys(self) -> tuple[bytes, ...]:
        return tuple(key_of(key.reveal()) for key in self.keys)


class Contacts(Struct, frozen=True, kw_only=True):
    """Keys of the hashes by which payments are found by a buyer's phone number or e-mail address.

    The first of `keys` hashes, and all of them find. Without keys nothing is stored, and nothing is found so. Hashes
    are kept as long as the archive.
    """

    keys: tuple[Secret, ...] = ()

    @property
    def hashing(self) -> ContactKeys:
        return ContactKeys([key_of(key.reveal()) for key in self.keys])


class Retained(Struct, frozen=True, kw_only=True):
    """How long events and whole payments are kept; None: for good. `[retention]` in the file.

    `payments` needs `events`, and is no shorter: a payment goes with its last event.
    """

    events: EventsRetention | None = None
    payments: PaymentsRetention | None = None


class File(Struct, frozen=True, kw_only=True):
    """The keys of the TOML file."""

    return_wait: Seconds = 4.0
    development: bool = False
    allow_private_webhooks: bool = False
    allow_http_hosts: frozenset[str] = frozenset()
    checks: Checks = Checks()
    archive: Archive = Archive()
    contacts: Contacts = Contacts()
    retention: Retained = Retained()
    console: Console = Console()
    merchants: Annotated[tuple[Merchant, ...], Meta(min_length=1)]


class Config(File, frozen=True, kw_only=True):
    """The whole configuration. `literal_secrets` are the paths of secrets that are written in the file itself."""

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

    def caller_by_key(self, presented: str) -> Caller | None:
        """The merchant that has this API key, and the key; None if nobody has it.

        Takes the same time for every key, and for every part of a right key.
        """
        digest = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        found = None
        for merchant in self.merchants:
            for key in merchant.every_key:
                if hmac.compare_digest(digest_of(key.written), digest):
                    found = Caller(merchant, key)
        return found


def rules_of(config: Config) -> Rules:
    """The part of the configuration that the domain needs."""
    return Rules(
        accounts={account.id: account for account in config.accounts},
        checks=config.checks,
        public_url=config.settings.public_url,
        jitter=JITTER,
        second_person_from=config.console.second_person_limit,
    )
