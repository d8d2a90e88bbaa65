"""Read the fields of a callback: query, form, multipart or JSON, by GET and POST alike.

A body is read by its bytes, not by its Content-Type. Only the fields that are read have to be sound. Such a field that
stands twice, or has a broken character, counts as absent, so that no wrong id is read from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from consumers.providers.kit.multipart import is_multipart, read_multipart
from schemas.callbacks import Callback
from schemas.wire import Told, Unreadable, aside, read_leniently, told

MAX_FIELDS = 200
MAX_TEXT = 200
_MARK = b"\xef\xbb\xbf"


def fields(callback: Callback, *names: str) -> Told:
    """All fields of query and body, with names in lower case and JSON nesting kept. The body's field wins.

    `names`, in lower case, are the fields that the gateway's reader knows. A form without any of them is rejected.
    Raises Unreadable for a body that is neither such a form nor a JSON object.
    """
    found = folded(callback.query)
    for name, value in folded(body_fields(callback, *names).items()).items():
        if name not in found or isinstance(value, dict | list) or _plain(value, MAX_TEXT):
            found[name] = value
    return found


def body_fields(callback: Callback, *names: str) -> Told:
    """The fields of the body alone, with names as sent. An empty body has none.

    `names`, in lower case: a form that has none of them is rejected. Without `names` any form is read, except its empty
    values. JSON is read with any names. Raises Unreadable, as `fields` does.
    """
    body = callback.body.removeprefix(_MARK).strip()
    if not body:
        return Told()
    if body.startswith((b"{", b"[")):
        value = read_leniently(body)
        if not isinstance(value, Told):
            raise Unreadable("the body is no JSON object")
        return value
    form = told(pair for pair in _form(body) if names or pair[1])
    if not form or (names and not any(key.lower() in names for key in form)):
        raise Unreadable("the body is neither JSON nor a form that this gateway would send")
    return form


def folded(pairs: Iterable[tuple[str, Any]]) -> Told:
    """The fields with their names in lower case. Two names that differ only in case count as one that stands twice."""
    return told((name.lower(), value) for name, value in pairs)


def text_or_none(found: Mapping[str, Any], *names: str, longest: int = MAX_TEXT) -> str | None:
    """The first of these fields that is a non-empty printable string of at most `longest` characters; else None."""
    values = (aside(found, name) for name in names)
    return next((str(value) for value in values if _plain(value, longest)), None)


def lower_or_none(found: Mapping[str, Any], name: str) -> str | None:
    """The field in lower case, as `text_or_none` reads it."""
    word = text_or_none(found, name)
    return None if word is None else word.lower()


def _plain(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()


def _form(body: bytes) -> list[tuple[str, str]]:
    """The names and values of a form. A stray `&` is ignored, a name without `=` is empty, bad UTF-8 is replaced."""
    if is_multipart(body):
        return read_multipart(body, MAX_FIELDS)
    try:
        form = body.decode(errors="replace")
        return parse_qsl(form, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Unreadable("the body is a form of too many fields") from None
