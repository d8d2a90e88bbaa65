"""The way of a payment, in order: claims are looked at, a question is decided on and asked, its reply is written.

Nothing is locked while a gateway thinks. What was decided is written only where the payment still stands as it was
read. Where it does not, the same claims and the same reply are decided on again. The one thing to get wrong: an
Execute. It is written, and known to be committed, before it is sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.admission import Unreliable, acquire_call_budget, record_gateway_health
from consumers.checks.execute import under_way
from consumers.claims_by_payment import look_at
from consumers.decide import PaymentWork, clock_ends, conclude, next_question
from consumers.money.foreign_answers import others_left_alone
from consumers.ports.call_limits import AccountLimits
from consumers.ports.ledger import Ledger, LookResult, Reading, Turns, Write
from consumers.ports.reply import Reply
from consumers.rules import Rules
from consumers.write_work import write_work
from schemas.answers import Expected, Question
from schemas.callbacks import Claim
from schemas.payments import Change, Payment
from schemas.words import Source

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
    at = await look_at(ledger, {claim.id: claim for claim in claims})
    looked, readings = at.looked, dict(at.looked.readings)
    if known is not None:
        known.update(looked.limits_by_account)
    works = _decided(rules, at.works, readings, looked.now)
    wanted = [work for work in works if work.asked is not None or _ends(readings, work, rules, looked.now)]
    mine = await turns.take([work.payment_id for work in wanted]) if wanted else frozenset()
    asked_about = frozenset[str]()
    try:
        others = [work for work in wanted if work.payment_id not in mine]
        theirs = {work.payment_id for work in others}
        ours = [work for work in works if work.payment_id not in theirs]
        taken = await _ask_or_write(ledger, rules, looked, readings, ours, others, room, patient=patient)
        asked_about = frozenset(assigned.work.payment_id for assigned in taken.questions)
    finally:
        turns.give_back(mine - asked_about)
    waiting = [*taken.waiting, *at.gone]
    waiting.sort(key=lambda claim: claim.source is Source.SWEEP)  # few may wait, and the sweep repeats its own anyway
    return replace(taken, waiting=waiting)


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


def _asked_elsewhere(payment: Payment, now: datetime) -> bool:
    """Whether a worker of 0.1.0 asks about it: that release holds a lease. After an Execute, Query may come."""
    leased = payment.lease_until is not None and payment.lease_until > now
    return leased and not under_way(payment)


def _ends(readings: Mapping[str, Reading], work: PaymentWork, rules: Rules, now: datetime) -> bool:
    """Whether the clock closes this payment or gives it up now. It may not while a gateway is asked about it."""
    return not work.beside and clock_ends(readings[work.payment_id], work, rules, now)


async def _ask_or_write(
    ledger: Ledger,
    rules: Rules,
    looked: LookResult,
    readings: Mapping[str, Reading],
    works: Sequence[PaymentWork],
    others: Sequence[PaymentWork],
    room: Mapping[str, int],
    *,
    patient: bool,
) -> TakenClaims:
    """Assign the questions of `works` that their accounts may be asked now, and write what asks nothing.

    `others` are about payments that another question is in flight about, here or elsewhere.
    """
    asking = [work for work in works if work.asked is not None]
    payments = [readings[work.payment_id].case.payment for work in asking]
    away = await acquire_call_budget(ledger, rules, looked, payments, room)
    asking = [work for work in asking if work.payment_id not in away]
    asked = {work.payment_id for work in asking}
    rest = [
        replace(work, asked=None, postponed_until=away.get(work.payment_id))
        for work in works
        if work.payment_id not in asked
    ]
    if not patient:
        rest += _beside(others)
    changes = await write_work(ledger, rules, rest, readings, looked.now)
    executing = [work for work in asking if work.executes]
    begun = await _begun(ledger, rules, executing, readings, looked.now)
    outrun = [work for work in executing if work.payment_id not in begun]
    if not patient:
        changes += await write_work(ledger, rules, _beside(outrun), readings, looked.now)
    sent = [work for work in asking if not work.executes or work.payment_id in begun]
    after = {**readings, **begun}
    return TakenClaims(
        questions=[_assigned(rules, work, after, looked) for work in sent],
        waiting=[claim for work in (*others, *outrun) for claim in work.claims] if patient else [],
        changes=changes,
    )


def _beside(works: Iterable[PaymentWork]) -> list[PaymentWork]:
    """These works without their questions. Those that only the sweep asked for are left out: it asks again."""
    return [replace(work, asked=None, beside=True) for work in works if _tells(work)]


def _tells(work: PaymentWork) -> bool:
    return any(claim.source is not Source.SWEEP for claim in work.claims)


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


def expected(payment: Payment) -> Expected:
    return Expected(
        payment_id=payment.id,
        reference=payment.reference,
        amount=payment.amount,
        currency=payment.currency,
        session_id=payment.session_id,
        aliases=payment.aliases,
    )


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
    for assigned, _ in asked:
        if assigned.limits is not None:
            limits_by_account.setdefault(assigned.account.id, assigned.limits)
    counted = {} if counted is None else counted
    tried = frozenset(counted)
    replies = await others_left_alone(ledger, readings, [reply for _, reply in asked if reply is not None])
    unreliable = await _record_health_once(ledger, rules, readings, limits_by_account, replies, counted)
    attributed = iter(replies)
    works = [
        assigned.work if reply is None else _with_reply(assigned.work, next(attributed), tried)
        for assigned, reply in asked
    ]
    works = [work for work in works if work.asked is not None or work.replies]
    return await write_work(ledger, rules, works, readings, now, unreliable)


async def _record_health_once(
    ledger: Ledger,
    rules: Rules,
    readings: Mapping[str, Reading],
    limits_by_account: dict[str, AccountLimits],
    replies: Sequence[Reply],
    counted: HealthRecorded,
) -> Unreliable:
    """Tell accounts of the replies that are not `counted` yet. Returns what all of these replies brought about."""
    news = [reply for reply in replies if _counted_as(reply) not in counted]
    brought = await record_gateway_health(ledger, rules, readings, limits_by_account, news)
    counted.update({_counted_as(reply): brought for reply in news})
    return Unreliable.any_of(counted[_counted_as(reply)] for reply in replies)


def _with_reply(work: PaymentWork, reply: Reply, tried: Collection[tuple[str, datetime]]) -> PaymentWork:
    return replace(work, replies=(reply,), tried=_counted_as(reply) in tried)


def _counted_as(reply: Reply) -> tuple[str, datetime]:
    return reply.payment_id, reply.asked_at


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
    return await write_work(ledger, rules, works, looked.readings, looked.now, unreliable)
