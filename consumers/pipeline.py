"""Every stage a payment meets, in order: claims are taken, gateways are asked, replies are recorded, people resolve.

Each stage is one transaction of the ledger. The one thing to get wrong: nothing calls a gateway inside a transaction,
and nothing is called before the question, its lease and its wish to execute are committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.admitting import admit, hear_gateways
from consumers.answering import Reply, question_entry, take_in
from consumers.asking import Due, begun, next_due, scheduled
from consumers.closing import marked
from consumers.events import event_entry, write_event
from consumers.executing import dropped, frees_order, in_doubt, to_the_back
from consumers.keeping import may_wait
from consumers.keys import judge
from consumers.ledger import Batch, Ledger
from consumers.lifecycle import Standing, advance
from consumers.orders import begin_executions, stand_in_line
from consumers.reasons import named_row, rule_of
from consumers.receiving import receive
from consumers.rules import Rules
from consumers.schedules import let_go
from consumers.strangers import others_left_alone
from schemas.answers import Expected, Fact, Question, StatementRow
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Entry, Payment, Resolution
from schemas.words import EntryKind, QuestionKind, Source

MOMENT = timedelta(microseconds=1)
NO_LIMIT: Mapping[str, int] = MappingProxyType({})


class Inquiry(Struct, frozen=True, kw_only=True):
    """A question that may be asked now: its lease is committed. `traceparent` names the trace of what made us ask.

    `lost`: the lease of the one before it ran out, so no reply of that one was recorded.
    """

    account: Account
    question: Question
    expected: Expected
    asked_at: datetime
    lost: bool = False
    traceparent: str | None = None


class Draft(Struct, kw_only=True):
    """A payment on its way through one transaction.

    `look` is the entry of the sweep's claim, told only with the question that it leads to. `repeats`: an answer that
    says what the one before it said is counted there. `stated`: a row of a statement, and no gateway, spoke of it.
    `traceparent` names the trace of what brought it about, the first of several claims and the last of several replies.
    """

    case: Case
    entries: list[Entry]
    facts: list[Fact]
    look: Entry | None = None
    repeats: bool = False
    resolution: Resolution | None = None
    stated: StatementRow | None = None
    traceparent: str | None = None


async def take(
    ledger: Ledger, rules: Rules, claims: Sequence[Claim], room: Mapping[str, int] = NO_LIMIT
) -> list[Inquiry]:
    """Record claims and start what is due: once this returns, the claims may be acknowledged.

    A claim about no payment that we know asks nothing: it is kept for one that may come (consumers.keeping), or only
    recorded. The sweep's own claims are no evidence, and leave a trace only where they ask. `room` is how many more
    questions the worker takes on for an account, where it bounds them.
    """
    claims = list({claim.id: claim for claim in claims}.values())
    named = await _named(ledger, claims)
    early = [claim for claim in claims if claim.id not in named and may_wait(claim)]
    named |= await ledger.keep(early) if early else {}
    kept = {claim.id for claim in early} - named.keys()
    async with ledger.batch(set(named.values())) as batch:
        homes = {
            claim.id: case.payment.id
            for claim in claims
            if (case := batch.cases.get(named.get(claim.id, ""))) is not None and case.payment.account == claim.account
        }
        aside = {claim.id for claim in claims if may_wait(claim)} - homes.keys()
        admissions = await batch.admit(
            [(one, homes.get(one.id)) for one in claims if one.source is not Source.SWEEP and one.id not in aside]
        )
        drafts = {key: Draft(case=batch.cases[key], entries=[], facts=[]) for key in sorted(set(homes.values()))}
        for claim in claims:
            draft = drafts.get(homes.get(claim.id, ""))
            if draft is not None:
                draft.traceparent = draft.traceparent or claim.traceparent
                capabilities = rules.capabilities(draft.case.payment)
                heard = _received_before(claim, batch.now)
                payment, entry = receive(draft.case, heard, admissions.get(claim.id, "new"), capabilities, batch.now)
                draft.case = replace(draft.case, payment=payment)
                if claim.source is Source.SWEEP:
                    draft.look = entry
                else:
                    draft.entries.append(entry)
        inquiries = await _begin(batch, rules, drafts.values(), room)
        await settle(batch, rules, drafts.values())
        await batch.commit()
    if astray := aside - kept:  # what they named is none of the account's, or has just been discarded: ids decide
        by_ids = [replace(claim, payment_id=None) for claim in claims if claim.id in astray]
        inquiries += await take(ledger, rules, by_ids, room)
    return inquiries


async def record(ledger: Ledger, rules: Rules, replies: Sequence[Reply]) -> list[Change]:
    """Record what gateways replied: fold, dedupe and write at most one event per payment, in one transaction."""
    async with ledger.batch({reply.payment_id for reply in replies}) as batch:
        replies = await others_left_alone(batch, replies)
        unreliable = await hear_gateways(batch, rules, replies)
        by_payment = defaultdict[str, list[Reply]](list)
        for reply in replies:
            by_payment[reply.payment_id].append(reply)
        drafts = []
        for payment_id, case in batch.cases.items():
            draft = Draft(case=case, entries=[], facts=[], repeats=case.payment.account in unreliable.silent)
            forgetful = case.payment.account in unreliable.forgetful
            for reply in sorted(by_payment[payment_id], key=lambda reply: reply.answered_at):
                _hear(draft, reply, rules, batch.now, forgetful=forgetful)
            drafts.append(draft)
        changes = await settle(batch, rules, drafts)
        await batch.commit()
        return changes


async def _named(ledger: Ledger, claims: Iterable[Claim]) -> dict[str, str]:
    """The payment that each claim names, by claim id. One that a path names may turn out not to be there."""
    by_path = {claim.id: claim.payment_id for claim in claims if claim.payment_id is not None}
    found = await ledger.find([claim for claim in claims if claim.payment_id is None])
    return by_path | dict(found)


def _received_before(claim: Claim, now: datetime) -> Claim:
    """The claim with a time before now, even where the clock of the process that received it was a little ahead.

    Otherwise the question that it makes us ask would not answer it: by the times, it would have been asked earlier.
    """
    return replace(claim, received_at=min(claim.received_at, now - MOMENT))


def _hear(draft: Draft, reply: Reply, rules: Rules, now: datetime, *, forgetful: bool) -> None:
    capabilities = rules.capabilities(draft.case.payment)
    taken = take_in(draft.case, reply, capabilities, rules.checks)
    payment = marked(
        taken.case.payment, capabilities, rules.checks, now, taken.heard, reply.asked_at, forgetful=forgetful
    )
    draft.case = replace(taken.case, payment=payment)
    draft.entries.extend(taken.entries)
    draft.facts.extend([taken.fact] if taken.fact else [])
    draft.traceparent = reply.traceparent or draft.traceparent


async def _begin(batch: Batch, rules: Rules, drafts: Iterable[Draft], room: Mapping[str, int]) -> list[Inquiry]:
    """Start the questions that are due, one per payment; where none can be asked, the clock may close or give up."""
    asking: list[tuple[Draft, Due]] = []
    free = [draft for draft in drafts if not _in_flight(draft.case.payment, batch.now)]
    in_line = await stand_in_line(batch, rules, [draft.case.payment for draft in free])
    for draft in free:
        _becomes(draft, in_line.get(draft.case.payment.id, draft.case.payment))
        payment, capabilities = draft.case.payment, rules.capabilities(draft.case.payment)
        due = next_due(payment, capabilities, rules.checks, batch.now)
        if due is not None and due.at <= batch.now:
            asking.append((draft, due))
            continue
        _becomes(draft, marked(let_go(payment), capabilities, rules.checks, batch.now))
    waiting = await admit(batch, rules, [draft.case.payment for draft, _ in asking], room)
    for draft, _ in asking:
        payment = draft.case.payment
        if payment.id in waiting:  # it comes again, or is given up if its time is over
            payment = to_the_back(payment, batch.now)
            payment = replace(let_go(payment), not_before=waiting[payment.id])
            capabilities = rules.capabilities(payment)
            _becomes(draft, marked(payment, capabilities, rules.checks, batch.now))
    asking = [(draft, due) for draft, due in asking if draft.case.payment.id not in waiting]
    allowed, too_late = await begin_executions(batch, rules, [draft.case for draft, _ in asking])
    waits = {payment.id: payment for payment in too_late}
    for draft, _ in asking:
        _becomes(draft, waits.get(draft.case.payment.id, draft.case.payment))
    return [_inquiry(draft, due, allowed, rules, batch.now) for draft, due in asking]


def _becomes(draft: Draft, payment: Payment) -> None:
    draft.case = replace(draft.case, payment=payment)


def _in_flight(payment: Payment, now: datetime) -> bool:
    return payment.lease_until is not None and payment.lease_until > now


def _inquiry(draft: Draft, due: Due, allowed: frozenset[str], rules: Rules, now: datetime) -> Inquiry:
    payment = draft.case.payment
    asked = Question(transaction_id=due.transaction_id)
    if payment.id in allowed:
        asked = Question(kind=QuestionKind.EXECUTE)
    lost = payment.lease_until is not None
    _becomes(draft, begun(payment, asked, due, rules.checks, now))
    draft.entries.extend([draft.look] if draft.look else [])
    draft.entries.append(question_entry(asked, now, due.trigger))
    return Inquiry(
        account=rules.accounts[payment.account],
        question=asked,
        expected=expected(payment),
        asked_at=now,
        lost=lost,
        traceparent=draft.traceparent,
    )


async def settle(batch: Batch, rules: Rules, drafts: Iterable[Draft]) -> list[Change]:
    """Fold each payment over its Facts and write what changed: one version and one event per payment at most.

    Every change of a payment, whatever brought it, ends here.
    """
    drafts = list(drafts)
    judged = await judge(batch, rules, [draft.case for draft in drafts])
    changes = [_change(draft, judged[draft.case.payment.id].standing, rules, batch.now) for draft in drafts]
    await batch.store(changes)
    return changes


def _change(draft: Draft, standing: Standing, rules: Rules, now: datetime) -> Change:
    capabilities = rules.capabilities(draft.case.payment)
    step = advance(draft.case.payment, standing)
    payment, entries = step.payment, list(draft.entries)
    ended = payment.status.paid or (payment.status.closed and not in_doubt(payment, now))
    if payment.execute_state is not None and ended:
        payment = replace(dropped(payment), execute_unanswered=False, execute_doubted=False)
    payment = scheduled(payment, capabilities, rules.checks, now, rules.jitter)
    event = None
    if step.event is not None:
        event = write_event(payment, step.event, now, rules.public_url, draft.traceparent)
        decision = {
            "change": step.change,
            "rule": rule_of(
                payment, step.event, resolved=draft.resolution is not None, stated=draft.stated is not None
            ),
            "status": payment.status,
            "hold": payment.hold,
            "version": payment.version,
        }
        if draft.stated is not None:
            decision["by"] = named_row(draft.stated)
        entries.append(Entry(kind=EntryKind.DECISION, at=now, data=decision))
        entries.append(event_entry(event))
    return Change(
        payment=payment,
        facts=tuple(draft.facts),
        entries=tuple(entries),
        event=event,
        resolution=draft.resolution,
        order_freed=frees_order(payment, capabilities),
        repeats=draft.repeats and not draft.facts and [entry.kind for entry in entries] == [EntryKind.ANSWER],
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
