"""What the judge can find, by kind, with the words that make it plain."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["lost", "doubled", "wrong", "silent", "held", "late", "cost"]
KINDS: tuple[Kind, ...] = ("lost", "doubled", "wrong", "silent", "held", "late", "cost")
"""The kinds of findings, in this order.

Money that was paid and not reported; reported or taken twice; reported and not true; ended without an end; held without
cause; reported too late; and more questions, rows or calls than the bounds allow.
"""


class Finding(Struct, frozen=True, kw_only=True):
    kind: Kind
    payment_id: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.payment_id} {self.words}"
