"""The kinds of fields of a request. Each reads a value from outside and describes itself as JSON Schema.

Values come from `schemas.wire.read_json`, or are the text of a query parameter. A JSON number is a `Number`, which is a
subclass of `str`. No kind takes a number for a string, or a string for a number.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from schemas.numbers import money, whole
from schemas.wire import Number, Unreadable, canonical

LONGEST_URL = 2000
_NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_NO_CONTROLS_BUT_LINES = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
_URL = r"^[Hh][Tt][Tt][Pp][Ss]?://[^@/?#\\\s]+([/?#].*)?$"
_MONEY = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,2}0*)?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})$"
_WAIT = r"^([0-9]{1,5})(ms|s|m)$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class Kind(Protocol):
    """`read` returns the value or raises Unreadable, which says what is required and does not repeat the value."""

    def read(self, value: Any) -> Any: ...

    def schema(self) -> dict[str, Any]: ...


class Text(Struct, frozen=True, kw_only=True):
    """Text of `least` to `most` characters without control characters; `lines` allows tabs and line breaks.

    With `least` above 0, blanks alone are refused. `pattern` has to match all of it; `says` describes it in words.
    """

    most: int
    least: int = 1
    lines: bool = False
    pattern: str | None = None
    says: str | None = None

    def read(self, value: Any) -> str:
        text = _string(value)
        if not self.least <= len(text) <= self.most:
            raise Unreadable(f"must have {self.least} to {self.most} characters")
        if self.pattern is not None and not re.fullmatch(self.pattern, text, re.ASCII):
            raise Unreadable(f"must be {self.says}")
        kept = re.sub(r"[\t\r\n]", "", text) if self.lines else text
        if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in kept):
            raise Unreadable("must not hold control characters")
        if self.least and not text.strip():
            raise Unreadable("must not be blank")
        return text

    def schema(self) -> dict[str, Any]:
        made = {"type": "string", "minLength": self.least, "maxLength": self.most}
        if self.pattern is not None:
            return made | {"pattern": f"^{self.pattern}$"}
        return made | {"pattern": _NO_CONTROLS_BUT_LINES if self.lines else _NO_CONTROLS}


class Address(Struct, frozen=True):
    """An absolute http or https URL in ASCII, without user and password, of at most 2,000 characters."""

    def read(self, value: Any) -> str:
        text = _string(value)
        if len(text) > LONGEST_URL:
            raise Unreadable(f"must have at most {LONGEST_URL} characters")
        if not re.fullmatch(r"[!-~]+", text, re.ASCII) or re.search(r'[\\<>"]', text):
            raise Unreadable("must be a URL in ASCII, other characters percent-encoded")
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https"):
            raise Unreadable("must be an absolute http or https URL")
        if "@" in parts.netloc:
            raise Unreadable("must not hold a user or password")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "uri", "maxLength": LONGEST_URL, "pattern": _URL}


class Amount(Struct, frozen=True, kw_only=True):
    """An amount as a decimal string. A JSON number is refused, because many programs round it."""

    above_zero: bool = True

    def read(self, value: Any) -> Decimal:
        if not _is_text(value):
            raise Unreadable('must be a decimal string such as "1500.50"')
        amount = money(value)
        if self.above_zero and amount == 0:
            raise Unreadable("must be above zero")
        return amount

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _MONEY, "maxLength": 40, "examples": ["1500.50"]}


class Word(Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, value: Any) -> str:
        if _string(value) not in self.words:
            raise Unreadable(f"must be {' or '.join(self.words)}" if len(self.words) < 3 else self._listed())
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    def _listed(self) -> str:
        return f"must be one of {', '.join(self.words)}"


class Whole(Struct, frozen=True):
    """A whole number from `least` to `most`, both included."""

    least: int
    most: int

    def read(self, value: Any) -> int:
        if not isinstance(value, Number):
            raise Unreadable("must be a whole number")
        number = whole(value)
        if not self.least <= number <= self.most:
            raise Unreadable(f"must be from {self.least} to {self.most}")
        return number

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Wait(Struct, frozen=True):
    """A duration of at most `most` seconds, such as `25s`. It is read into seconds."""

    most: int

    def read(self, value: Any) -> float:
        match = re.fullmatch(_WAIT, _string(value), re.ASCII)
        seconds = int(match[1]) * _UNITS[match[2]] if match else None
        if seconds is None or seconds > self.most:
            raise Unreadable(f"must be a duration such as 25s, of at most {self.most}s")
        return seconds

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _WAIT, "maxLength": 7, "examples": ["25s"]}


class Moment(Struct, frozen=True):
    """A time with its offset from UTC, in ISO 8601 as in RFC 3339; seconds may be left out. It is read into UTC."""

    def read(self, value: Any) -> datetime:
        text = _string(value)
        if not re.fullmatch(_MOMENT, text, re.ASCII):
            raise Unreadable("must be a time such as 2026-01-31T18:00:00Z; in a query the + of an offset is %2B")
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unreadable("is no time of the calendar") from None

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _MOMENT, "examples": ["2026-01-31T18:00:00Z"]}


class Strings(Struct, frozen=True, kw_only=True):
    """An object of strings: at most `entries`, keys of 1 to `key` and values of at most `value` characters."""

    entries: int
    key: int
    value: int

    def read(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict):
            raise Unreadable("must be an object of strings")
        if len(value) > self.entries:
            raise Unreadable(f"must have at most {self.entries} entries")
        keys, values = Text(most=self.key), Text(least=0, most=self.value)
        for name, item in value.items():
            _within("a key", keys, name)
            _within(f"the value of {name}", values, item)
        return value

    def schema(self) -> dict[str, Any]:
        values = Text(least=0, most=self.value).schema()
        names = {"minLength": 1, "maxLength": self.key, "pattern": _NO_CONTROLS}
        return {
            "type": "object",
            "maxProperties": self.entries,
            "propertyNames": names,
            "additionalProperties": values,
        }


class Anything(Struct, frozen=True):
    """Any JSON object of at most `most` bytes when written without spaces."""

    most: int

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unreadable("must be an object")
        if len(canonical(value)) > self.most:
            raise Unreadable(f"must be at most {self.most} bytes of JSON")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


def words(enum: type[StrEnum]) -> Word:
    return Word(tuple(member.value for member in enum))


def _string(value: Any) -> str:
    if not _is_text(value):
        raise Unreadable("must be a string")
    return str(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _within(name: str, kind: Text, value: Any) -> None:
    try:
        kind.read(value)
    except Unreadable as error:
        raise Unreadable(f"{name} {error}") from None
