"""Reading JSON that Payproof wrote itself: claims in a queue, dead letters, events of the log, wakeups.

It is checked all the same. A newer release may have written it, and other users of the broker or of the database may
have put other bytes there.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

Shape = TypeVar("Shape")


class NotOurs(Exception):
    """The bytes are no JSON of this shape. The message says why. `kind`: the name of the original error."""

    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__name__
        super().__init__(f"{self.kind}: {error}")


def read_own(body: bytes | str, shape: type[Shape]) -> Shape:
    """Read the value of type `shape` that was written as `body`. Raises NotOurs."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # RecursionError: nested too deep
        raise NotOurs(error) from error
