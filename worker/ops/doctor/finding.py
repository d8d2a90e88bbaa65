"""A finding: how it is, what it is about, in words, and what to do."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Mark = Literal["ok", "!!", "no"]
"""`no` is wrong and ends the command with 1; `!!` may be meant so."""


class Finding(Struct, frozen=True):
    mark: Mark
    subject: str
    words: str
    to_do: str = ""
