"""The envelope of Moneybag's replies: `data`, and errors of several shapes. Sources: S3 and OA, as in `moneybag.py`.

An error counts as "not found" only where Moneybag itself says so, not a proxy: two of them can close a payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.providers import kit


def data_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object under `data`, or the only object of a list there, which OA's types allow. Raises Unreadable.

    An envelope can report an error in three places (S3): `success`, `error` and `meta.status_code`.
    """
    code = None if body.get("meta") is None else kit.nested(body, "meta").get("status_code")
    went_well = code is None or kit.whole(code) in range(200, 300)
    if body.get("success", True) is not True or body.get("error") or not went_well:
        raise kit.Unreadable("an error is no answer, whatever its HTTP status")
    data = body.get("data")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise kit.Unreadable("data is missing or no single object")
    return data


def unknown_transaction(received: kit.Received) -> bool:
    """Whether the gateway itself, and no proxy, says that it does not know the id.

    It does so by S3's complete error envelope, or by OA's validation error about the id, which then cannot exist.
    FastAPI's own `{"detail": "Not Found"}` does not count: it is also the reply to a path that is not deployed yet.
    """
    body = received.body
    if received.status in (400, 404):
        error = body.get("error")
        return body.get("success") is False and isinstance(error, dict) and kit.text_or_none(error, "code") is not None
    detail = body.get("detail") if received.status == 422 else None
    places = [one.get("loc") for one in detail if isinstance(one, dict)] if isinstance(detail, list) else []
    return any(isinstance(place, list) and "transaction_id" in place for place in places)


def error_words(body: Mapping[str, Any]) -> str | None:
    """The words of an error: S3's `error`, FastAPI's `detail` (OA), or `message` beside `success` false; else None."""
    error, detail = kit.aside(body, "error"), kit.aside(body, "detail")
    if kit.aside(body, "success") is False and error is None and detail is None:
        return kit.text_or_none(body, "message", longest=2000) or ""
    if isinstance(error, dict):
        return kit.text_or_none(error, "message", "code", longest=2000) or ""
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = kit.aside(detail[0], "loc")
        where = ".".join(str(part) for part in place if isinstance(part, str)) if isinstance(place, list) else ""
        return f"{where}: {kit.text_or_none(detail[0], 'msg', longest=2000) or 'refused'}".removeprefix(": ")
    return str(detail) if isinstance(detail, str) else None
