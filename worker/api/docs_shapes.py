"""A JSON Schema in words: a list of fields, each with its kind, for `/docs`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import htpy as h

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}


def text(words: str) -> h.Fragment:
    """Words with `code` in backticks. Each item of a list stands in a line of its own."""
    first, *items = [_line(line) for line in words.split("\n- ")]
    return h.fragment[first, [(h.br, "• ", item) for item in items]]


def _line(words: str) -> h.Fragment:
    parts = re.split(r"`([^`]+)`", words.removeprefix("- "))
    return h.fragment[[h.code[part] if place % 2 else part for place, part in enumerate(parts)]]


def field_list(document: Mapping[str, Any], fields: Mapping[str, Any], needed: Sequence[str]) -> h.Element:
    """The fields of an object or a query, those that are needed marked as such."""
    return h.dl(".fields")[
        [
            h.div[
                h.dt[h.code[name], h.b(".needed")[" needed"] if name in needed else None],
                h.dd[
                    h.span(".kind")[_kind(document, schema)],
                    (" ", text(schema["description"])) if schema.get("description") else None,
                ],
            ]
            for name, schema in fields.items()
        ]
    ]


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> h.Node:
    if "$ref" in schema:
        return _named(document, schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        ways = [_kind(document, way) for way in schema["anyOf"]]
        return h.fragment[[(" or " if place else None, way) for place, way in enumerate(ways)]]
    if "const" in schema or "enum" in schema:
        words = schema.get("enum") or [schema["const"]]
        return h.fragment["one of " if len(words) > 1 else None, [(h.code[str(word)], " ") for word in words]]
    kind = _KINDS.get(schema.get("type", ""), "anything")
    if kind == "list":
        return h.fragment["list of ", _kind(document, schema.get("items", {}))]
    return kind + _bounds(schema)


def _named(document: Mapping[str, Any], name: str) -> h.Node:
    """A link to a shape that the page shows."""
    known = document["components"]["schemas"].get(name, {})
    return h.a(href=f"#shape-{name}")[name] if "properties" in known or "enum" in known else name


def _bounds(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", {least} or more"
    longest = schema.get("maxLength")
    return "" if longest is None else f", at most {longest} characters"
