"""Claims that come before their payment: which of them are kept for it, how long, and what of them.

The one thing to get wrong: giving up a signed claim before its time. Unsigned ones are bounded, because anyone may name
an id that nobody has, and of those nothing is kept that could name a person.
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
"""No gateway's id is longer; what is longer names no payment that could come."""


def may_wait(claim: Claim) -> bool:
    """Whether a claim about no payment that we know is kept for one that may come.

    A return has to name a gateway's own id: anyone can open our pages with a reference that they guessed.
    """
    session, transaction, reference = names(claim)
    issued = session is not None or transaction is not None
    return issued if claim.source is Source.RETURN else claim.source in _TOLD and (issued or reference is not None)


def names(claim: Claim) -> tuple[str | None, str | None, str | None]:
    """The session, the transaction and the reference that a payment may have, the one that says most first."""
    session, transaction, reference = (
        one if one is not None and len(one) <= LONGEST_ID else None
        for one in (claim.session_id, claim.transaction_id, claim.reference)
    )
    return session, transaction, reference


def event(claim: Claim) -> str | None:
    """The gateway's event, of which one claim is kept. Only a signed claim has one: anyone may name another's event."""
    return claim.event_id if is_signed(claim) and len(claim.event_id or "") <= LONGEST_ID else None


def is_signed(claim: Claim) -> bool:
    return claim.authenticity is Authenticity.SIGNED


def as_kept(claim: Claim) -> Claim:
    """What is kept of it: ids and word. The path named no payment, so its id says nothing about the one that comes."""
    return replace(claim, payment_id=None, callback=None, kept=True, traceparent=None)


_TOLD = (Source.WEBHOOK, Source.IPN)
