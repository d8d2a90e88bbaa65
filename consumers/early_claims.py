"""Claims that come before their payment: which are kept, for how long, and which of their fields.

A signed claim is never dropped before KEPT_FOR. Unsigned claims are bounded, because anyone may send claims about ids
that do not exist. No field is kept that could name a person.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from schemas.callbacks import Claim
from schemas.words import Authenticity, Source

KEPT_FOR = timedelta(days=7)
PER_ID = 3
PER_ACCOUNT = 10_000
LONGEST_ID = 255
"""Longest id, in characters. No gateway's id is longer, so a longer one names no payment that could come."""


def may_wait(claim: Claim) -> bool:
    """Whether a claim about no known payment is kept for a payment that may come.

    A return has to name an id that the gateway issued, because anyone can open our pages with a guessed reference.
    """
    session, transaction, reference = names(claim)
    issued = session is not None or transaction is not None
    return issued if claim.source is Source.RETURN else claim.source in _TOLD and (issued or reference is not None)


def names(claim: Claim) -> tuple[str | None, str | None, str | None]:
    """Returns the claim's session, transaction and reference, the strongest first. An id over LONGEST_ID is None."""
    session, transaction, reference = (
        one if one is not None and len(one) <= LONGEST_ID else None
        for one in (claim.session_id, claim.transaction_id, claim.reference)
    )
    return session, transaction, reference


def event(claim: Claim) -> str | None:
    """The id of the gateway's event, for which one claim is kept. None if unsigned: its sender may name any event."""
    return claim.event_id if is_signed(claim) and len(claim.event_id or "") <= LONGEST_ID else None


def is_signed(claim: Claim) -> bool:
    return claim.authenticity is Authenticity.SIGNED


def as_kept(claim: Claim) -> Claim:
    """The claim as it is kept: its ids and its word, without callback, trace and the `payment_id` of its path."""
    return replace(claim, payment_id=None, callback=None, kept=True, traceparent=None)


_TOLD = (Source.WEBHOOK, Source.IPN)
