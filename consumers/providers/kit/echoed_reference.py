"""Whether a reference that a gateway tells may be the payment's."""

from __future__ import annotations


def may_be_ours(told: str, ours: str) -> bool:
    """False where it is clearly another payment's. The fold judges a difference in case or outer blanks."""
    return told.strip().casefold() == ours.strip().casefold()
