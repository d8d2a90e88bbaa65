"""Fields of a gateway's reply, read strictly. Each reader raises Unreadable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin, urlsplit

from schemas.numbers import money
from schemas.wire import Unreadable

MAX_TEXT = 200
MAX_URL = 2000


def required_text(body: Mapping[str, Any], name: str) -> str:
    """A required field: a printable string of 1 to 200 characters. A number is read as its own text."""
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise Unreadable(f"{name} is missing or no plain text")
    return str(value)


def optional_text(body: Mapping[str, Any], name: str) -> str | None:
    """As `required_text`, but None where the field is absent, null or empty."""
    return None if body.get(name) in (None, "") else required_text(body, name)


def read_amounts(**told: object) -> dict[str, Any]:
    """Fields of an Answer from amounts as they were told: `Answer(**read_amounts(amount=…, refunded_amount=…), …)`.

    None and empty are absent. A value that is no money is named in `unreadable`. It does not make the whole answer
    unreadable, because an answer that says paid has to be recorded at once.
    """
    read: dict[str, Any] = {}
    unread = []
    for name, value in told.items():
        try:
            read[name] = None if value in (None, "") else money(value)
        except Unreadable:
            unread.append(name)
    return read | {"unreadable": tuple(unread)}


def money_or_none(body: Mapping[str, Any], name: str) -> Decimal | None:
    """The amount that a create reply echoes; None where it is no money, because it does not prove a payment."""
    found: Decimal | None = read_amounts(amount=body.get(name)).get("amount")
    return found


def nested(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A required field that is a JSON object."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise Unreadable(f"{name} is missing or no object")
    return value


def web_address(value: object, *, beside: str = "") -> str:
    """The value as an absolute http or https URL that a browser can be sent to. A path alone is one of `beside`."""
    try:
        address = urljoin(beside, value) if isinstance(value, str) else ""
        plain = len(address) <= MAX_URL and re.fullmatch(r"https?://[!-~]+", address, re.ASCII) is not None
        if plain and urlsplit(address).hostname:
            return address
    except ValueError:  # no host can be read
        pass
    raise Unreadable("the checkout's address is no http or https URL")


def check_echo(name: str, ours: object, theirs: object | None) -> None:
    """Check that a create reply that echoes a value echoes ours. Raises Unreadable: it is about another checkout."""
    if theirs is not None and theirs != ours:
        raise Unreadable(f"the reply is about another checkout: its {name} is not ours")


def printable(value: str) -> str:
    """A gateway's words, safe to show and to store: one line of at most 200 characters."""
    return "".join(sign if sign.isprintable() else " " for sign in value).strip()[:MAX_TEXT]
