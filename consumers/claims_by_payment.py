"""Claims and the payments that they are about: looked at together, and told apart by payment.

The one thing to get wrong: a claim whose payment is not there. It may come before its payment, so it is kept for it;
and its payment may come between two looks, so it is looked at again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from consumers.decide import PaymentWork
from consumers.early_claims import may_wait
from consumers.ports.ledger import Admission, Ledger, LookResult
from schemas.callbacks import Claim
from schemas.words import Authenticity, Source


class LookedAt(Struct, frozen=True, kw_only=True):
    """The claims that have a payment, as work on it, with the look. `gone`: their payment came and went meanwhile."""

    looked: LookResult
    works: list[PaymentWork]
    gone: list[Claim]


async def look_at(ledger: Ledger, claims: Mapping[str, Claim]) -> LookedAt:
    """Look at claims, given by their ids. A claim without a payment is kept for one, or set aside."""
    looked = await ledger.look(list(claims.values()))
    homed, strays = _by_home(looked, claims.values())
    arrived = await keep_or_set_aside(ledger, strays)
    gone = list[Claim]()
    if arrived:
        looked = await ledger.look([*homed, *arrived])
        homed, gone = _by_home(looked, [*homed, *arrived])
    return LookedAt(looked=looked, works=works_of(looked, homed), gone=gone)


def _by_home(looked: LookResult, claims: Iterable[Claim]) -> tuple[list[Claim], list[Claim]]:
    """The claims that have a payment, and those that have none."""
    homed, strays = list[Claim](), list[Claim]()
    for claim in claims:
        (homed if claim.id in looked.homes else strays).append(claim)
    return homed, strays


async def keep_or_set_aside(ledger: Ledger, strays: Sequence[Claim]) -> list[Claim]:
    """Keep claims that may be about a payment to come, set the others aside; return those whose payment has come.

    A payment that the path named is none of the account's, or has just been discarded. So from here on the other ids of
    the claim decide which payment it is about.
    """
    early = [replace(claim, payment_id=None) for claim in strays if may_wait(claim)]
    aside = [claim for claim in strays if not may_wait(claim) and claim.source is not Source.SWEEP]
    if aside:
        await ledger.set_aside(aside)
    found = await ledger.keep(early) if early else {}
    return [claim for claim in early if claim.id in found]


def works_of(looked: LookResult, claims: Iterable[Claim]) -> list[PaymentWork]:
    """The claims that have a payment, by their payments."""
    by_payment = defaultdict[str, list[Claim]](list)
    for claim in claims:
        if claim.id in looked.homes:
            by_payment[looked.homes[claim.id]].append(claim)
    return [
        PaymentWork(payment_id=payment_id, claims=tuple(group), admissions=_admissions(looked, group))
        for payment_id, group in sorted(by_payment.items())
    ]


def readmitted(work: PaymentWork, looked: LookResult) -> PaymentWork:
    """The same work, with the admissions that a later look tells."""
    return replace(work, admissions=_admissions(looked, work.claims))


def _admissions(looked: LookResult, claims: Sequence[Claim]) -> dict[str, Admission]:
    """Which of the claims are new. Of two new ones with one signed event, the second is a repetition."""
    told, events = dict[str, Admission](), set[str]()
    for claim in claims:
        told[claim.id] = looked.admissions.get(claim.id, "new")
        if claim.authenticity is Authenticity.SIGNED and claim.event_id is not None:
            if told[claim.id] == "new" and claim.event_id in events:
                told[claim.id] = "repeated"
            events.add(claim.event_id)
    return told
