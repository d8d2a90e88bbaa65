"""Build the requests to gateways: JSON, amounts, paths.

An amount never becomes a float, which could change it. A stranger's id never changes the path that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta

from consumers.ports.effects import HttpRequest
from schemas.secret import Secret
from schemas.wire import Number

CallPath = Annotated[str, Meta(pattern=r"^/[!-~]*\Z")]
"""The path of a call after `base_url`, where the configuration has it."""


def get(
    url: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    query: Mapping[str, str] | None = None,
    secret: Mapping[str, Secret] | None = None,
) -> HttpRequest:
    """A GET request. `query` and `secret` are parameters of the URL, encoded here.

    A key or password goes into `secret`, never into `url` or `query`: those are shown where a request is named.
    """
    return HttpRequest(
        method="GET",
        url=f"{url}?{urlencode(query)}" if query else url,
        secret_query=tuple((secret or {}).items()),
        headers=(("accept", "application/json"), *headers),
    )


def post(
    url: str, headers: Iterable[tuple[str, str]], fields: Mapping[str, object], *, seconds: float = 10.0
) -> HttpRequest:
    """A POST request with the fields as JSON; see `json_body` for numbers. `seconds`: the deadline of the whole."""
    kinds = (("accept", "application/json"), ("content-type", "application/json"))
    return HttpRequest(method="POST", url=url, headers=(*kinds, *headers), body=json_body(fields), seconds=seconds)


def post_form(
    url: str, fields: Mapping[str, str], headers: Iterable[tuple[str, str]] = (), *, seconds: float = 10.0
) -> HttpRequest:
    """A POST request with the fields as a form. `seconds`: the deadline of the whole."""
    kinds = (("accept", "application/json"), ("content-type", "application/x-www-form-urlencoded"))
    return HttpRequest(
        method="POST", url=url, headers=(*kinds, *headers), body=urlencode(fields).encode(), seconds=seconds
    )


def json_body(fields: Mapping[str, object]) -> bytes:
    """JSON in which a Decimal or a `Number` is a JSON number with exactly its own digits."""
    return msgspec.json.encode(_exact(fields))


def number(amount: Decimal) -> Decimal:
    """An amount for gateways that take JSON numbers: `120`, or `1500.50` with two decimals."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.quantize(Decimal("0.01"))


def two_decimals(amount: Decimal) -> str:
    """An amount for gateways that take strings: `"120.00"`."""
    return f"{amount:.2f}"


def endpoint(base_url: str, path: str) -> str:
    return base_url.rstrip("/") + path


def segment(value: str) -> str:
    """A value encoded as one segment of a path or one value of a query, so that it cannot change the URL around it."""
    return quote(value, safe="") if value.strip(".") else value.replace(".", "%2E")


def without_nulls(value: Any) -> Any:
    """The value without null fields, at every depth, for gateways that treat null and absent differently."""
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
