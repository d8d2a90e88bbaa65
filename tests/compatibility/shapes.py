"""Whether everything that one JSON Schema allows to be sent is accepted by another.

What we send (events, answers): the new schema's values must fit the old schema, which readers were promised. What we
take (requests): the old schema's values must fit the new schema. A closed list is closed: one more word in what we send
is unknown to readers, one more in what we take is an addition.

A keyword that is unknown here must be the same on both sides. No proof is searched for either: every change that is not
plainly an addition is a break.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = Any

ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "examples", "deprecated"}
LEAST = ("minimum", "minLength", "minItems", "minProperties")
MOST = ("maximum", "maxLength", "maxItems", "maxProperties")
UNDERSTOOD = {
    "type", "enum", "const", "anyOf", "allOf", "properties", "required", "additionalProperties", "propertyNames",
    "items", *LEAST, *MOST, *ANNOTATIONS,
}  # fmt: skip
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


def resolved(value: Json, document: Json) -> Json:
    """The schema that a `$ref` within the document points to; only annotations stand beside a `$ref`."""
    while isinstance(value, dict) and "$ref" in value:
        assert set(value) - {"$ref"} <= ANNOTATIONS, f"{value} says more than where to look"
        found = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        value = found
    return value


class Fitting:
    """`sent` and `taken` are the documents that references within the schemas point into. No schema is recursive."""

    def __init__(self, sent: Json, taken: Json) -> None:
        self._sent, self._taken = sent, taken

    def misfits(self, sent: Json, taken: Json, at: str) -> Iterator[str]:
        """Why a value that `sent` allows is not allowed by `taken`; nothing when all of them are."""
        sent, taken = resolved(sent, self._sent), resolved(taken, self._taken)
        sent, taken = ({} if one is True else one for one in (sent, taken))
        if sent is False:
            return
        if taken is False:
            yield f"{at}: is not known"
        elif "anyOf" in sent or "anyOf" in taken:
            yield from self._choices(sent, taken, at)
        else:
            yield from self._all(sent, taken, at)
            yield from _types(sent, taken, at)
            yield from _words(sent, taken, at)
            yield from _bounds(sent, taken, at)
            yield from self._object(sent, taken, at)
            if "items" in taken:
                yield from self.misfits(sent.get("items", True), taken["items"], f"{at}[]")

    def _choices(self, sent: Json, taken: Json, at: str) -> Iterator[str]:
        """Each alternative of `sent` must fit an alternative of `taken`."""
        for one in (sent, taken):
            if "anyOf" in one and set(one) - {"anyOf"} - ANNOTATIONS:
                yield f"{at}: says more than anyOf"
        ways = taken.get("anyOf", [taken])
        for one in sent.get("anyOf", [sent]):
            found = [list(self.misfits(one, way, at)) for way in ways]
            yield from min(found, key=len)

    def _all(self, sent: Json, taken: Json, at: str) -> Iterator[str]:
        ours, theirs = sent.get("allOf", []), taken.get("allOf", [])
        if theirs and len(ours) != len(theirs):
            yield f"{at}: allOf has other parts"
            return
        for one, other in zip(ours, theirs, strict=False):
            yield from self.misfits(one, other, at)

    def _object(self, sent: Json, taken: Json, at: str) -> Iterator[str]:
        for name in taken.get("required", []):
            if name not in sent.get("required", []):
                yield f"{at}.{name}: may be missing"
        ours, theirs = sent.get("properties", {}), taken.get("properties", {})
        open_sent, open_taken = (one.get("additionalProperties", True) for one in (sent, taken))
        for name, schema in theirs.items():
            if name in ours:
                yield from self.misfits(ours[name], schema, f"{at}.{name}")
            elif open_sent is not False:
                yield f"{at}.{name}: is no longer described"
        if open_taken is not True:
            for name in ours.keys() - theirs.keys():
                yield from self.misfits(ours[name], open_taken, f"{at}.{name}")
            if _may_be("object", sent):
                yield from self.misfits(open_sent, open_taken, f"{at}.*")
        if "propertyNames" in taken:
            yield from self.misfits(sent.get("propertyNames", True), taken["propertyNames"], f"{at} (names)")


def _types(sent: Json, taken: Json, at: str) -> Iterator[str]:
    wanted, given = _types_of(taken), _types_of(sent)
    if wanted is not None and (given is None or any(one not in wanted and not _narrower(one, wanted) for one in given)):
        yield f"{at}: may be {'anything' if given is None else ' or '.join(sorted(given))}"


def _types_of(schema: Json) -> set[str] | None:
    if "type" in schema:
        return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    words = _words_of(schema)
    return None if words is None else {"null" if word is None else _TYPES[type(word)] for word in words}


def _narrower(one: str, wanted: set[str]) -> bool:
    return one == "integer" and "number" in wanted


def _may_be(kind: str, schema: Json) -> bool:
    types = _types_of(schema)
    return types is None or kind in types


def _words(sent: Json, taken: Json, at: str) -> Iterator[str]:
    known, used = _words_of(taken), _words_of(sent)
    if known is None:
        return
    if used is None:
        yield f"{at}: may be another word than those listed"
        return
    yield from (f"{at}: may be {word!r}" for word in used if word not in known)


def _words_of(schema: Json) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    words: list[Any] | None = schema.get("enum")
    return words


def _bounds(sent: Json, taken: Json, at: str) -> Iterator[str]:
    for word in LEAST:
        if word in taken and sent.get(word, float("-inf")) < taken[word]:
            yield f"{at}: may be below its {word}"
    for word in MOST:
        if word in taken and sent.get(word, float("inf")) > taken[word]:
            yield f"{at}: may be above its {word}"
    for word in taken.keys() - UNDERSTOOD:
        if sent.get(word) != taken[word]:
            yield f"{at}: has another {word}"
