"""Rules of the configuration beyond each field's type: ids, addresses, secrets, accounts.

A rule sees only the fields that could be read, so it works without any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import asdict

from consumers.account import Account
from schemas.checks import Delay
from schemas.secret import ElsewhereSecret, Secret
from schemas.statements import StatementMap
from schemas.words import EventType
from worker.config.config_problems import suggestion
from worker.config.console import CONSOLE_RULES, check_merchants
from worker.config.key_rules import check_keys, check_named_key
from worker.config.keys import NO_WEBHOOK_SECRET, is_webhook_secret
from worker.config.read_toml import BAD, Reader, join, type_info
from worker.config.shapes import (
    ALL_EVENTS,
    ApiKey,
    Archive,
    Contacts,
    File,
    Id,
    Merchant,
    Retained,
    Webhook,
)
from worker.config.statement import check_map
from worker.config.url_parts import is_loopback, split_url
from worker.runtime.encryption import key_of

EVENT_NAMES = (ALL_EVENTS, *(event.value for event in EventType))


class AccountHead(Struct, frozen=True, kw_only=True):
    """The keys of an account that are the same for every gateway. All other keys are fields of the gateway's class."""

    id: Id
    provider: str
    calls_per_second: Annotated[float, Meta(gt=0)] | None = None
    pending_expires_after: Delay | None = None
    statement: StatementMap | None = None


class DocumentRules:
    """The rules of one document. They remember values that were seen, to find duplicates."""

    def __init__(self, document: Mapping[str, Any], providers: Mapping[str, type[Struct]]) -> None:
        self._providers = providers
        self._private = document.get("allow_private_webhooks") is True
        self._http_hosts = _texts(document.get("allow_http_hosts"))
        self._seen: dict[tuple[object, ...], str] = {}

    def merchant(self, reader: Reader, values: Mapping[str, Any], path: str) -> None:
        self._once(reader, ("merchant", values.get("id")), join(path, "id"), "is the id of {first} too")
        check_keys(reader, values, path, self._once)

    def key(self, reader: Reader, values: Mapping[str, Any], path: str) -> None:
        check_named_key(reader, values, path, self._once)

    def archive(self, reader: Reader, values: Mapping[str, Any], path: str) -> None:
        """Of the keys of `[archive]` and `[contacts]`: a key has one purpose."""
        for index, key in _here(values.get("keys", ())):
            place = f"{path}.keys[{index}]"
            try:
                self._once(reader, ("key of 32 bytes", key_of(key.reveal())), place, "is a key of {first} too")
            except ValueError as error:
                reader.note(place, str(error))

    def retention(self, reader: Reader, values: Mapping[str, Any], path: str) -> None:
        events, payments = values.get("events"), values.get("payments")
        if payments is not None and events is None:
            reader.note(join(path, "payments"), f"needs {join(path, 'events')}: a payment goes with its last event")
        elif payments is not None and payments < events:
            reader.note(join(path, "payments"), f"must not be shorter than {join(path, 'events')}")

    def webhook(self, reader: Reader, values: Mapping[str, Any], path: str) -> None:
        if "url" in values and (wrong := self._webhook_url(values["url"])):
            reader.note(join(path, "url"), wrong)
        merchant = path.rpartition(".")[0]
        self._once(reader, ("webhook", merchant, values.get("url")), join(path, "url"), "is the url of {first} too")
        self._once(reader, ("webhook id", merchant, values.get("id")), join(path, "id"), "is the id of {first} too")
        secrets = {f"previous_secrets[{index}]": one for index, one in _here(values.get("previous_secrets", ()))}
        own = [("secret", secret) for _, secret in _here([values["secret"]] if "secret" in values else [])]
        for name, secret in [*own, *secrets.items()]:
            if not is_webhook_secret(secret.reveal()):
                reader.note(f"{path}.{name}", NO_WEBHOOK_SECRET)
        for index, event in enumerate(values.get("events", ())):
            if event not in EVENT_NAMES:
                reader.note(f"{path}.events[{index}]", f"no such event{suggestion(event, EVENT_NAMES)}")

    def account(self, reader: Reader, table: Mapping[str, Any], path: str) -> Any:
        """Read an account: its own keys, and those of the gateway's class that it names. `merchant` is filled in later.

        Returns BAD where a problem was found.
        """
        before = len(reader.problems)
        name = table.get("provider")
        cls = self._providers.get(name) if isinstance(name, str) else None
        fields = {field.name: field for field in _fields(AccountHead)}
        if cls is None:
            if isinstance(name, str):
                known = ", ".join(sorted(self._providers))
                reader.note(join(path, "provider"), f"unknown provider{suggestion(name, self._providers)} ({known})")
            known_part = {key: value for key, value in table.items() if key in fields}
            values = reader.fields(fields.values(), known_part, path)
        else:
            values = reader.fields((*fields.values(), *_fields(cls)), table, path)
        self._once(reader, ("account", values.get("id")), join(path, "id"), "is the id of {first} too")
        if cls is None:
            return BAD
        self._base_url(reader, values, path)
        self._credentials(reader, cls, values, path)
        own = {key: value for key, value in values.items() if key not in fields}
        if len(reader.problems) > before or (provider := reader.build(cls, own, path)) is BAD:
            return BAD
        return Account(
            id=values["id"],
            merchant="",
            provider=provider,
            calls_per_second=values.get("calls_per_second"),
            pending_expires_after=values.get("pending_expires_after"),
            statement=values.get("statement"),
        )

    def _once(self, reader: Reader, thing: tuple[object, ...], path: str, message: str) -> None:
        if None in thing:
            return
        first = self._seen.setdefault(thing, path)
        if first != path:
            reader.note(path, message.format(first=first.rpartition(".")[0]))

    def _base_url(self, reader: Reader, values: Mapping[str, Any], path: str) -> None:
        if "base_url" not in values:
            return
        scheme, host = split_url(values["base_url"])
        if not host or "?" in values["base_url"]:
            reader.note(join(path, "base_url"), "must be an http or https URL without query, fragment and user")
        elif scheme == "http" and not is_loopback(host) and host not in self._http_hosts:
            reader.note(
                join(path, "base_url"), "must be https; http is for loopback and for the hosts of allow_http_hosts"
            )

    def _credentials(self, reader: Reader, cls: type[Struct], values: Mapping[str, Any], path: str) -> None:
        found = [*_secrets(values)]
        if any(isinstance(secret, ElsewhereSecret) for _, secret in found):
            return  # a process with the whole of them compares them
        secrets = tuple(sorted((name, secret.reveal()) for name, secret in found))
        if "base_url" in values and secrets:
            thing = ("credentials", cls, values["base_url"].rstrip("/").lower(), secrets)
            self._once(reader, thing, join(path, "provider"), "has the gateway, base_url and credentials of {first}")

    def _webhook_url(self, url: str) -> str | None:
        scheme, host = split_url(url)
        if not host:
            return "must be an http or https URL without fragment and user"
        if self._private:
            return None
        if scheme != "https":
            return "must be https (allow_private_webhooks allows http, for development)"
        return (
            "must not be on loopback (allow_private_webhooks allows it, for development)" if is_loopback(host) else None
        )


def rules_for(rules: DocumentRules) -> dict[type, Any]:
    """The rules by the class of the table that they check."""
    return {
        Merchant: rules.merchant,
        ApiKey: rules.key,
        Webhook: rules.webhook,
        StatementMap: check_map,
        Archive: rules.archive,
        Contacts: rules.archive,
        Retained: rules.retention,
        File: check_merchants,
        **CONSOLE_RULES,
    }


def _here(secrets: Iterable[Secret]) -> Iterator[tuple[int, Secret]]:
    """The secrets that this process was given, with their indices: the others cannot be checked."""
    return ((index, one) for index, one in enumerate(secrets) if not isinstance(one, ElsewhereSecret))


def _secrets(value: object, path: str = "") -> Iterator[tuple[str, Secret]]:
    """The secrets of an account and of its tables, each with its path."""
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, Struct | Mapping):
        for name, inner in value.items() if isinstance(value, Mapping) else asdict(value).items():
            yield from _secrets(inner, join(path, name))


def _fields(cls: type[Struct]) -> tuple[Any, ...]:
    return tuple(type_info(cls).fields)  # type: ignore[attr-defined]  # a Struct's type is a StructType


def _texts(value: Any) -> frozenset[str]:
    items: Iterable[Any] = value if isinstance(value, list) else ()
    return frozenset(item.lower() for item in items if isinstance(item, str))
