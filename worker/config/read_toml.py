"""Walk a TOML document along the types that it should have, and note every problem instead of stopping at the first.

msgspec's own conversion stops at the first error, and a Struct's constructor checks nothing. So everything that `Meta`
and the types promise is checked here. A value that cannot be read becomes `BAD`, and its siblings are read all the
same.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Self, TypeGuard

from msgspec import Struct, inspect

from consumers.ports.gateway import Misconfigured
from schemas.secret import ElsewhereSecret, Secret
from worker.config.config_problems import ConfigProblem, suggestion
from worker.config.secrets import SecretError, Secrets
from worker.runtime.durations import IN_WORDS, read_duration
from worker.runtime.sizes import SIZE_IN_WORDS, read_size

LONGEST_SECONDS = 3650 * 86_400
_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

type_info = inspect.type_info


class WrittenNumber(float):
    """A number of the file that also keeps its written form, so that decimals are read exactly."""

    written: str

    def __new__(cls, written: str) -> Self:
        number = super().__new__(cls, written)
        number.written = written
        return number


class _Bad:
    """A value that could not be read; its problem is noted."""


BAD = _Bad()

Rule = Callable[["Reader", Mapping[str, Any], str], None]
"""Called with the reader, the fields of a table that could be read, which may be few, and the table's path. It notes
fields that do not fit together."""
Special = Callable[["Reader", Mapping[str, Any], str], Any]
"""Reads a table in a way of its own, in place of `Reader`. Returns the value, or BAD."""


class Reader:
    """Reads values of every type that a field of the configuration may have.

    `problems` grows as it reads; `literals` are the paths of secrets that are written in the file itself. `needs` tells
    of a secret's path whether it has to be there; another that cannot be read becomes an ElsewhereSecret.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        rules: Mapping[type, Rule],
        specials: Mapping[type, Special],
        needs: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.problems: list[ConfigProblem] = []
        self.literals: list[str] = []
        self._secrets = secrets
        self._needs = needs
        self._rules = rules
        self._specials = specials

    def note(self, path: str, message: str) -> _Bad:
        """Add a problem. Returns BAD."""
        self.problems.append(ConfigProblem(path or "the file", message))
        return BAD

    def read(self, kind: inspect.Type, value: Any, path: str, extra: Mapping[str, Any] | None = None) -> Any:
        """The value as this type, or BAD with a problem noted. `extra` is the field's own `Meta.extra`."""
        extra = extra or {}
        match kind:
            case inspect.Metadata():
                return self.read(kind.type, value, path, {**extra, **(kind.extra or {})})
            case inspect.UnionType():
                (some,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
                return self.read(some, value, path, extra)
            case inspect.StructType():
                return self._table(kind.cls, kind.fields, value, path)
            case inspect.CustomType() if kind.cls is Secret:
                return self._secret(value, path)
            case inspect.VarTupleType() | inspect.ListType() | inspect.FrozenSetType() | inspect.SetType():
                return self._list(kind, value, path)
            case inspect.DictType():
                return self._dict(kind, value, path)
            case inspect.FloatType() if extra.get("duration"):
                return self._bounded(kind, self._duration(value, path), path)
            case inspect.IntType() if extra.get("size"):
                return self._bounded(kind, self._size(value, path), path)
            case inspect.FloatType() | inspect.IntType():
                return self._bounded(kind, self._number(kind, value, path), path)
            case inspect.DecimalType():
                return self._decimal(value, path)
            case inspect.BoolType():
                return value if isinstance(value, bool) else self._wrong("true or false", value, path)
            case inspect.StrType():
                return self._text(kind, value, path, extra)
            case inspect.EnumType():
                return self._choice([member.value for member in kind.cls], kind.cls, value, path)
            case inspect.LiteralType():
                return self._choice(list(kind.values), lambda chosen: chosen, value, path)
        raise TypeError(f"a configuration field of a type that is not read: {kind}")

    def fields(self, fields: Iterable[inspect.Field], table: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Read these fields of a table, and note its unknown keys.

        Fields that are missing or could not be read are left out.
        """
        known = {field.encode_name: field for field in fields}
        found = {}
        for key in table.keys() - known.keys():
            self.note(join(path, key), f"unknown key{suggestion(key, known.keys() - table.keys())}")
        for key, field in known.items():
            if key in table:
                found[field.name] = self.read(field.type, table[key], join(path, key))
            elif field.required:
                self.note(join(path, key), "is missing")
        return {name: value for name, value in found.items() if value is not BAD}

    def build(self, cls: type[Struct], values: Mapping[str, Any], path: str) -> Any:
        """Construct the class. Where the class itself refuses the values, note why and return BAD."""
        try:
            return cls(**values)
        except Misconfigured as error:
            for one in error.errors:
                self.note(join(path, one.field), one.message)
            return BAD
        except ValueError as error:
            return self.note(path, str(error))

    def _table(self, cls: type[Struct], fields: Iterable[inspect.Field], value: Any, path: str) -> Any:
        if not _is_table(value):
            return self._wrong("a table", value, path)
        if cls in self._specials:
            return self._specials[cls](self, value, path)
        before = len(self.problems)
        values = self.fields(fields, value, path)
        if cls in self._rules:
            self._rules[cls](self, values, path)
        return self.build(cls, values, path) if len(self.problems) == before else BAD

    def _list(
        self,
        kind: inspect.VarTupleType | inspect.ListType | inspect.FrozenSetType | inspect.SetType,
        value: Any,
        path: str,
    ) -> Any:
        if not isinstance(value, list):
            return self._wrong("a list", value, path)
        if len(value) < (kind.min_length or 0):
            return self.note(path, "needs at least one entry" if kind.min_length == 1 else "has too few entries")
        items = [self.read(kind.item_type, item, f"{path}[{index}]") for index, item in enumerate(value)]
        if any(item is BAD for item in items):
            return BAD
        match kind:
            case inspect.VarTupleType():
                return tuple(items)
            case inspect.FrozenSetType():
                return frozenset(items)
            case inspect.SetType():
                return set(items)
        return items

    def _dict(self, kind: inspect.DictType, value: Any, path: str) -> Any:
        if not _is_table(value):
            return self._wrong("a table", value, path)
        read = {key: self.read(kind.value_type, item, join(path, key)) for key, item in value.items()}
        return BAD if any(item is BAD for item in read.values()) else read

    def _secret(self, value: Any, path: str) -> Any:
        if not isinstance(value, str):
            return self._wrong("text (env:NAME, file:PATH or the secret itself)", value, path)
        try:
            secret, literal = self._secrets.resolve(value)
        except SecretError as error:
            return self.note(path, str(error)) if self._needs(path) else ElsewhereSecret(f"{path}: {error}")
        if literal:
            self.literals.append(path)
        return secret

    def _text(self, kind: inspect.StrType, value: Any, path: str, extra: Mapping[str, Any]) -> Any:
        if not isinstance(value, str):
            return self._wrong("text", value, path)
        if not (kind.min_length or 0) <= len(value) <= (kind.max_length or math.inf):
            return self.note(path, "is empty" if not value else _length_words(kind))
        if kind.pattern and not re.search(kind.pattern, value):
            return self.note(path, extra.get("say") or f"does not match {kind.pattern}")
        return value

    def _duration(self, value: Any, path: str) -> Any:
        seconds = read_duration(value) if isinstance(value, str) else None
        if seconds is None:
            return self.note(path, IN_WORDS)
        return seconds if seconds <= LONGEST_SECONDS else self.note(path, "is longer than 3650d")

    def _size(self, value: Any, path: str) -> Any:
        size = read_size(value) if isinstance(value, str) else None
        return self.note(path, SIZE_IN_WORDS) if size is None else size

    def _number(self, kind: inspect.FloatType | inspect.IntType, value: Any, path: str) -> Any:
        whole = isinstance(kind, inspect.IntType)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return self._wrong("a whole number" if whole else "a number", value, path)
        if not math.isfinite(value):
            return self.note(path, "is no finite number")
        return float(value) if isinstance(value, WrittenNumber) else value

    def _decimal(self, value: Any, path: str) -> Any:
        written = value.written if isinstance(value, WrittenNumber) else value
        if isinstance(written, bool) or not isinstance(written, str | int):
            return self._wrong("a decimal", value, path)
        if not _DECIMAL.fullmatch(str(written)):
            return self.note(path, "a decimal is of ASCII digits and one point, such as 1.5")
        return Decimal(written)

    def _bounded(self, kind: inspect.FloatType | inspect.IntType, value: Any, path: str) -> Any:
        if value is BAD:
            return BAD
        for bound, fits, words in (
            (kind.gt, operator.gt, "must be more than"),
            (kind.ge, operator.ge, "must be at least"),
            (kind.lt, operator.lt, "must be less than"),
            (kind.le, operator.le, "must be at most"),
        ):
            if bound is not None and not fits(value, bound):
                return self.note(path, f"{words} {bound:g}")
        return value

    def _choice(self, known: list[Any], make: Callable[[Any], Any], value: Any, path: str) -> Any:
        if any(value == one and type(value) is type(one) for one in known):
            return make(value)
        words = [str(one) for one in known]
        return self.note(path, f"must be one of {', '.join(words)}{suggestion(value, words)}")

    def _wrong(self, wanted: str, value: Any, path: str) -> _Bad:
        return self.note(path, f"expected {wanted}, found {_kind_of(value)}")


def join(path: str, key: str) -> str:
    """`merchants[0]` and `id` make `merchants[0].id`. A key that needs quotes in TOML has them."""
    plain = key if _PLAIN.fullmatch(key) else '"' + key.encode("unicode_escape").decode() + '"'
    return f"{path}.{plain}" if path else plain


def _length_words(kind: inspect.StrType) -> str:
    least, most = kind.min_length or 0, kind.max_length
    return f"must have {least} to {most} characters" if most is not None else f"must have {least} characters at least"


def _is_table(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _kind_of(value: Any) -> str:
    if isinstance(value, float):
        return "a number"
    kinds = {str: "text", bool: "true or false", int: "a number", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")
