"""Reading strangers' bytes: JSON and money, strictly; and JSON and forms in which only what is read has to be sound.

The one thing to get wrong: the standard parsers take NaN, duplicate keys, Bengali digits, `1e999` and `1_000`, and
Postgres later refuses NUL and lone surrogates. Whatever passes here is safe to compare, to store and to print.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

MAX_BODY = 64 * 1024
"""Bytes of a request's or a message's body at most."""

MAX_DEPTH = 32
MAX_NUMBER = 40

_MONEY = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.([0-9]+))?", re.ASCII)


class Unreadable(ValueError):
    """Bytes that are no sound JSON, form or money. The message names the place and never repeats the bytes."""


class UnsoundText(Unreadable):
    """Sound JSON, but a string in it holds NUL or a lone surrogate. `path` names the place, such as `customer.name`."""

    def __init__(self, path: str) -> None:
        super().__init__("NUL or a lone surrogate in a string")
        self.path = path


class Number(str):
    """A JSON number as it was written, for `money` and `whole` to read exactly; never a float."""

    __slots__ = ()


class Spoilt(msgspec.Struct, frozen=True):
    """Stands in the place of a value that nobody can read for certain. `why` repeats no byte of it."""

    why: str


class Told(dict[str, Any]):
    """An object or a form as a stranger told it, in which a spoilt value matters only where it is read.

    `[]` and `get` raise Unreadable at a spoilt value, so that it is not taken for an absent one; `aside` passes it
    over. Its items hold a `Spoilt` there, which is neither text nor number nor object.
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
    """Read JSON of which only what is read has to be sound: objects become `Told`, the rest is as in `read_json`.

    A byte order mark is passed over, and bytes that are no UTF-8 are replaced. These are spoilt: a key that stands
    twice, a text with a replaced letter, NUL or half an emoji, and a number longer than 40 characters. NaN and Infinity
    become floats, which no reader takes for anything. Raises Unreadable for what is no JSON, or nested too deep.
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
    """A field that decides nothing: None where it is absent or spoilt."""
    try:
        return fields.get(name)
    except Unreadable:
        return None


def canonical(value: Any) -> bytes:
    """What `read_json` read, as JSON with sorted keys and without spaces: equal bytes for equal values.

    Numbers are equal when they are written alike.
    """
    return msgspec.json.encode(_exact(value), order="sorted")


def money(value: object, *, places: int = 2) -> Decimal:
    """Read an amount from a string or a `Number`: ASCII digits, at most `places` decimals beside trailing zeros.

    No sign, exponent, separator or leading zero. `"5.0000"` is 5.00. The result has exactly `places` decimals.
    Raises Unreadable.
    """
    if not isinstance(value, str):
        raise Unreadable("an amount is a decimal written in ASCII digits")
    match = _MONEY.fullmatch(value) if len(value) <= MAX_NUMBER else None
    if match is None:
        raise Unreadable("an amount is a decimal written in ASCII digits")
    if len((match[1] or "").rstrip("0")) > places:
        raise Unreadable(f"an amount has at most {places} decimals")
    return Decimal(value).quantize(Decimal(1).scaleb(-places))


def whole(value: object) -> int:
    """Read a whole number from a `Number` or a string of ASCII digits. Raises Unreadable."""
    if isinstance(value, str) and re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})", value, re.ASCII):
        return int(value)
    raise Unreadable("not a whole number")


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
    """`strict` refuses control characters in strings, such as a raw line break."""
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
    """The value, or what stands for it where it is spoilt. Objects in it are `Told` already."""
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
    """Count brackets outside strings, so that the parser never meets nesting that would exhaust its stack."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    # An unterminated string reaches to the end; were it no match, each quote in it would be tried in vain.
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
    """Where the first string stands that Postgres cannot hold; None when there is none. A bad key names its object."""
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
        text.encode()  # which only lone surrogates resist
    except UnicodeEncodeError:
        return False
    return True
