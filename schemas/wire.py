"""Read bytes from outside: strict JSON, and lenient JSON where only fields that are read must be sound.

The standard parser accepts NaN, duplicate keys and `1e999`, so a value could be read wrongly; and Postgres refuses NUL
and lone surrogates. A value that was read here is safe to compare, store and print.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import msgspec

MAX_BODY = 64 * 1024
"""The longest body of a request or a message, in bytes."""

MAX_DEPTH = 32
MAX_NUMBER = 40


class Unreadable(ValueError):
    """The bytes are no sound JSON, form or money. The message names the place and never repeats the bytes."""


class UnsoundText(Unreadable):
    """Sound JSON, but a string in it holds NUL or a lone surrogate. `path` names the place, such as `customer.name`."""

    def __init__(self, path: str) -> None:
        super().__init__("NUL or a lone surrogate in a string")
        self.path = path


class Number(str):
    """A JSON number as it was written, so that `schemas.numbers` reads it exactly. It is never a float."""

    __slots__ = ()


class Spoilt(msgspec.Struct, frozen=True):
    """Stands in place of a value that cannot be read for certain. `why` repeats no byte of it."""

    why: str


class Told(dict[str, Any]):
    """An object or a form from outside, in which a spoilt value matters only if it is read.

    `[]` and `get` raise Unreadable at a spoilt value, so that it is not taken for an absent one. `aside` gives None.
    `items` and `values` give a `Spoilt`, which is neither text nor number nor object.
    """

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, Spoilt):
            raise Unreadable(f"{name}: {value.why}")
        return value

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default


def read_json(body: bytes) -> Any:
    """Read UTF-8 JSON into dict, list, str, bool, None and `Number` (the number's own text).

    Raises Unreadable for bad UTF-8, malformed JSON, NaN and Infinity, duplicate keys, nesting deeper than 32 levels,
    numbers longer than 40 characters, and as UnsoundText for NUL and lone surrogates in strings.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None
    value = _parsed(text, _object, _number, _constant)
    _check_text(value)
    return value


def read_leniently(body: bytes) -> Any:
    """Read JSON as `read_json`, but objects become `Told`, so that a value that is not read may be spoilt.

    A byte order mark is ignored, and bytes that are no UTF-8 are replaced. These are spoilt: a key that stands twice, a
    text with a replaced character, NUL or a lone surrogate, and a number longer than 40 characters. NaN and Infinity
    become floats, which no field reader accepts. Raises Unreadable for bytes that are no JSON, or nested too deep.
    """
    text = body.decode("utf-8-sig", errors="replace")
    return _kept(_parsed(text, told, _lenient_number, float, strict=False))


def told(pairs: Iterable[tuple[str, Any]]) -> Told:
    """The pairs of an object or a form as `Told`."""
    made = Told()
    for name, value in pairs:
        made[name] = Spoilt("the same key twice") if name in made else _kept(value)
    return made


def aside(fields: Mapping[str, Any], name: str) -> Any:
    """A field on which nothing depends; None where it is absent or spoilt."""
    try:
        return fields.get(name)
    except Unreadable:
        return None


def canonical(value: Any) -> bytes:
    """A value of `read_json` as JSON with sorted keys and without spaces: equal bytes for equal values.

    Numbers are equal if they are written alike.
    """
    return msgspec.json.encode(_exact(value), order="sorted")


def _exact(value: Any) -> Any:
    match value:
        case Number():
            return msgspec.Raw(str(value).encode())
        case dict():
            return {key: _exact(item) for key, item in value.items()}
        case list():
            return [_exact(item) for item in value]
    return value


def _parsed(
    text: str,
    made: Callable[[list[tuple[str, Any]]], Any],
    number: Callable[[str], Any],
    constant: Callable[[str], Any],
    *,
    strict: bool = True,
) -> Any:
    """Parse JSON with these hooks. `strict` refuses control characters in strings. Raises Unreadable."""
    _check_depth(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=made,
            parse_int=number,
            parse_float=number,
            parse_constant=constant,
            strict=strict,
        )
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None


def _kept(value: Any) -> Any:
    """The value, or a Spoilt where it is spoilt. Objects in it are `Told` already."""
    match value:
        case Number():
            return value
        case str():
            return value if _sound(value) and "\ufffd" not in value else Spoilt("a letter was lost on the way")
        case list():
            return [_kept(item) for item in value]
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("the same key twice in one object")
    return made


def _number(text: str) -> Number:
    if len(text) > MAX_NUMBER:
        raise Unreadable("a number too long")
    return Number(text)


def _lenient_number(text: str) -> Number | Spoilt:
    return Number(text) if len(text) <= MAX_NUMBER else Spoilt("a number too long")


def _constant(_: str) -> NoReturn:
    raise Unreadable("NaN or Infinity")


def _check_depth(text: str) -> None:
    """Raise Unreadable for nesting that could exhaust the parser's stack, by counting brackets outside strings."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    # An unterminated string matches to the end. Otherwise each quote in it would be tried again, in quadratic time.
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', text, re.DOTALL):
        sign = token[0]
        if sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
        elif sign in "]}":
            depth -= 1


def _check_text(value: Any) -> None:
    place = _unsound(value)
    if place is not None:
        raise UnsoundText(place.removeprefix("."))


def _unsound(value: Any) -> str | None:
    """The place of the first string that Postgres cannot store, else None. For a key it is the object's place."""
    match value:
        case Number():
            return None
        case str():
            return None if _sound(value) else ""
        case list():
            places = ((f"[{index}]", _unsound(item)) for index, item in enumerate(value))
        case dict():
            if not all(_sound(key) for key in value):
                return ""
            places = ((f".{key}", _unsound(item)) for key, item in value.items())
        case _:
            return None
    return next((f"{name}{rest}" for name, rest in places if rest is not None), None)


def _sound(text: str) -> bool:
    if "\x00" in text:
        return False
    try:
        text.encode()  # raises for lone surrogates alone
    except UnicodeEncodeError:
        return False
    return True
