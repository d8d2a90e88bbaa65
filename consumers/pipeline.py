"""The way of a payment, in order: claims are looked at, a question is decided on and asked, its reply is written.

Nothing is locked while a gateway thinks. What was decided is written only where the payment still stands as it was
read. Where it does not, the same claims and the same reply are decided on again. The one thing to get wrong: an
Execute. It is written, and known to be committed, before it is sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.admission import RELIABLE, Unreliable, acquire_call_budget, record_gateway_health
from consumers.checks.execute import ends_doubt, under_way
from consumers.decide import NO_TAKEN_KEYS, PaymentWork, clock_ends, conclude, next_question
from consumers.early_claims import may_wait
from consumers.money.foreign_answers import others_left_alone
from consumers.ports.call_limits import AccountLimits
from consumers.ports.ledger import Admission, Ledger, LockedLedger, LookResult, Reading, Turns, Write
from consumers.ports.reply import Reply
from consumers.rules import Rules
from schemas.answers import Answer, Executed, Expected, Question
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Payment, TakenKeys
from schemas.words import Authenticity, Source

SWAPS = 3
"""So often a write may lose its swap. Then the payment is locked, read and written, with no other write between."""

LESSONS = 10
"""So often the write of a locked payment may find that another payment has a key of it, or that a claim is recorded."""

HealthRecorded = dict[tuple[str, datetime], Unreliable]
"""The replies that their accounts were told of: what each brought about there, by its payment and its `asked_at`."""

NO_ROOM_LIMIT: Mapping[str, int] = MappingProxyType({})


class AssignedQuestion(Struct, frozen=True, kw_only=True):
    """A question to ask now. `work` is written with its reply; `reading` is the reading it was decided on.

    `claims` led to the question, and stay with the bus until the reply is written. Those of an Execute are recorded
    before it is sent. Should its worker die, they come again all the same, so that Query is asked at once.
    `lost`: an earlier worker may have died of this question. `traceparent` is the trace of the claim that led to it.
    `taken_at` is when this worker took the claims, by its own clock. The question has to be sent within a time that
    runs from `asked_at` or `taken_at`, whichever is earlier.
    """

    account: Account
    question: Question
    expected: Expected
    asked_at: datetime
    work: PaymentWork
    reading: Reading
    claims: tuple[Claim, ...] = ()
    limits: AccountLimits | None = None
    lost: bool = False
    traceparent: str | None = None
    taken_at: datetime | None = None

    @property
    def runs_from(self) -> datetime:
        return self.asked_at if self.taken_at is None else min(self.asked_at, self.taken_at)


class TakenClaims(Struct, frozen=True, kw_only=True):
    """What became of claims. Those in neither `questions` nor `waiting` are written, and done with.

    `waiting` are about payments that another question is in flight about.
    """

    questions: list[AssignedQuestion]
    waiting: list[Claim]
    changes: list[Change]


async def take_claims(
    ledger: Ledger,
    rules: Rules,
    claims: Sequence[Claim],
    turns: Turns,
    room: Mapping[str, int] = NO_ROOM_LIMIT,
    *,
    patient: bool = True,
    known: dict[str, AccountLimits] | None = None,
) -> TakenClaims:
    """Look at claims and decide what to ask. A claim that leads to no question is written at once.

    `room` is how many more questions the worker takes on, for each account where it bounds them. `patient`: a claim
    about a payment that is being asked about waits. Otherwise it is written, and the sweep asks for it. `known` has the
    limits that this process read last, by account; every look renews them. Where this raises, no turn is kept, and
    no question may be sent.
    """
    looked, claims, strays = await _looked(ledger, {claim.id: claim for claim in claims})
    if known is not None:
        known.update(looked.limits_by_account)
    readings = dict(looked.readings)
    works = _decided(rules, _works(looked, claims), readings, looked.now)
    wanted = [work for work in works if work.asked is not None or _ends(readings, work, rules, looked.now)]
    mine = await turns.take([work.payment_id for work in wanted]) if wanted else frozenset()
    asked_about = frozenset[str]()
    try:
        others = [work for work in wanted if work.payment_id not in mine]
        asking = [work for work in wanted if work.payment_id in mine and work.asked is not None]
        payments = [readings[work.payment_id].case.payment for work in asking]
        away = await acquire_call_budget(ledger, rules, looked, payments, room)
        asking = [work for work in asking if work.payment_id not in away]
        left = {work.payment_id for work in (*others, *asking)}
        rest = [
            replace(work, asked=None, postponed_until=away.get(work.payment_id))
            for work in works
            if work.payment_id not in left
        ]
        if not patient:
            rest += [replace(work, asked=None, beside=True) for work in others if _tells(work)]
            others = []
        changes = await _write(ledger, rules, rest, readings, looked.now)
        executing = [work for work in asking if work.executes]
        begun = await _begun(ledger, rules, executing, readings, looked.now)
        outrun = [work for work in executing if work.payment_id not in begun]
        asking = [work for work in asking if not work.executes or work.payment_id in begun]
        if not patient:
            beside = [replace(work, asked=None, beside=True) for work in outrun if _tells(work)]
            changes += await _write(ledger, rules, beside, readings, looked.now)
            outrun = []
        questions = [_assigned(rules, work, readings | begun, looked) for work in asking]
        asked_about = frozenset(work.payment_id for work in asking)
    finally:
        turns.give_back(mine - asked_about)
    waiting = [*(claim for work in (*others, *outrun) for claim in work.claims), *strays]
    waiting.sort(key=lambda claim: claim.source is Source.SWEEP)  # few may wait, and the sweep repeats its own anyway
    return TakenClaims(questions=questions, waiting=waiting, changes=changes)


async def record_replies(
    ledger: Ledger,
    rules: Rules,
    asked: Sequence[tuple[AssignedQuestion, Reply | None]],
    now: datetime,
    known: dict[str, AccountLimits] | None = None,
    counted: HealthRecorded | None = None,
) -> list[Change]:
    """Write what gateways replied, with the claims that made us ask: one version and one event per payment at most.

    `known` has the limits that this process read last, by account: an answer ends the troubles that its account
    had meanwhile. `counted` has the replies that an earlier call told their accounts of, before it failed. This call
    adds its own, so that no account is told of a reply twice. A reply is None where a fault of ours took it. Its
    question is written all the same, so that its schedule goes on.
    """
    readings = {assigned.reading.case.payment.id: assigned.reading for assigned, _ in asked}
    limits_by_account = {} if known is None else known
    counted = {} if counted is None else counted
    tried = frozenset(counted)
    for assigned, _ in asked:
        if assigned.limits is not None:
            limits_by_account.setdefault(assigned.account.id, assigned.limits)
    attributed = await others_left_alone(ledger, readings, [reply for _, reply in asked if reply is not None])
    news = [reply for reply in attributed if (reply.payment_id, reply.asked_at) not in counted]
    brought = await record_gateway_health(ledger, rules, readings, limits_by_account, news)
    counted.update({(reply.payment_id, reply.asked_at): brought for reply in news})
    unreliable = Unreliable.any_of(counted[reply.payment_id, reply.asked_at] for reply in attributed)
    replies = iter(attributed)
    works = [
        assigned.work
        if reply is None
        else replace(assigned.work, replies=(next(replies),), tried=(reply.payment_id, reply.asked_at) in tried)
        for assigned, reply in asked
    ]
    works = [work for work in works if work.asked is not None or work.replies]
    return await _write(ledger, rules, works, readings, now, unreliable)


async def record_dead_replies(ledger: Ledger, rules: Rules, replies: Sequence[Reply]) -> list[Change]:
    """Write replies whose questions no process remembers: those that were kept among the dead letters."""
    looked = await ledger.look([], {reply.payment_id for reply in replies})
    replies = [reply for reply in replies if reply.payment_id in looked.readings]
    replies = await others_left_alone(ledger, looked.readings, replies)
    unreliable = await record_gateway_health(ledger, rules, looked.readings, dict(looked.limits_by_account), replies)
    by_payment = defaultdict[str, list[Reply]](list)
    for reply in replies:
        by_payment[reply.payment_id].append(reply)
    works = [PaymentWork(payment_id=payment_id, replies=tuple(group)) for payment_id, group in by_payment.items()]
    return await _write(ledger, rules, works, looked.readings, looked.now, unreliable)


def expected(payment: Payment) -> Expected:
    return Expected(
        payment_id=payment.id,
        reference=payment.reference,
        amount=payment.amount,
        currency=payment.currency,
        session_id=payment.session_id,
        aliases=payment.aliases,
    )


async def _looked(ledger: Ledger, claims: Mapping[str, Claim]) -> tuple[LookResult, list[Claim], list[Claim]]:
    """A look, the claims that have a payment, and the claims whose payment came and went meanwhile."""
    homed = list(claims.values())
    looked = await ledger.look(homed)
    strays = [claim for claim in homed if claim.id not in looked.homes]
    arrived = await _without_home(ledger, strays) if strays else []
    if not arrived:
        return looked, [claim for claim in homed if claim.id in looked.homes], []
    homed = [claim for claim in homed if claim.id in looked.homes] + arrived
    looked = await ledger.look(homed)
    gone = [claim for claim in homed if claim.id not in looked.homes]
    return looked, [claim for claim in homed if claim.id in looked.homes], gone


async def _without_home(ledger: Ledger, strays: Sequence[Claim]) -> list[Claim]:
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


def _works(looked: LookResult, claims: Iterable[Claim]) -> list[PaymentWork]:
    """The claims by their payments."""
    by_payment = defaultdict[str, list[Claim]](list)
    for claim in claims:
        if claim.id in looked.homes:
            by_payment[looked.homes[claim.id]].append(claim)
    return [
        PaymentWork(payment_id=payment_id, claims=tuple(group), admissions=_admissions(looked, group))
        for payment_id, group in sorted(by_payment.items())
    ]


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


def _decided(
    rules: Rules, works: Iterable[PaymentWork], readings: dict[str, Reading], now: datetime
) -> list[PaymentWork]:
    """The works with their questions. Of an order's attempts the first one executes.

    `readings` then shows its execution to the other attempts. Otherwise each of them would begin to execute too, lose
    that write to the first, and be looked at again.
    """
    decided, executing = list[PaymentWork](), dict[tuple[str, str | None], str]()
    for work in works:
        reading = readings[work.payment_id]
        payment = reading.case.payment
        place = (payment.merchant, payment.order_ref)
        if payment.order_ref is not None and reading.order.executing is None and place in executing:
            reading = readings[work.payment_id] = replace(
                reading, order=replace(reading.order, executing=executing[place])
            )
        if _asked_elsewhere(payment, now):
            decided.append(replace(work, beside=True))
            continue
        decided.append(replace(work, asked=next_question(reading, work, rules, now)))
        if decided[-1].executes:
            executing[place] = payment.id
    return decided


def _ends(readings: Mapping[str, Reading], work: PaymentWork, rules: Rules, now: datetime) -> bool:
    """Whether the clock closes this payment or gives it up now. It may not while a gateway is asked about it."""
    return not work.beside and clock_ends(readings[work.payment_id], work, rules, now)


def _tells(work: PaymentWork) -> bool:
    return any(claim.source is not Source.SWEEP for claim in work.claims)


def _asked_elsewhere(payment: Payment, now: datetime) -> bool:
    """Whether a worker of 0.1.0 asks about it: that release holds a lease. After an Execute, Query may come."""
    leased = payment.lease_until is not None and payment.lease_until > now
    return leased and not under_way(payment)


async def _begun(
    ledger: Ledger, rules: Rules, works: Sequence[PaymentWork], readings: Mapping[str, Reading], now: datetime
) -> dict[str, Reading]:
    """Write that these execute, each as the one attempt of its order. Returns the readings of those written, by id.

    Where this raises, it may or may not be written, and no Execute is sent.
    """
    if not works:
        return {}
    writes = {work.payment_id: conclude(readings[work.payment_id], work, rules, now) for work in works}
    written = await ledger.write(list(writes.values()))
    return {payment_id: _after(writes[payment_id]) for payment_id in written.done}


def _after(write: Write) -> Reading:
    """The reading of a payment just after the write that it executes, which brings neither Facts nor keys."""
    reading = write.reading
    return replace(reading, case=replace(reading.case, payment=write.change.payment), revision=reading.revision + 1)


def _assigned(rules: Rules, work: PaymentWork, readings: Mapping[str, Reading], looked: LookResult) -> AssignedQuestion:
    """The question of this work. An Execute is recorded by now, with its claims; only its reply is left to write."""
    asked, reading = work.asked, readings[work.payment_id]
    assert asked is not None, "there is a question"
    payment, before = reading.case.payment, looked.readings[work.payment_id].case.payment
    return AssignedQuestion(
        account=rules.accounts[payment.account],
        question=asked.question,
        expected=expected(payment),
        asked_at=asked.at,
        work=PaymentWork(payment_id=payment.id, claims=work.claims, recorded=True) if asked.executes else work,
        reading=reading,
        claims=work.claims,
        limits=looked.limits_by_account.get(payment.account),
        lost=before.lease_until is not None,
        traceparent=next((claim.traceparent for claim in work.claims if claim.traceparent), None),
    )


async def _write(
    ledger: Ledger,
    rules: Rules,
    works: Sequence[PaymentWork],
    readings: Mapping[str, Reading],
    now: datetime,
    unreliable: Unreliable = RELIABLE,
) -> list[Change]:
    """Write what each work comes to. A work that lost its swap, or a key, is decided again on a new reading."""
    left, taken_keys, changes = list(works), dict[str, TakenKeys](), list[Change]()
    for _ in range(SWAPS):
        left = await _swapped(ledger, rules, left, readings, now, taken_keys, unreliable, changes)
        if not left:
            return changes
        looked = await ledger.look(
            [claim for work in left for claim in work.claims], [work.payment_id for work in left]
        )
        readings, now = looked.readings, max(now, looked.now)
        changes += await _homeless(ledger, rules, [work for work in left if work.payment_id not in readings])
        left = [_readmitted(work, looked) for work in left if work.payment_id in readings]
        left = [work for work in left if not _written(work, readings[work.payment_id])]
    for work in left:
        alone = [work]
        async with ledger.locked([work.payment_id]) as locked:
            for _ in range(LESSONS):
                looked = await locked.look(work.claims)
                if not alone or work.payment_id not in looked.readings:
                    break
                readings, now, alone = looked.readings, max(now, looked.now), [_readmitted(work, looked)]
                alone = await _swapped(locked, rules, alone, readings, now, taken_keys, unreliable, changes)
        if alone and work.payment_id in looked.readings:
            raise RuntimeError(f"{work.payment_id} is locked, and still not to be written as it was read")
        changes += await _homeless(ledger, rules, alone)
    return changes


def _written(work: PaymentWork, reading: Reading) -> bool:
    """Whether an earlier try has written this work: its commit was in doubt, and had come about.

    The payment then has the time of the question, and no lease. An Execute's time and lease are written before it is
    sent, and another worker may have ended that lease without the reply. So the reply counts as not written while it
    would still end the doubt about the Execute, or has an answer that no Fact tells of.
    """
    payment = reading.case.payment
    asked = payment.lease_until is None and payment.asked_at in {one.asked_at for one in work.replies}
    if not (work.tried and asked):
        return False
    return not any(
        ends_doubt(payment, one.outcome, one.asked_at) or _is_news(one, reading.case) for one in work.replies
    )


def _is_news(reply: Reply, case: Case) -> bool:
    """Whether the reply has an answer that no Fact tells of."""
    answer = reply.outcome.then if isinstance(reply.outcome, Executed) else reply.outcome
    known = (fact.answer == answer and fact.last_asked_at >= reply.asked_at for fact in case.facts)
    return isinstance(answer, Answer) and not any(known)


async def _homeless(ledger: Ledger, rules: Rules, works: Iterable[PaymentWork]) -> list[Change]:
    """Keep the claims of payments that were discarded meanwhile, or write them to the payments that they name now."""
    claims = [claim for work in works for claim in work.claims]
    arrived = await _without_home(ledger, claims) if claims else []
    if not arrived:
        return []
    looked = await ledger.look(arrived)
    works = [replace(work, beside=True) for work in _works(looked, arrived)]
    return await _write(ledger, rules, works, looked.readings, looked.now)


async def _swapped(
    ledger: Ledger | LockedLedger,
    rules: Rules,
    works: Sequence[PaymentWork],
    readings: Mapping[str, Reading],
    now: datetime,
    taken_keys: dict[str, TakenKeys],
    unreliable: Unreliable,
    changes: list[Change],
) -> list[PaymentWork]:
    """Try to write each of these once, and of several about one payment the first.

    Adds to `changes` and to `taken_keys`; returns the work that is left.
    """
    first = {work.payment_id: work for work in reversed(works)}
    writes = [
        conclude(readings[payment_id], work, rules, now, taken_keys.get(payment_id, NO_TAKEN_KEYS), unreliable)
        for payment_id, work in first.items()
    ]
    if not writes:
        return []
    written = await ledger.write(writes)
    changes.extend(write.change for write in writes if write.change.payment.id in written.done)
    for payment_id, taken in written.taken.items():
        taken_keys[payment_id] = taken_keys.get(payment_id, NO_TAKEN_KEYS).and_(taken)
    return [work for work in works if work.payment_id not in written.done or work is not first[work.payment_id]]


def _readmitted(work: PaymentWork, looked: LookResult) -> PaymentWork:
    return replace(work, admissions=_admissions(looked, work.claims))
