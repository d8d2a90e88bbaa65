"""Decide which question to ask about one payment, and what `write_work` writes: pure functions on one reading of it.

The same work can be decided again on a newer reading, with the same reply. A question keeps its own time, even if
another question was asked and recorded since. Otherwise an old answer would count as a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from consumers.apply_change import PendingChange, change_of
from consumers.apply_claim import apply_claim
from consumers.apply_reply import apply_reply, question_entry
from consumers.checks.admission import RELIABLE, Unreliable
from consumers.checks.candidates import question_about
from consumers.checks.execute import may_execute, taken_over, to_the_back
from consumers.checks.expiry import AskedReply, expire_or_give_up
from consumers.checks.next_check import start_question
from consumers.checks.order_execution import in_line
from consumers.checks.planned_questions import Due, next_due, waits_since
from consumers.checks.schedule import check_ended, end_lease
from consumers.money.unique_keys import fold_with_keys
from consumers.ports.readings import Admission, Reading
from consumers.ports.reply import Reply
from consumers.ports.writes import Write
from consumers.rules import Rules
from schemas.answers import Question
from schemas.callbacks import Claim
from schemas.payments import TakenKeys
from schemas.words import QuestionKind, Source

MOMENT = timedelta(microseconds=1)
NO_TAKEN_KEYS = TakenKeys()


class AskedQuestion(Struct, frozen=True, kw_only=True):
    """A question, when it was asked (`at`), why it was due (`due`), and since when its payment waited (`since`)."""

    question: Question
    due: Due
    at: datetime
    since: datetime

    @property
    def executes(self) -> bool:
        return self.question.kind is QuestionKind.EXECUTE


class PaymentWork(Struct, frozen=True, kw_only=True):
    """What a worker does about one payment, until it is written.

    - `claims` are recorded with the work. `admissions`, by claim id, say which of them are new.
    - `asked`: the question, recorded with its reply. An Execute is recorded before it is sent, and `asked` is None
      afterwards.
    - `recorded`: the claims were recorded with an Execute. Such a claim is applied again only if a later look calls it
      new: another database server took over, and has lost it.
    - `replies`: the replies to write.
    - `postponed_until`: the account may not be asked before then.
    - `beside`: another question about the payment is in flight. Its reply decides, and the clock does not.
    - `tried`: an earlier write of these replies failed, and may have been committed all the same.
    """

    payment_id: str
    claims: tuple[Claim, ...] = ()
    admissions: Mapping[str, Admission] = {}
    recorded: bool = False
    asked: AskedQuestion | None = None
    replies: tuple[Reply, ...] = ()
    postponed_until: datetime | None = None
    beside: bool = False
    tried: bool = False

    @property
    def executes(self) -> bool:
        return self.asked is not None and self.asked.executes


def next_question(reading: Reading, work: PaymentWork, rules: Rules, now: datetime) -> AskedQuestion | None:
    """The question to ask now, with the work's claims applied; None where nothing is due."""
    pending = _with_claims(reading, work, rules, now)
    payment, capabilities = in_line(pending.payment, reading.order, rules, now), rules.capabilities(pending.payment)
    due = next_due(payment, capabilities, rules.checks, now)
    if due is None or due.at > now:
        return None
    waits = payment.execute_waits_until is not None and payment.execute_waits_until > now
    executes = may_execute(payment, capabilities, now) and not waits
    question = Question(kind=QuestionKind.EXECUTE) if executes else question_about(due.transaction_id, capabilities)
    return AskedQuestion(question=question, due=due, at=now, since=waits_since(payment, due))


def longest_waiting_first(works: Sequence[PaymentWork]) -> list[PaymentWork]:
    """The works with a question, in the order in which their payments are asked about while a call budget lasts."""
    waits = {work.payment_id: work.asked.since for work in works if work.asked is not None}
    return sorted((work for work in works if work.payment_id in waits), key=lambda work: waits[work.payment_id])


def conclude(
    reading: Reading,
    work: PaymentWork,
    rules: Rules,
    now: datetime,
    taken_keys: TakenKeys = NO_TAKEN_KEYS,
    unreliable: Unreliable = RELIABLE,
) -> Write:
    """Decide what to write: the claims, the question and the replies of the work, applied to this reading.

    `taken_keys`: keys of this payment that are known to belong to other payments. `unreliable`: accounts whose gateways
    are not to be relied on. The result is written only if the payment still has the reading's revision.
    """
    question_at = now if work.asked is None else work.asked.at
    pending = _with_claims(reading, work, rules, question_at)
    capabilities = rules.capabilities(pending.payment)
    if not work.beside:
        pending.becomes(in_line(pending.payment, reading.order, rules, question_at))
    if work.asked is not None:
        pending.becomes(start_question(pending.payment, work.asked.question, work.asked.due, rules.checks, question_at))
        pending.entries.extend([pending.sweep_entry] if pending.sweep_entry else [])
        pending.entries.append(question_entry(work.asked.question, question_at, work.asked.due.trigger))
        if not work.replies and not work.executes:  # its reply was lost by a fault of ours
            pending.becomes(check_ended(pending.payment, question_at, answered=False))
    elif not work.replies and not work.beside:
        # This worker has the turn of a postponed payment, so no other worker waits for the reply to an Execute.
        lease = pending.payment.lease_until
        over = lease is not None and (lease <= now or work.postponed_until is not None)
        pending.becomes(end_lease(pending.payment) if over else pending.payment)
    if work.postponed_until is not None:
        pending.becomes(replace(to_the_back(pending.payment, now), not_before=work.postponed_until))
    for reply in sorted(work.replies, key=lambda reply: reply.answered_at):
        _apply_one_reply(pending, reply, rules, now, unreliable)
    if not work.replies and work.asked is None and not work.beside:
        pending.becomes(expire_or_give_up(pending.payment, capabilities, rules.checks, now))
    folded, keys = fold_with_keys(pending.case, taken_keys, capabilities.always)
    default_admission = "seen" if work.recorded else "new"
    return Write(
        reading=reading,
        change=change_of(pending, folded, rules, now),
        claims=tuple(
            one for one in work.claims if _is_recorded(one) and work.admissions.get(one.id, default_admission) == "new"
        ),
        keys=keys,
        executes=work.executes,
    )


def clock_ends(reading: Reading, work: PaymentWork, rules: Rules, now: datetime) -> bool:
    """Whether the clock closes the payment or gives it up now, with the work's claims applied and no question asked."""
    payment = _with_claims(reading, work, rules, now).payment
    return expire_or_give_up(payment, rules.capabilities(payment), rules.checks, now) != payment


def _with_claims(reading: Reading, work: PaymentWork, rules: Rules, at: datetime) -> PendingChange:
    """The payment after the work's claims. The sweep's claim gets a timeline entry only if it leads to a question."""
    pending = PendingChange(case=reading.case, entries=[], facts=[])
    for claim in work.claims:
        if work.recorded and work.admissions.get(claim.id) != "new":
            continue
        pending.traceparent = pending.traceparent or claim.traceparent
        timed = replace(claim, received_at=min(claim.received_at, at - MOMENT))  # our clock may be ahead
        admission = work.admissions.get(claim.id, "new")
        payment, entry = apply_claim(pending.case, timed, admission, rules.capabilities(pending.payment), at)
        pending.becomes(payment)
        if _is_recorded(claim):
            pending.entries.append(entry)
        else:
            pending.sweep_entry = entry
    pending.becomes(taken_over(pending.payment, reading.since, at))
    return pending


def _is_recorded(claim: Claim) -> bool:
    return claim.source is not Source.SWEEP


def _apply_one_reply(pending: PendingChange, reply: Reply, rules: Rules, now: datetime, unreliable: Unreliable) -> None:
    account, capabilities = pending.payment.account, rules.capabilities(pending.payment)
    pending.repeats = account in unreliable.breaker_open
    applied = apply_reply(pending.case, reply, capabilities, rules.checks)
    pending.case = applied.case
    about, forgetful = applied.about_payment, account in unreliable.forgetful
    asked = None if about is None else AskedReply(about, reply.asked_at, forgetful=forgetful)
    pending.becomes(expire_or_give_up(pending.payment, capabilities, rules.checks, now, asked))
    pending.entries.extend(applied.entries)
    pending.facts.extend(applied.facts)
    pending.traceparent = reply.traceparent or pending.traceparent
