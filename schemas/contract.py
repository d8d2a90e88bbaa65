"""The published JSON Schemas (2020-12), made from the types that events and answers are written from.

They stand in `schemas/published/` and are served at their `$id`. OpenAPI and AsyncAPI take their shapes from here, so
that all agree. `python -m tests.contract` writes the files; a test fails when they differ.

The schemas stay open: none forbids further fields, or the first new field would break every subscriber that validates.
The tests are stricter: there a field that is in no schema is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import Struct

from schemas.shown import EVENT_SCHEMA, PAYMENT_SCHEMA, PaymentEvent, PaymentView
from schemas.words import EntryKind, EventType, Hold, Status

Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VOCABULARIES: tuple[type[StrEnum], ...] = (Status, Hold, EventType, EntryKind)


def payment_schema(public_url: str = "") -> Schema:
    """The schema of a payment, which every event's `dataschema` names. Without `public_url` its `$id` is a path."""
    return _document(PaymentView, public_url + PAYMENT_SCHEMA)


def event_schema(public_url: str = "") -> Schema:
    """The schema of an event, with the payment's schema inside."""
    return _document(PaymentEvent, public_url + EVENT_SCHEMA)


def components(types: Sequence[type[Struct]], ref_template: str) -> dict[str, Schema]:
    """The schemas of these types and of every type that they use, by name."""
    _, made = msgspec.json.schema_components(types, ref_template=ref_template)
    for vocabulary in _VOCABULARIES:
        if vocabulary.__name__ in made:  # msgspec sorts the words; their order means something
            made[vocabulary.__name__] |= {"type": "string", "enum": [word.value for word in vocabulary]}
    for schema in made.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    return made


def _document(kind: type[Struct], address: str) -> Schema:
    parts = components([kind], "#/$defs/{name}")
    return {"$schema": _DRAFT, "$id": address, **parts.pop(kind.__name__), "$defs": parts}
