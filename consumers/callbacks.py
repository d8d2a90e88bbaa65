"""Reading the fields of a callback wherever the gateway put them: query, form or JSON, by GET and POST alike."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from schemas.callbacks import Callback
from schemas.wire import Unreadable, read_json

MAX_FIELDS = 200


def fields(callback: Callback) -> dict[str, Any]:
    """All fields of query and body, keys in lower case; the body wins over the query, JSON nesting is kept.

    Raises Unreadable for a body that is neither JSON (an object) nor a form.
    """
    found: dict[str, Any] = {key.lower(): value for key, value in callback.query}
    found.update((key.lower(), value) for key, value in body_fields(callback).items())
    return found


def body_fields(callback: Callback) -> dict[str, Any]:
    """The fields of the body alone, keys as sent. An empty body has none. Raises Unreadable."""
    body = callback.body.strip()
    if not body:
        return {}
    if body.startswith((b"{", b"[")):
        value = read_json(body)
        if not isinstance(value, dict):
            raise Unreadable("the body is no JSON object")
        return value
    try:
        pairs = parse_qsl(body.decode("utf-8"), strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Unreadable("the body is neither JSON nor a form") from None
    if any("\x00" in part for pair in pairs for part in pair):
        raise Unreadable("NUL in a form field")
    return dict(pairs)


def text(found: dict[str, Any], *names: str, longest: int = 200) -> str | None:
    """The first of these fields that is a non-empty string of printable characters and not too long; else None."""
    for name in names:
        value = found.get(name)
        if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable():
            return str(value)
    return None
