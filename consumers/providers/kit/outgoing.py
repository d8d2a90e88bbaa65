"""Writing what a gateway is sent, shared by all of them: requests, JSON, amounts, paths.

The one thing to get wrong: an amount by way of a float, and a stranger's id that leaves its place in a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from consumers.ports.gateway import HttpRequest
from schemas.wire import Number


def get(url: str, headers: Iterable[tuple[str, str]]) -> HttpRequest:
    return HttpRequest(method="GET", url=url, headers=(("accept", "application/json"), *headers))


def post(
    url: str, headers: Iterable[tuple[str, str]], fields: Mapping[str, object], *, seconds: float = 10.0
) -> HttpRequest:
    """POST the fields as JSON; see `json_body` for numbers."""
    kinds = (("accept", "application/json"), ("content-type", "application/json"))
    return HttpRequest(method="POST", url=url, headers=(*kinds, *headers), body=json_body(fields), seconds=seconds)


def json_body(fields: Mapping[str, object]) -> bytes:
    """JSON in which a Decimal or a `Number` is written as a number with exactly its own digits, never by a float."""
    return msgspec.json.encode(_exact(fields))


def number(amount: Decimal) -> Decimal:
    """An amount as gateways with JSON numbers take it: `120`, or `1500.50` with two decimals."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.quantize(Decimal("0.01"))


def two_decimals(amount: Decimal) -> str:
    """An amount as gateways with strings take it: `"120.00"`."""
    return f"{amount:.2f}"


def endpoint(base_url: str, path: str) -> str:
    return base_url.rstrip("/") + path


def segment(value: str) -> str:
    """A value as one segment of a path or one value of a query: nothing in it can leave its place."""
    return quote(value, safe="") if value.strip(".") else value.replace(".", "%2E")


def without_nulls(value: Any) -> Any:
    """The fields that have a value, at every depth, for gateways to which null is not the same as absent."""
    match value:
        case Mapping():
            return {key: without_nulls(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [without_nulls(item) for item in value if item is not None]
        case _:
            return value


def _exact(value: object) -> object:
    match value:
        case Number():
            return msgspec.Raw(str(value).encode())
        case Decimal():
            return msgspec.Raw(f"{value:f}".encode())
        case Mapping():
            return {str(key): _exact(item) for key, item in value.items()}
        case list() | tuple():
            return [_exact(item) for item in value]
        case _:
            return value
