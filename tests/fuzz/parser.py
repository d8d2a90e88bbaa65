"""A reader that is fuzzed. Any exception from it is a crash."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from tests.fuzz.mutating import Dice


class Parser(Struct, frozen=True):
    """`read` draws its case, catches the exceptions of its reader's contract, and may assert what must hold."""

    name: str
    read: Callable[[Dice], None]
