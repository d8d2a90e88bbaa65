"""Rules of the configuration about API keys. `once` notes a problem where the thing was seen before in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from schemas.secret import ElsewhereSecret, Secret
from worker.config.keys import digest_of, is_hashed
from worker.config.read_toml import Reader, join

MIN_API_KEY = 24
"""In characters. Of a key that is given as its hash, the length cannot be seen."""

Once = Callable[[Reader, tuple[object, ...], str, str], None]


def check_keys(reader: Reader, values: Mapping[str, Any], path: str, once: Once) -> None:
    """The keys of `api_keys`, and that the merchant has a key at all."""
    for index, key in enumerate(values.get("api_keys", ())):
        _check_key(reader, key, f"{path}.api_keys[{index}]", once)
    broken = re.compile(re.escape(path) + r"\.(api_)?keys\b")
    if not values.get("api_keys") and not values.get("keys") and not any(map(broken.match, _paths(reader))):
        reader.note(path, "needs an API key, in api_keys or in a [[merchants.keys]] table")


def check_named_key(reader: Reader, values: Mapping[str, Any], path: str, once: Once) -> None:
    """A [[merchants.keys]] table."""
    merchant = path.rpartition(".")[0]
    once(reader, ("key name", merchant, values.get("name")), join(path, "name"), "is the name of {first} too")
    fields = {name: join(path, name) for name in ("hash", "key")}
    given = {name: values[name] for name in fields if values.get(name) is not None}
    if len(given) > 1:
        reader.note(path, "has both `hash` and `key`; one of them is enough")
        return
    if not given and not set(fields.values()) & set(_paths(reader)):
        reader.note(path, "needs the key, as `hash` or as `key`")
    for name, key in given.items():
        if isinstance(key, ElsewhereSecret):
            continue
        if name == "hash" and not is_hashed(key):
            reader.note(fields[name], "is no hash; a key itself stands in `key`")
        elif name == "key" and is_hashed(key):
            reader.note(fields[name], "is a hash, which stands in `hash`")
        else:
            _check_key(reader, key, fields[name], once)


def _check_key(reader: Reader, key: Secret, place: str, once: Once) -> None:
    """Note what is wrong with a key, or with its hash. One that this process was not given cannot be checked."""
    if isinstance(key, ElsewhereSecret):
        return
    if not re.fullmatch(r"[!-~]+", key.reveal()):
        reader.note(place, "an API key is of ASCII letters, digits and signs, without spaces")
    elif not is_hashed(key) and len(key.reveal()) < MIN_API_KEY:
        reader.note(place, f"an API key has {MIN_API_KEY} characters or more; `payproof key` makes one")
    try:
        once(reader, ("api_key", digest_of(key)), place, "is the key of {first} too")
    except ValueError as error:
        reader.note(place, str(error))
    if is_hashed(key) and place in reader.literals:
        reader.literals.remove(place)  # a hash is no secret


def _paths(reader: Reader) -> list[str]:
    return [problem.path for problem in reader.problems]
