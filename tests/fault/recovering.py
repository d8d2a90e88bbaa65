"""The time from the start of a fault until the outcome of everything that was in progress then, or came during it.

An acknowledged return waits for its outcome from the start of the fault, not from its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from tests.harness import ToldEvent


class Spell(Struct, frozen=True):
    """A fault from its start until everything ran again, in Unix time."""

    kind: str
    began: float
    ended: float


def slowest_recovery(spells: Sequence[Spell], acknowledged_at: Mapping[str, float], told: Sequence[ToldEvent]) -> float:
    """The longest time from a fault's start to the paid event of a payment whose return came before the fault's end."""
    outcome = dict[str, float]()
    for one in told:
        if one.word == "completed":
            outcome.setdefault(one.subject, one.time.timestamp())
    slowest = 0.0
    for spell in spells:
        waited = (then for one, then in outcome.items() if acknowledged_at.get(one, then) < spell.ended)
        slowest = max([slowest, *(then - spell.began for then in waited if then > spell.began)])
    return slowest
