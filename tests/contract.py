"""Today's contract, the published files, and the released contracts: `python -m tests.contract` writes today's.

    python -m tests.contract              schemas/published/, after a change of the types
    python -m tests.contract --release    tests/released/<version>/ as well, when a version is released

A release is never written again to make a test pass: its files have readers.
"""

from __future__ import annotations

import json
import sys
import tomllib
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from schemas.contract import event_schema
from worker.api.documents import published

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "schemas/published"
RELEASED = ROOT / "tests/released"
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
"""The version of this checkout. An environment that was made before the version was raised reports another."""


def todays() -> dict[str, Any]:
    """Every document by its file's name."""
    return {Path(path).name: document for path, document in published(release=VERSION).items()}


def written(document: Any) -> bytes:
    """The bytes of the files: one change is one line."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def released() -> list[Path]:
    """The directories of the releases, oldest first."""
    return sorted(RELEASED.iterdir(), key=lambda one: number(one.name))


def number(release: str) -> list[int]:
    """A release's name as a sort key: 0.10.0 comes after 0.9.0."""
    return [int(part) for part in release.split(".")]


def read(file: Path) -> Any:
    return json.loads(file.read_bytes())


def strict(schema: Any) -> Any:
    """The same schema, closed: a field it does not know is wrong. For our own tests alone."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(one) for name, one in schema.items()}
    return closed | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


@cache
def _strict_event() -> jsonschema.Draft202012Validator:
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(strict(deepcopy(event_schema())), format_checker=formats)


def check_event(event: Any) -> None:
    """Check that an event, read from its JSON, fits `event-1.json` and holds nothing more. Raises ValidationError."""
    _strict_event().validate(event)


def main() -> None:
    places = [PUBLISHED]
    documents = todays()
    if sys.argv[1:] == ["--release"]:
        places.append(RELEASED / VERSION)
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for name, document in documents.items():
            (place / name).write_bytes(written(document))
            print(place.relative_to(ROOT) / name)


if __name__ == "__main__":
    main()
