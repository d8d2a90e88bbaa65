"""Reading the fields of a request, with one error that each gateway writes in its own shape."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from schemas.numbers import money, whole
from schemas.wire import Number, Unreadable


class WrongField(Exception):
    """One field is missing, of another kind, or outside its limits."""

    def __init__(self, field: str, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.missing = missing


def field_text(body: Mapping[str, Any], name: str, *, most: int = 1000, least: int = 1) -> str:
    """A required string; a JSON number is refused."""
    value = optional_field_text(body, name, most=most, least=least)
    if value is None:
        raise WrongField(name, f"{name} is required", missing=True)
    return value


def optional_field_text(body: Mapping[str, Any], name: str, *, most: int = 1000, least: int = 0) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or isinstance(value, Number):
        raise WrongField(name, f"{name} must be a string")
    if not value and least:
        raise WrongField(name, f"{name} is required", missing=True)
    if not least <= len(value) <= most:
        raise WrongField(name, f"{name} must have {least} to {most} characters")
    return value


def link(body: Mapping[str, Any], name: str, *, most: int = 1000) -> str:
    """A required http or https URL. The gateways want https; on loopback there is none."""
    value = field_text(body, name, most=most)
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc:
        raise WrongField(name, f"{name} must be an absolute URL")
    return value


def amount(value: object, name: str, *, least: str, most: str) -> str:
    """An amount with exactly two decimals, from a string or a JSON number: the caller checks the type before."""
    if value is None:
        raise WrongField(name, f"{name} is required", missing=True)
    try:
        read = money(value)
    except Unreadable as error:
        raise WrongField(name, f"{name}: {error}") from None
    if not Decimal(least) <= read <= Decimal(most):
        raise WrongField(name, f"The {name} must be between {least} and {most}")
    return str(read)


def number_between(body: Mapping[str, Any], name: str, least: int, most: int, default: int) -> int:
    """An optional JSON number without a fraction."""
    value = body.get(name)
    if value is None:
        return default
    try:
        read = whole(value) if isinstance(value, Number) else None
    except Unreadable:
        read = None
    if read is None or not least <= read <= most:
        raise WrongField(name, f"{name} must be a whole number from {least} to {most}")
    return read
