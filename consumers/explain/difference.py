"""What differs in a held payment, in a few words for a list: `amount 900.00, expected 1500.50`."""

from __future__ import annotations

from consumers.explain.evidence import evidence
from consumers.explain.hold_words import HOLD_CAUSES
from consumers.explain.snapshot import PaymentSnapshot
from schemas.words import Hold

_MOST = 3


def difference(snapshot: PaymentSnapshot) -> str:
    """The fields in which the newest answer differs from the payment; else why it is held. Empty: it is not held."""
    found = evidence(snapshot)
    if found is None:
        return ""
    differing = [
        f"{one.what} {one.answered or 'missing'}" + (f", expected {one.expected}" if one.expected else "")
        for answered in found.answers[-1:]
        for one in answered.compared
        if one.differs
    ]
    if differing and found.hold not in (Hold.UNEXPECTED, Hold.DUPLICATE_FOR_ORDER):
        return "; ".join(differing[:_MOST])
    return found.others[0].rstrip(".") if found.others else HOLD_CAUSES[found.hold]
