"""The way of a payment, in order: claims are looked at, a question is decided on and asked, its reply is written.

Nothing is locked while a gateway thinks. What was decided is written only where the payment still stands as it was read.
Where it does not, the same claims and the same reply are decided on again. The one thing to get wrong: an Execute. It is
written, and known to be committed, before it is sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.admitting import hear_gateways, turned_away
from consumers.answering import Reply
from consumers.deciding import RELIABLE, Unreliable, Work, conclude, next_question
from consumers.keeping import may_wait
from consumers.ledger import Arbiter, Ledger, Looked, Order, Sight, Turns, Write
from consumers.rules import Rules
from consumers.strangers import others_left_alone
from schemas.answers import Expected, Question
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Owners, Payment
from schemas.words import Source

SWAPS = 3
"""So often a write may lose its swap. Then the payment is locked, read and written, with nobody in between."""

NO_LIMIT: Mapping[str, int] = MappingProxyType({})


class Inquiry(Struct, frozen=True, kw_only=True):
    """A question to ask now. `work` is written with its reply; `sight` is the reading it was decided on.

    `lost`: a worker that was to ask this before may have died of it. `traceparent` names the trace of what made us ask.
    """

    account: Account
    question: Question
    expected: Expected
    asked_at: datetime
    work: Work
    sight: Sight
    lost: bool = False
    traceparent: str | None = None


class Taken(Struct, frozen=True, kw_only=True):
    """What became of claims. Those in neither `inquiries` nor `waiting` are written, and done with.

    `waiting` are about payments that another question is about just now.
    """

    inquiries: list[Inquiry]
    waiting: list[Claim]
    changes: list[Change]


async def take(
    ledger: Ledger,
    rules: Rules,
    claims: Sequence[Claim],
    turns: Turns,
    room: Mapping[str, int] = NO_LIMIT,
    *,
    patient: bool = True,
) -> Taken:
    """Look at claims and decide what to ask. A claim that leads to no question is written at once.

    `room` is how many more questions the worker takes on for an account, where it bounds them. `patient`: a claim about
    a payment that is being asked about waits. Otherwise it is written, and the sweep asks for it.
    """
    claims = list({claim.id: claim for claim in claims}.values())
    looked = await ledger.look(claims)
    strays = [claim for claim in claims if claim.id not in looked.homes]
    arrived = await _without_home(ledger, strays) if strays else []
    works = _works(looked, claims)
    asking, rest = [], []
    for work in works:
        sight = looked.sights[work.payment_id]
        asked = None if _asked_elsewhere(sight.case.payment, looked.now) else next_question(sight, work, rules, looked.now)
        (rest if asked is None else asking).append(replace(work, asked=asked))
    mine = await turns.take([work.payment_id for work in asking]) if asking else frozenset()
    others = [work for work in asking if work.payment_id not in mine]
    asking = [work for work in asking if work.payment_id in mine]
    away = await turned_away(ledger, rules, [looked.sights[work.payment_id].case.payment for work in asking], room)
    turns.give_back(away)
    rest += [replace(work, asked=None, turned_away=away[work.payment_id]) for work in asking if work.payment_id in away]
    asking = [work for work in asking if work.payment_id not in away]
    sights = dict(looked.sights)
    executing = [work for work in asking if work.asked is not None and work.asked.executes]
    begun = await _begun(ledger, rules, executing, sights, looked.now)
    lost = [work for work in executing if work.payment_id not in begun]
    turns.give_back(work.payment_id for work in lost)
    others += lost
    sights |= begun
    waiting = [claim for work in others for claim in work.claims if claim.source is not Source.SWEEP]
    if not patient:
        rest += [replace(work, asked=None, beside=True) for work in others]
        waiting = []
    changes = await _write(ledger, rules, rest, sights, looked.now)
    inquiries = [_inquiry(rules, work, sights[work.payment_id]) for work in asking if work not in lost]
    if not arrived:
        return Taken(inquiries=inquiries, waiting=waiting, changes=changes)
    more = await take(ledger, rules, arrived, turns, room, patient=patient)
    return Taken(
        inquiries=inquiries + more.inquiries, waiting=waiting + more.waiting, changes=changes + more.changes
    )


async def record(ledger: Ledger, rules: Rules, answered: Sequence[tuple[Inquiry, Reply]], now: datetime) -> list[Change]:
    """Write what gateways replied, with the claims that made us ask: one version and one event per payment at most."""
    sights = {inquiry.sight.case.payment.id: inquiry.sight for inquiry, _ in answered}
    replies = await others_left_alone(ledger, sights, [reply for _, reply in answered])
    unreliable = await hear_gateways(ledger, rules, sights, replies)
    works = [replace(inquiry.work, reply=reply) for (inquiry, _), reply in zip(answered, replies, strict=True)]
    return await _write(ledger, rules, works, sights, now, unreliable)


async def record_alone(ledger: Ledger, rules: Rules, reply: Reply) -> list[Change]:
    """Write a reply whose question nobody remembers, as one that was kept among the dead letters."""
    looked = await ledger.look([], [reply.payment_id])
    if reply.payment_id not in looked.sights:
        return []
    (reply,) = await others_left_alone(ledger, looked.sights, [reply])
    unreliable = await hear_gateways(ledger, rules, looked.sights, [reply])
    work = Work(payment_id=reply.payment_id, reply=reply)
    return await _write(ledger, rules, [work], looked.sights, looked.now, unreliable)


def expected(payment: Payment) -> Expected:
    return Expected(
        payment_id=payment.id,
        reference=payment.reference,
        amount=payment.amount,
        currency=payment.currency,
        session_id=payment.session_id,
        aliases=payment.aliases,
    )


async def _without_home(ledger: Ledger, strays: Sequence[Claim]) -> list[Claim]:
    """Keep what may be about a payment that is to come, and set the rest aside. Returns those whose payment has come.

    What a path named is none of the account's, or has just been discarded: from then on a claim's ids decide.
    """
    early = [replace(claim, payment_id=None) for claim in strays if may_wait(claim)]
    await ledger.set_aside([claim for claim in strays if not may_wait(claim)])
    found = await ledger.keep(early) if early else {}
    return [claim for claim in early if claim.id in found]


def _works(looked: Looked, claims: Iterable[Claim]) -> list[Work]:
    """The claims by their payments. Of a claim, or a signed event, that comes twice the second is no news."""
    by_payment = defaultdict[str, list[Claim]](list)
    for claim in claims:
        if claim.id in looked.homes:
            by_payment[looked.homes[claim.id]].append(claim)
    return [
        Work(payment_id=payment_id, claims=tuple(group), admissions=_admissions(looked, group))
        for payment_id, group in sorted(by_payment.items())
    ]


def _admissions(looked: Looked, claims: Sequence[Claim]) -> dict[str, Admission]:
    told, events = {}, set[str]()
    for claim in claims:
        admission = looked.admissions.get(claim.id, "new")
        if admission == "new" and claim.signed_event in events:
            admission = "repeated"
        if claim.signed_event is not None:
            events.add(claim.signed_event)
        told[claim.id] = admission
    return told
