"""A finding of the doctor, and the findings about secrets in the configuration, open files and the broker.

A finding names the place of a secret, and never prints the secret.
"""

from __future__ import annotations

import resource
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from schemas.secret import ElsewhereSecret, Secret
from schemas.words import Scope
from worker.amqp.diagnose import Diagnosis
from worker.amqp.message_size import MAX_MESSAGE
from worker.amqp.topology import DEAD, EXPECTED
from worker.config import Config
from worker.config.shapes import LISTED_KEYS_MAY
from worker.config.url_parts import is_loopback
from worker.postgres.server.identity import NOT_AS_ROOT, is_root
from worker.runtime.encryption import key_of

FILES_BESIDE_CONNECTIONS = 200
"""Files that a process opens besides: connections to the database, the broker, gateways and endpoints, and its log."""

LEAST_DISTINCT = 16
"""Different bytes of a key. Of 32 random bytes fewer are different once in 10,000,000,000,000,000 drawings."""

Mark = Literal["ok", "!!", "no"]
"""`no` is wrong, and the command ends with 1. `!!` is a warning: it may be meant so."""


class Finding(Struct, frozen=True):
    """The mark, the subject, the finding in words, and what to do."""

    mark: Mark
    subject: str
    words: str
    to_do: str = ""


_ELECT = "rabbitmq-queues quorum_status tells more; restarting its node of RabbitMQ has a leader elected again"


def broker_findings(examined: Diagnosis) -> Iterator[Finding]:
    """Findings about the broker. A silent queue is named: the others work, so only its gateway's buyers notice."""
    if examined.trouble is not None:
        yield Finding("no", "broker", examined.trouble)
    elif not examined.silent:
        words = "reachable, it lets us in, its queues are as they must be, and it confirms what is published"
        yield Finding("ok", "broker", words)
    for node in examined.away:
        words = f"the node {node} of PAYPROOF_AMQP_URL takes no connection of ours; the others do the work"
        yield Finding("!!", "broker", words, "look at rabbitmqctl cluster_status")
    for queue in examined.silent:
        waits = "claims that fail again and again cannot be put aside" if queue == DEAD else "its gateway's claims wait"
        words = f"it does not answer, as a queue that lost its leader; {waits}, and the other queues flow"
        yield Finding("no", f"queue {queue}", words, _ELECT)
    if examined.trouble is None and not examined.bounded:
        seen = "it takes messages" if examined.bounded is False else "it did not show whether it takes messages"
        words = f"{seen} of more than 1 MiB; who may write to {EXPECTED} could fill its memory and its disk"
        to_do = f"max_message_size = {MAX_MESSAGE} in its rabbitmq.conf, as in deploy/rabbitmq/payproof.conf"
        yield Finding("!!", "broker", words, to_do)
    if examined.dead:
        yield Finding(
            "!!", "dead letters", f"{examined.dead} waiting at the broker", "look at them with payproof dead list"
        )


def file_findings(config: Config) -> Iterator[Finding]:
    """A finding where a process like this one may not open a file for each of its connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.settings.max_connections + FILES_BESIDE_CONNECTIONS
    if most != resource.RLIM_INFINITY and most < needed:
        words = f"a process may open {most} files here, and {needed} are needed for {needed - FILES_BESIDE_CONNECTIONS}"
        to_do = "raise the limit (ulimit -Hn, LimitNOFILE= of systemd), or set PAYPROOF_MAX_CONNECTIONS lower"
        yield Finding("!!", "open files", f"{words} connections and {FILES_BESIDE_CONNECTIONS} others", to_do)


def console_findings(config: Config) -> Iterator[Finding]:
    """Findings about the console: who can use it, and whether a browser may keep its cookie where it listens."""
    settings, operators = config.settings, config.console.operators
    host, port = settings.console_listen
    if not operators:
        return
    words = f"{len(operators)} operators, on {host}:{port}"
    if is_loopback(host) or settings.trusted_proxies:
        yield Finding("ok", "console", words)
    else:
        to_do = "put a proxy with TLS before it, and its address into PAYPROOF_TRUSTED_PROXIES"
        yield Finding(
            "!!", "console", f"{words}; away from loopback a browser keeps its cookie over https alone", to_do
        )


def key_findings(config: Config) -> Iterator[Finding]:
    """What each API key may. A key that may resolve decides on held payments, so its holder is worth a thought."""
    for number, merchant in enumerate(config.merchants):
        place = f"merchants[{number}]"
        if listed := len(merchant.api_keys):
            keys = "its key" if listed == 1 else f"each of its {listed} keys"
            yield Finding("ok", f"{place}.api_keys", f"{keys} of {merchant.id} may {_scopes(LISTED_KEYS_MAY)}")
        for index, key in enumerate(merchant.keys):
            words = f"the key {key.name} of {merchant.id} may {_scopes(key.may)}"
            yield Finding("ok", f"{place}.keys[{index}]", words)


def _scopes(may: Collection[Scope]) -> str:
    return ", ".join(scope.value for scope in Scope if scope in may)


def secret_findings(config: Config) -> Iterator[Finding]:
    """Findings about secrets that are written in the file, an archive without encryption, and payproof run as root."""
    literal = config.literal_secrets
    if config.development and literal:
        yield Finding(
            "!!", "secrets", f"{len(literal)} stand in the file itself", "env:NAME or file:PATH keeps them out"
        )
    for path in () if config.development else literal:
        if ".api_keys[" in path or ".keys[" in path.partition("merchants")[2]:
            to_do = (
                "payproof key makes a new one and prints its hash; of this one, printf %s KEY | sha256sum after sha256:"
            )
        else:
            to_do = "env:NAME or file:PATH keeps it out"
        yield Finding("!!", path, "stands in the file itself", to_do)
    if not config.archive.keys:
        words = "callbacks are stored as received, with what they tell of buyers, and without encryption"
        to_do = 'payproof key --archive prints a key; set [archive] keys = ["env:PAYPROOF_ARCHIVE_KEY"]'
        yield Finding("!!", "archive.keys", words, to_do)
    yield from _contact_findings(config.contacts.keys)
    if config.settings.database_url is None and is_root():
        words = "the embedded PostgreSQL runs as a user lent to it, but payproof itself runs as root"
        yield Finding("!!", "user", words, NOT_AS_ROOT)


def _contact_findings(keys: Sequence[Secret]) -> Iterator[Finding]:
    """Findings about the keys of buyers' hashes. Each is told by a mark, to compare it with that of another process."""
    if not keys:
        words = "no payment is found by a buyer's phone number or e-mail address"
        to_do = 'payproof key --archive prints a key; set [contacts] keys = ["env:PAYPROOF_CONTACTS_KEY"]'
        yield Finding("ok", "contacts.keys", words, to_do)
    for index, secret in enumerate(keys):
        if isinstance(secret, ElsewhereSecret):
            continue
        key, use = key_of(secret.reveal()), "hashes and finds" if index == 0 else "finds what an earlier one hashed"
        mark = sha256(b"payproof-contacts:" + key).hexdigest()[:8]
        if len(set(key)) < LEAST_DISTINCT:
            to_do = "payproof key --archive prints a random one; put it first, and keep this one behind it"
            yield Finding("!!", f"contacts.keys[{index}]", "can be guessed: it is not 32 random bytes", to_do)
        else:
            words = f"{use}; its mark is {mark}, and must be the same where ingress and console run"
            yield Finding("ok", f"contacts.keys[{index}]", words)
