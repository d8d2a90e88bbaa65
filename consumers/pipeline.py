"""Every stage a payment meets, in order: claims are taken, gateways are asked, replies are recorded, people resolve.

Each stage is one transaction of the ledger. The one thing to get wrong: nothing calls a gateway inside a transaction,
and nothing is called before the question, its lease and its wish to execute are committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.answering import Reply, question_entry, take_in
from consumers.asking import Due, begun, may_execute, next_due, question, scheduled
from consumers.closing import marked
from consumers.events import write_event
from consumers.gateway import Capabilities
from consumers.lifecycle import advance, fold, misfits, transaction_of
from consumers.receiving import Admission, receive
from schemas.answers import Answer, Expected, Fact, Question
from schemas.callbacks import Claim
from schemas.checks import Checks
from schemas.payments import Case, Change, Entry, Owners, Payment, Resolution
from schemas.words import EntryKind, QuestionKind, Status


class Keys(Struct, frozen=True, kw_only=True):
    """What a payment's fitting answers claim for it, each of which only one payment can have."""

    payment_id: str
    account: str
    merchant: str
    order_ref: str | None = None
    transactions: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()


class Batch(Protocol):
    """One transaction over some payments, locked in the order of their ids; without `store` it changes nothing."""

    now: datetime
    cases: Mapping[str, Case]

    async def admit(self, claims: Sequence[tuple[Claim, str | None]]) -> Mapping[str, Admission]:
        """Record claims with the payments they are about; tell by claim id which are new."""
        ...

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, Owners]:
        """Take what is free; tell by payment id what belongs to others. The first to be recorded keeps a key."""
        ...

    async def begin_executions(self, payment_ids: Collection[str]) -> frozenset[str]:
        """Mark these as the one attempt of their order that executes; return those for which no other stands."""
        ...

    async def store(self, changes: Sequence[Change]) -> None: ...


class Ledger(Protocol):
    """Where payments are kept."""

    def batch(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[Batch]: ...

    async def find(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Which payment each claim is about, by claim id, within the account of its URL; unknown ones are absent."""
        ...


class Rules(Struct, frozen=True, kw_only=True):
    """What the stages need to know of the configuration."""

    accounts: Mapping[str, Account]
    checks: Checks
    public_url: str

    def capabilities(self, payment: Payment) -> Capabilities:
        return self.accounts[payment.account].provider.capabilities


class Inquiry(Struct, frozen=True, kw_only=True):
    """A question that may be asked now: its lease is committed."""

    account: Account
    question: Question
    expected: Expected
    asked_at: datetime


class Draft(Struct, kw_only=True):
    """A payment on its way through one transaction."""

    case: Case
    entries: list[Entry]
    facts: list[Fact]
    resolution: Resolution | None = None


async def take(ledger: Ledger, rules: Rules, claims: Sequence[Claim]) -> list[Inquiry]:
    """Record claims and start what is due: once this returns, the claims may be acknowledged.

    A claim about no payment we know is recorded and asks nothing.
    """
    claims = list({claim.id: claim for claim in claims}.values())
    homes = await ledger.find(claims)
    async with ledger.batch(set(homes.values())) as batch:
        admissions = await batch.admit([(claim, homes.get(claim.id)) for claim in claims])
        drafts = {key: Draft(case=case, entries=[], facts=[]) for key, case in batch.cases.items()}
        for claim in claims:
            draft = drafts.get(homes.get(claim.id, ""))
            if draft is not None:
                capabilities = rules.capabilities(draft.case.payment)
                payment, entry = receive(draft.case, claim, admissions[claim.id], capabilities, batch.now)
                draft.case = replace(draft.case, payment=payment)
                draft.entries.append(entry)
        inquiries = await _begin(batch, rules, drafts.values())
        await settle(batch, rules, drafts.values())
    return inquiries


async def record(ledger: Ledger, rules: Rules, replies: Sequence[Reply]) -> list[Change]:
    """Record what gateways replied: fold, dedupe and write at most one event per payment, in one transaction."""
    by_payment = defaultdict[str, list[Reply]](list)
    for reply in replies:
        by_payment[reply.payment_id].append(reply)
    async with ledger.batch(by_payment.keys()) as batch:
        drafts = []
        for payment_id, case in batch.cases.items():
            draft = Draft(case=case, entries=[], facts=[])
            for reply in sorted(by_payment[payment_id], key=lambda reply: reply.answered_at):
                _hear(draft, reply, rules, batch.now)
            drafts.append(draft)
        return await settle(batch, rules, drafts)


def _hear(draft: Draft, reply: Reply, rules: Rules, now: datetime) -> None:
    capabilities = rules.capabilities(draft.case.payment)
    taken = take_in(draft.case, reply, capabilities)
    payment = marked(taken.case.payment, capabilities, rules.checks, now, taken.heard, reply.asked_at)
    draft.case = replace(taken.case, payment=payment)
    draft.entries.extend(taken.entries)
    draft.facts.extend([taken.fact] if taken.fact else [])


async def _begin(batch: Batch, rules: Rules, drafts: Iterable[Draft]) -> list[Inquiry]:
    """Start the questions that are due, one per payment; where none can be asked, the clock may close or give up."""
    asking: list[tuple[Draft, Due]] = []
    for draft in drafts:
        payment, capabilities = draft.case.payment, rules.capabilities(draft.case.payment)
        if payment.lease_until is not None and payment.lease_until > batch.now:
            continue
        due = next_due(payment, capabilities, rules.checks)
        if due is not None and due.at <= batch.now:
            asking.append((draft, due))
            continue
        payment = replace(payment, lease_until=None)
        draft.case = replace(draft.case, payment=marked(payment, capabilities, rules.checks, batch.now))
    wishes = {
        draft.case.payment.id
        for draft, _ in asking
        if may_execute(draft.case.payment, rules.capabilities(draft.case.payment), batch.now)
    }
    allowed = await batch.begin_executions(wishes) if wishes else frozenset()
    return [_inquiry(draft, due, wishes, allowed, rules, batch.now) for draft, due in asking]


def _inquiry(draft: Draft, due: Due, wishes: set[str], allowed: frozenset[str], rules: Rules, now: datetime) -> Inquiry:
    payment, capabilities = draft.case.payment, rules.capabilities(draft.case.payment)
    asked = question(payment, capabilities)
    assert asked is not None, "next_due has a time only where there is a question"
    if payment.id in allowed:
        asked = Question(kind=QuestionKind.EXECUTE)
    elif (
        payment.id in wishes
    ):  # another attempt of the order is paid or executing: only the next buyer's claim wishes again
        payment = replace(payment, execute_state=None)
    payment = begun(payment, asked, due, now)
    draft.case = replace(draft.case, payment=payment)
    draft.entries.append(question_entry(asked, now, due.trigger))
    return Inquiry(account=rules.accounts[payment.account], question=asked, expected=expected(payment), asked_at=now)


async def settle(batch: Batch, rules: Rules, drafts: Iterable[Draft]) -> list[Change]:
    """Fold each payment over its Facts and write what changed: one version and one event per payment at most.

    Every change of a payment, whatever brought it, ends here.
    """
    drafts = list(drafts)
    owners = await _reserve(batch, rules, [draft.case for draft in drafts])
    changes = [_change(draft, owners[draft.case.payment.id], rules, batch.now) for draft in drafts]
    await batch.store(changes)
    return changes


async def _reserve(batch: Batch, rules: Rules, cases: Sequence[Case]) -> dict[str, Owners]:
    """Take the keys of each payment step by step: what does not fit by one step claims nothing in the next.

    Most payments need one call, for their transactions; sessions are new and orders are named for few.
    """
    owners = {case.payment.id: Owners() for case in cases}
    for wanted in (_sessions, _transactions, _order):
        keys = [
            key
            for case in cases
            if (key := wanted(case, owners[case.payment.id], rules.capabilities(case.payment).always)) is not None
        ]
        for payment_id, others in (await batch.reserve(keys) if keys else {}).items():
            known = owners[payment_id]
            owners[payment_id] = Owners(
                transactions=known.transactions | others.transactions,
                sessions=known.sessions | others.sessions,
                order=known.order or others.order,
            )
    return owners


def _change(draft: Draft, owners: Owners, rules: Rules, now: datetime) -> Change:
    capabilities = rules.capabilities(draft.case.payment)
    step = advance(draft.case.payment, fold(draft.case, owners, capabilities.always))
    payment, entries = step.payment, list(draft.entries)
    freed = payment.execute_state is not None and payment.status is not Status.PENDING
    if freed:
        payment = replace(payment, execute_state=None, execute_unanswered=False)
    payment = scheduled(payment, capabilities, rules.checks, now)
    event = None
    if step.event is not None:
        event = write_event(payment, step.event, now, rules.public_url)
        decision = {"change": step.reason, "status": payment.status, "hold": payment.hold, "version": payment.version}
        entries.append(Entry(kind=EntryKind.DECISION, at=now, data=decision))
        entries.append(Entry(kind=EntryKind.EVENT, at=now, data={"id": event.id, "type": event.type}))
    return Change(
        payment=payment,
        facts=tuple(draft.facts),
        entries=tuple(entries),
        event=event,
        resolution=draft.resolution,
        order_freed=capabilities.executes and payment.execute_state is None,
    )


def _sessions(case: Case, owners: Owners, always: frozenset[str]) -> Keys | None:
    """The sessions that fitting answers name for a payment whose opening told us none."""
    answers = [] if case.payment.opened else _fitting(case, owners, always)
    sessions = frozenset(answer.session_id for answer in answers if answer.session_id is not None)
    return _keys(case.payment, sessions=sessions) if sessions else None


def _transactions(case: Case, owners: Owners, always: frozenset[str]) -> Keys | None:
    """The transactions of fitting paid answers, and the one a person recorded."""
    paid = [one for one in _fitting(case, owners, always) if one.status is not None and one.status.paid]
    transactions = {transaction_of(answer, case.payment) for answer in paid}
    if case.resolutions and case.resolutions[-1].recorded_transaction is not None:
        transactions.add(case.resolutions[-1].recorded_transaction)
    return _keys(case.payment, transactions=frozenset(transactions)) if transactions else None


def _order(case: Case, owners: Owners, always: frozenset[str]) -> Keys | None:
    """The order, once the payment is paid by what is its own."""
    order_ref = case.payment.order_ref
    paid = order_ref is not None and fold(case, owners, always).status.paid
    return _keys(case.payment, order_ref=order_ref) if paid else None


def _fitting(case: Case, owners: Owners, always: frozenset[str]) -> list[Answer]:
    return [fact.answer for fact in case.facts if not misfits(fact.answer, case.payment, owners, always)]


def _keys(payment: Payment, **claimed: Any) -> Keys:
    return Keys(payment_id=payment.id, account=payment.account, merchant=payment.merchant, **claimed)


def expected(payment: Payment) -> Expected:
    return Expected(
        payment_id=payment.id,
        reference=payment.reference,
        amount=payment.amount,
        currency=payment.currency,
        session_id=payment.session_id,
        aliases=payment.aliases,
    )
