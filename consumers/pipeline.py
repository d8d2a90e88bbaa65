"""The way of a payment, in order: look at claims, decide on a question, ask it, write the reply.

`record_replies` writes the reply. No payment is locked while its gateway is asked. A decision is written only if the
payment has not changed since it was read. If it has, the same claims and the same reply are decided on again. An
Execute takes money, so it is the exception: it is written, and known to be committed, before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.admission import acquire_call_budget
from consumers.checks.execute import under_way
from consumers.claims_by_payment import look_and_rehome
from consumers.decide import PaymentWork, clock_ends, conclude, longest_waiting_first, next_question
from consumers.ports.call_limits import AccountLimits
from consumers.ports.ledger import Ledger, Turns
from consumers.ports.readings import LookResult, Reading
from consumers.ports.writes import Write
from consumers.rules import Rules
from consumers.write_work import write_work
from schemas.answers import Expected, Question
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.payments import Payment
from schemas.words import Source

NO_ROOM_LIMIT: Mapping[str, int] = MappingProxyType({})


class AssignedQuestion(Struct, frozen=True, kw_only=True):
    """A question to ask now. `work` is written with its reply; `reading` is the reading it was decided on.

    `claims` led to the question. They are acknowledged to the bus only when the reply is written. Claims of an Execute
    are recorded before it is sent; if the worker dies, the bus delivers them again all the same, so that Query is asked
    at once. `lost`: an earlier worker may have died of this question. `traceparent`: the trace of the claim that led to
    it. `taken_at`: when this worker took the claims, by its own clock.
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
    """The result of taking claims. Those in neither `questions` nor `waiting` are written and can be acknowledged.

    `waiting`: another question about their payment is in flight, or their payment was discarded meanwhile; they have to
    be taken again. `changes`: what was written.
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
    limits_by_account: dict[str, AccountLimits] | None = None,
) -> TakenClaims:
    """Look at claims and decide which questions to ask. A claim that leads to no question is written at once.

    `room`: how many more questions the worker takes on, by account; any number for an account that is not in it.
    `patient`: a claim about a payment that is being asked about is returned as waiting. Otherwise it is written, and
    the sweep has the payment asked about later. `limits_by_account`: the limits that this process read last; the look
    updates them.

    The worker has the turn of each payment in `questions`, and gives it back when the reply is written. Where this
    raises, no turn is kept, and no question may be sent.
    """
    by_payment = await look_and_rehome(ledger, {claim.id: claim for claim in claims})
    looked, readings = by_payment.looked, dict(by_payment.looked.readings)
    if limits_by_account is not None:
        limits_by_account.update(looked.limits_by_account)
    works = _decide_questions(rules, by_payment.works, readings, looked.now)
    wanted = [work for work in works if work.asked is not None or _clock_ends(readings, work, rules, looked.now)]
    turns_taken = await turns.take([work.payment_id for work in wanted]) if wanted else frozenset()
    asked_about = frozenset[str]()
    try:
        others = [work for work in wanted if work.payment_id not in turns_taken]
        theirs = {work.payment_id for work in others}
        ours = [work for work in works if work.payment_id not in theirs]
        taken = await _ask_or_write(ledger, rules, looked, readings, ours, others, room, patient=patient)
        asked_about = frozenset(assigned.work.payment_id for assigned in taken.questions)
    finally:
        turns.give_back(turns_taken - asked_about)
    waiting = [*taken.waiting, *by_payment.gone]
    waiting.sort(key=lambda claim: claim.source is Source.SWEEP)  # the sweep repeats its own, so they wait last
    return replace(taken, waiting=waiting)


def _decide_questions(
    rules: Rules, works: Iterable[PaymentWork], readings: dict[str, Reading], now: datetime
) -> list[PaymentWork]:
    """Returns the works with their questions. Of several attempts of an order only the first executes.

    `readings` is changed: the readings of the other attempts then show that the order is being executed. Otherwise each
    of them would decide on an Execute too, and lose its write to the first.
    """
    decided, executing = list[PaymentWork](), dict[tuple[str, str | None], str]()
    for work in works:
        reading = readings[work.payment_id]
        payment = reading.case.payment
        order_key = (payment.merchant, payment.order_ref)
        if payment.order_ref is not None and reading.order.executing is None and order_key in executing:
            reading = readings[work.payment_id] = replace(
                reading, order=replace(reading.order, executing=executing[order_key])
            )
        if _leased_by_0_1_0(payment, now):
            decided.append(replace(work, beside=True))
            continue
        decided.append(replace(work, asked=next_question(reading, work, rules, now)))
        if decided[-1].executes:
            executing[order_key] = payment.id
    return decided


def _leased_by_0_1_0(payment: Payment, now: datetime) -> bool:
    """Whether a worker of release 0.1.0 asks about it: that release takes a lease for a status question as well."""
    leased = payment.lease_until is not None and payment.lease_until > now
    return leased and not under_way(payment)


def _clock_ends(readings: Mapping[str, Reading], work: PaymentWork, rules: Rules, now: datetime) -> bool:
    """Whether the clock closes the payment or gives it up now. It does neither while a gateway is asked about it."""
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
    """Assign the questions of `works` whose accounts may be asked now, and write the works without a question.

    Another question is in flight about each payment of `others`, here or elsewhere.
    """
    payments = [readings[work.payment_id].case.payment for work in longest_waiting_first(works)]
    postponed = await acquire_call_budget(ledger, rules, looked, payments, room)
    asking = [work for work in works if work.asked is not None and work.payment_id not in postponed]
    asked = {work.payment_id for work in asking}
    to_write = [
        replace(work, asked=None, postponed_until=postponed.get(work.payment_id))
        for work in works
        if work.payment_id not in asked
    ]
    if not patient:
        to_write += _beside(others)
    changes = await write_work(ledger, rules, to_write, readings, looked.now)
    executing = [work for work in asking if work.executes]
    begun = await _commit_executes(ledger, rules, executing, readings, looked.now)
    outrun = [work for work in executing if work.payment_id not in begun]
    if not patient:
        changes += await write_work(ledger, rules, _beside(outrun), readings, looked.now)
    to_send = [work for work in asking if not work.executes or work.payment_id in begun]
    readings_now = {**readings, **begun}
    return TakenClaims(
        questions=[_assign(rules, work, readings_now, looked) for work in to_send],
        waiting=[claim for work in (*others, *outrun) for claim in work.claims] if patient else [],
        changes=changes,
    )


def _beside(works: Iterable[PaymentWork]) -> list[PaymentWork]:
    """These works without their questions. Works with claims of the sweep alone are left out: it repeats them."""
    return [replace(work, asked=None, beside=True) for work in works if _comes_from_outside(work)]


def _comes_from_outside(work: PaymentWork) -> bool:
    return any(claim.source is not Source.SWEEP for claim in work.claims)


async def _commit_executes(
    ledger: Ledger, rules: Rules, works: Sequence[PaymentWork], readings: Mapping[str, Reading], now: datetime
) -> dict[str, Reading]:
    """Write that these payments execute, at most one of each order. Returns the new readings of those written, by id.

    Where this raises, the write may or may not be committed, and no Execute may be sent.
    """
    if not works:
        return {}
    writes = {work.payment_id: conclude(readings[work.payment_id], work, rules, now) for work in works}
    written = await ledger.write(list(writes.values()))
    return {payment_id: _reading_after(writes[payment_id]) for payment_id in written.done}


def _reading_after(write: Write) -> Reading:
    """The reading of a payment just after the write that it executes. That write adds neither Facts nor keys."""
    reading = write.reading
    return replace(reading, case=replace(reading.case, payment=write.change.payment), revision=reading.revision + 1)


def _assign(rules: Rules, work: PaymentWork, readings: Mapping[str, Reading], looked: LookResult) -> AssignedQuestion:
    """The question of this work. An Execute and its claims are recorded by now, so only its reply is left to write."""
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
