"""A reader that is fuzzed. Whatever it raises is a crash."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from tests.fuzz.mutating import Dice


class Parser(Struct, frozen=True):
    """`read` draws its case, swallows what its contract says may be raised, and may assert what must hold."""

    name: str
    read: Callable[[Dice], None]
