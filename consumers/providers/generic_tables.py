"""The tables of a `generic` account: how its checkout is opened, how it is asked, and what its callbacks name.

They hold names, words and JSON pointers. There is no template and no code in them: a gateway that needs a token, a
signature, a secret in a URL or a second call needs a file of its own. Every table raises Misconfigured with its errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal

from msgspec import Struct, field
from msgspec.structs import asdict

from consumers.providers import kit

_OURS = ("accept", "content-type", "content-length", "host")


class Names(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway's names for our values; a value without a name is not sent. In JSON, `a/b` is the field b of a."""

    reference: str
    amount: str
    currency: str | None = None
    description: str | None = None
    return_url: str | None = None
    success_url: str | None = None
    failure_url: str | None = None
    cancel_url: str | None = None
    ipn_url: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    city: str | None = None
    postcode: str | None = None
    country: str | None = None


class Create(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST `path` opens a checkout. `checkout_url`, `session_id` and `reason` are JSON pointers into the reply.

    The values of `headers` and `secrets` are secret. `secrets` and `fixed` are fields. `amount_as`: a JSON number, text
    of two decimals, or a whole number of taka, for which fractions are refused.
    """

    path: kit.CallPath
    encoding: Literal["json", "form"] = "json"
    amount_as: Literal["number", "text", "whole"] = "number"
    headers: dict[str, kit.Secret] = field(default_factory=dict)
    secrets: dict[str, kit.Secret] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    names: Names
    checkout_url: str
    session_id: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        wrong = _wrong_headers(self.headers)
        for name in ("checkout_url", "session_id", "reason"):
            pointer = getattr(self, name)
            if pointer is not None and not kit.is_pointer(pointer):
                wrong.append(kit.FieldError(field=name, message=f"is no JSON pointer such as /data/{name}"))
        names = [name for name in asdict(self.names).values() if name is not None]
        if self.encoding == "form" and any("/" in name for name in names):
            wrong.append(kit.FieldError(field="names", message="have a /, and a form has no fields within fields"))
        plain = [*names, *self.fixed, *self.secrets]
        heads = {name.partition("/")[0] for name in names if "/" in name}
        if twice := sorted({name for name in plain if plain.count(name) > 1 or name in heads}):
            wrong.append(kit.FieldError(field="names", message=f"send {', '.join(twice)} twice"))
        if wrong:
            raise kit.Misconfigured(wrong)

    @property
    def sent(self) -> tuple[str, ...]:
        """The names at the top of the request, which no option replaces."""
        names = (name.partition("/")[0] for name in asdict(self.names).values() if name is not None)
        return (*self.fixed, *self.secrets, *names)

    def body(self, opening: kit.Opening) -> dict[str, object]:
        urls, made = opening.urls, with_secrets(self.fixed, self.secrets)
        values: Mapping[str, object | None] = {
            "reference": opening.reference,
            "amount": self._amount(opening.amount),
            "currency": opening.currency,
            "description": opening.description or None,
            "return_url": urls.back,
            "success_url": urls.success,
            "failure_url": urls.failure,
            "cancel_url": urls.cancel,
            "ipn_url": urls.ipn,
            **asdict(opening.customer),
        }
        for ours, theirs in asdict(self.names).items():
            if theirs is not None and values[ours] is not None:
                _put(made, theirs.split("/"), values[ours])
        return {**made, **opening.options}

    def _amount(self, amount: Decimal) -> object:
        return kit.two_decimals(amount) if self.amount_as == "text" else kit.number(amount)


class Ask(kit.StatusTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a payment is asked about: `path`, and the field `name` with the id that `ask_by` says."""

    any_case: ClassVar[bool] = True

    path: kit.CallPath
    method: Literal["GET", "POST"] = "POST"
    encoding: Literal["json", "form"] = "json"
    ask_by: Literal["reference", "session_id"]
    name: str
    headers: dict[str, kit.Secret] = field(default_factory=dict)
    secrets: dict[str, kit.Secret] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)

    def errors(self) -> list[kit.FieldError]:
        wrong = _wrong_headers(self.headers)
        if self.method == "GET" and self.secrets:
            wrong.append(
                kit.FieldError(field="secrets", message="would stand in a URL; a generic account has none there")
            )
        if self.name in (*self.fixed, *self.secrets):
            wrong.append(kit.FieldError(field="name", message="is one of fixed and secrets too"))
        if self.amount is None:
            wrong.append(kit.FieldError(field="amount", message="is needed: without it any amount would be taken"))
        if self.reference is None and self.session_id is None:
            words = "is needed: without it the reply may be about another payment"
            wrong.append(kit.FieldError(field="reference", message=words))
        return wrong + kit.StatusTable.errors(self)


class CallbackNames(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of a callback's fields, in any case. A callback is a hint, whatever it says.

    `session_id`: of several names the first that is there counts.
    """

    reference: str | None = None
    session_id: tuple[str, ...] = ()
    status: str | None = None


def key_headers(headers: Mapping[str, kit.Secret]) -> list[tuple[str, str]]:
    return [(name.lower(), secret.reveal()) for name, secret in headers.items()]


def with_secrets(fixed: Mapping[str, str], secrets: Mapping[str, kit.Secret]) -> dict[str, object]:
    return {**fixed, **{name: secret.reveal() for name, secret in secrets.items()}}


def _wrong_headers(headers: Mapping[str, kit.Secret]) -> list[kit.FieldError]:
    bad = [name for name in headers if name.lower() in _OURS or not re.fullmatch(r"[A-Za-z0-9-]+", name)]
    return [kit.FieldError(field=f"headers.{name}", message="is no header that can be set") for name in bad]


def _put(made: dict[str, object], names: list[str], value: object) -> None:
    place: Any = made
    for name in names[:-1]:
        place = place.setdefault(name, {})
    place[names[-1]] = value
