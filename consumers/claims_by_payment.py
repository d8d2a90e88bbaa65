"""Look at claims together, find the payment that each is about, and group them by payment.

No claim without a payment is lost. A claim may come before its payment, so it is kept for that payment. The payment may
be recorded between the look and the keeping, so the claim is then looked at again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from consumers.decide import PaymentWork
from consumers.early_claims import may_wait
from consumers.ports.ledger import Ledger
from consumers.ports.readings import Admission, LookResult
from schemas.callbacks import Claim
from schemas.words import Authenticity, Source


class ClaimsByPayment(Struct, frozen=True, kw_only=True):
    """Claims grouped by payment as `works`, with the look. `gone`: their payment came and was discarded meanwhile."""

    looked: LookResult
    works: list[PaymentWork]
    gone: list[Claim]


async def look_and_rehome(ledger: Ledger, claims: Mapping[str, Claim]) -> ClaimsByPayment:
    """Look at claims, given by their ids. A claim without a payment is kept as an early claim, or set aside.

    A claim whose payment was recorded after the look is looked at again. So is a claim whose path named an unknown
    payment, and whose other ids name a known one.
    """
    looked = await ledger.look(list(claims.values()))
    homed, strays = _split_by_home(looked, claims.values())
    arrived = await keep_or_set_aside(ledger, strays)
    gone = list[Claim]()
    if arrived:
        looked = await ledger.look([*homed, *arrived])
        homed, gone = _split_by_home(looked, [*homed, *arrived])
    return ClaimsByPayment(looked=looked, works=group_by_payment(looked, homed), gone=gone)


def _split_by_home(looked: LookResult, claims: Iterable[Claim]) -> tuple[list[Claim], list[Claim]]:
    """Returns the claims that have a payment, and the claims that have none."""
    homed, strays = list[Claim](), list[Claim]()
    for claim in claims:
        (homed if claim.id in looked.homes else strays).append(claim)
    return homed, strays


async def keep_or_set_aside(ledger: Ledger, strays: Sequence[Claim]) -> list[Claim]:
    """Keep claims that may be about a payment to come and set the others aside. Returns those whose payment has come.

    If the path named a payment, it is another account's or was just discarded. So the returned claims have no
    `payment_id`, and their other ids decide which payment they are about. Claims of the sweep are dropped.
    """
    early = [replace(claim, payment_id=None) for claim in strays if may_wait(claim)]
    aside = [claim for claim in strays if not may_wait(claim) and claim.source is not Source.SWEEP]
    if aside:
        await ledger.set_aside(aside)
    found = await ledger.keep(early) if early else {}
    return [claim for claim in early if claim.id in found]


def group_by_payment(looked: LookResult, claims: Iterable[Claim]) -> list[PaymentWork]:
    """One work for each payment that claims are about, in the order of the payments' ids; other claims are left out."""
    by_payment = defaultdict[str, list[Claim]](list)
    for claim in claims:
        if claim.id in looked.homes:
            by_payment[looked.homes[claim.id]].append(claim)
    return [
        PaymentWork(payment_id=payment_id, claims=tuple(group), admissions=_admissions(looked, group))
        for payment_id, group in sorted(by_payment.items())
    ]


def with_new_admissions(work: PaymentWork, looked: LookResult) -> PaymentWork:
    """The same work, with its claims' admissions as a later look read them."""
    return replace(work, admissions=_admissions(looked, work.claims))


def _admissions(looked: LookResult, claims: Sequence[Claim]) -> dict[str, Admission]:
    """The claims' admissions by claim id. Of two new claims with one signed event, the second is a repetition."""
    told, events = dict[str, Admission](), set[str]()
    for claim in claims:
        told[claim.id] = looked.admissions.get(claim.id, "new")
        if claim.authenticity is Authenticity.SIGNED and claim.event_id is not None:
            if told[claim.id] == "new" and claim.event_id in events:
                told[claim.id] = "repeated"
            events.add(claim.event_id)
    return told
