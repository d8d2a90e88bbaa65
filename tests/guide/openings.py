"""What each gateway wants of an opening, found by having its `check` look at openings that lack or exceed something."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from msgspec import convert

from consumers.ports.gateway import Provider
from consumers.ports.openings import FieldError, Opening
from consumers.providers import PROVIDERS
from worker.ops.doctor.opening_needs import PLAIN, customer_needed
from worker.playground.sandbox.accounts import accounts_toml

LONGEST_REFERENCE = 50
Row = tuple[str, str, str, str, str, str]


def wishes(names: dict[str, str]) -> Iterator[Row]:
    """A row for each simulated gateway: its name, what it wants of reference, amount and `expires_in`, the time that a
    checkout lives without `expires_in`, and the parts of `customer` that it needs.

    `names` are the gateways' names by their `provider`. A gateway of several accounts has the row of its first.
    """
    for table in tomllib.loads(accounts_toml("http://sandbox"))["merchants"]["accounts"]:
        name = names.pop(table["provider"], None)
        if name is not None:
            gateway = _configured(table)
            usual = f"{gateway.lifetime(None).total_seconds() / 60:g} min"
            yield name, _reference(gateway), _amount(gateway), _expires_in(gateway), usual, _customer(gateway)


def _configured(table: dict[str, Any]) -> Provider:
    kind = PROVIDERS[table["provider"]]
    fields = {key: value for key, value in table.items() if key not in ("id", "provider")}
    return convert(fields, kind, dec_hook=lambda kind, value: kind(value))


def _reference(gateway: Provider) -> str:
    lengths = range(1, LONGEST_REFERENCE + 1)
    taken = [length for length in lengths if not _errors(gateway, "reference", reference="a" * length)]
    return f"{taken[0]} to {taken[-1]}"


def _amount(gateway: Provider) -> str:
    return _limits(_errors(gateway, "amount", amount=Decimal("0.01"))).removesuffix(" BDT")


def _expires_in(gateway: Provider) -> str:
    if gateway.lifetime(None) == gateway.lifetime(86_400):
        return "has no effect"
    return _limits(_errors(gateway, "expires_in", expires_in=0)).removesuffix(" seconds")


def _customer(gateway: Provider) -> str:
    return ", ".join(f"`{name}`" for name in customer_needed(gateway))


def _errors(gateway: Provider, field: str, **changes: Any) -> list[FieldError]:
    opening = Opening(**{name: changes.get(name, getattr(PLAIN, name)) for name in PLAIN.__struct_fields__})
    return [error for error in gateway.check(opening) if error.field == field]


def _limits(errors: list[FieldError]) -> str:
    return "; ".join(error.message.removeprefix("this gateway takes ") for error in errors)
