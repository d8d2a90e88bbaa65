"""JSON pointers (RFC 6901): `/data/items/0/status` finds a place in a reply whose shape only the configuration knows.

The empty pointer is the whole document. `~1` is decoded before `~0`.
"""

from __future__ import annotations

import re
from typing import Any

from schemas.wire import Spoilt, Unreadable

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


def is_pointer(text: str) -> bool:
    return _POINTER.fullmatch(text) is not None


def value_at(document: Any, pointer: str) -> Any:
    """The value at the pointer; None where there is none, or a null. Raises Unreadable where the value is spoilt."""
    place = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict):
            place = place.get(key)
        elif isinstance(place, list) and re.fullmatch(r"0|[1-9][0-9]{0,5}", key, re.ASCII) and int(key) < len(place):
            place = place[int(key)]
            if isinstance(place, Spoilt):
                raise Unreadable(f"{pointer}: {place.why}")
        else:
            return None
    return place
