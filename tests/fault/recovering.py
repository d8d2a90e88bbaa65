"""How long it takes from the start of a fault until all that was under way then, or came during it, is told.

The one thing to get wrong: where to begin. What was acknowledged waits for its outcome from the moment that something
went wrong, not from the moment that it was mended.
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
    """The longest time from a fault's start until a payment was told as paid whose return came before its end."""
    outcome = dict[str, float]()
    for one in told:
        if one.word == "completed":
            outcome.setdefault(one.subject, one.time.timestamp())
    slowest = 0.0
    for spell in spells:
        waited = (then for one, then in outcome.items() if acknowledged_at.get(one, then) < spell.ended)
        slowest = max([slowest, *(then - spell.began for then in waited if then > spell.began)])
    return slowest
