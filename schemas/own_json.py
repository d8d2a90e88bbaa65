"""Reading JSON that Payproof wrote itself: claims in a queue, dead letters, events of the log, wakeups.

The one thing to get wrong: trusting it. A newer release may have written it, and whoever may write to the broker or to
the database can put other bytes there.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

Shape = TypeVar("Shape")


class NotOurs(Exception):
    """The bytes are no JSON of this shape. The text tells how it failed; `kind` is the first word of it."""

    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__name__
        super().__init__(f"{self.kind}: {error}")


def read_own(body: bytes | str, shape: type[Shape]) -> Shape:
    """The value that was written as `body`. Raises NotOurs."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last for nesting that is too deep
        raise NotOurs(error) from error
