"""The shape of a request: a table of fields, by which it is read and by which `/openapi.json` shows it.

A request is read to its end, so that a shop that sends three wrong fields hears of all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from schemas.fields import Kind, Whole
from schemas.wire import Number, Unreadable

LONGEST_NAME = 100


class Wrong(Struct, frozen=True):
    """One thing wrong with a request. `field` is a path such as `customer.email`; empty for the body as a whole."""

    field: str
    message: str


class Field(Struct, frozen=True, kw_only=True):
    """One field of a request. `name`: its name there. A field that is not `required` may be absent."""

    name: str
    kind: Kind | Shape
    required: bool = False


class Shape(Struct, frozen=True):
    """An object with these fields and no others. `name` is that of its schema in the published documents."""

    fields: tuple[Field, ...]
    name: str = ""

    def read(self, value: Any, wrong: list[Wrong], path: str = "") -> dict[str, Any]:
        """Returns the sound fields by name. Every error is added to `wrong`, with the path of its field."""
        if not isinstance(value, dict):
            wrong.append(Wrong(path, "must be an object" if path else "the body must be a JSON object"))
            return {}
        known = {one.name for one in self.fields}
        before = f"{path}." if path else ""
        wrong += [
            Wrong(before + name[:LONGEST_NAME], "is no field of this request") for name in value if name not in known
        ]
        found = {}
        for one in self.fields:
            if one.name not in value:
                wrong += [Wrong(before + one.name, "is missing")] if one.required else []
                continue
            if isinstance(one.kind, Shape):
                found[one.name] = one.kind.read(value[one.name], wrong, before + one.name)
                continue
            try:
                found[one.name] = one.kind.read(value[one.name])
            except Unreadable as error:
                wrong.append(Wrong(before + one.name, str(error)))
        return found

    def read_query(self, pairs: Iterable[tuple[str, str]], wrong: list[Wrong]) -> dict[str, Any]:
        """The same for a query, whose values are all text. A name that stands twice is an error."""
        kinds = {one.name: one.kind for one in self.fields}
        found: dict[str, str] = {}
        for name, text in pairs:
            if name in found:
                wrong.append(Wrong(name[:LONGEST_NAME], "stands twice"))
            found[name] = Number(text) if isinstance(kinds.get(name), Whole) else text
        return self.read(found, wrong)

    def schema(self, ref: Callable[[str], str] | None = None) -> dict[str, Any]:
        """The object's JSON Schema. With `ref`, shapes within it are references: `ref` gives the place of a name."""
        required = [one.name for one in self.fields if one.required]
        return {
            **({"title": self.name} if self.name else {}),
            "type": "object",
            "properties": {one.name: _shown(one.kind, ref) for one in self.fields},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def schemas(self, ref: Callable[[str], str]) -> dict[str, Any]:
        """The schemas of this shape and of those within it, by name."""
        found = {self.name: self.schema(ref)}
        for one in self.fields:
            if isinstance(one.kind, Shape):
                found |= one.kind.schemas(ref)
        return found


def _shown(kind: Kind | Shape, ref: Callable[[str], str] | None) -> dict[str, Any]:
    if not isinstance(kind, Shape):
        return kind.schema()
    return kind.schema() if ref is None else {"$ref": ref(kind.name)}
