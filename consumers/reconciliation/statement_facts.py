"""Record rows of a statement as Facts, where the gateway cannot be asked. See `unexpected.py` for unknown money.

A statement is older than our answers. A row counts as an answer of its own time, so it can fill a gap and cannot
contradict a later answer. The same row in another export changes nothing.

One person can write a file. So where two people decide about a payment, a row of a file never moves its money: it is
recorded as a Fact that holds the payment as `unverifiable`, with all that it says, for two people to decide about.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from consumers.apply_change import PendingChange, apply_changes
from consumers.apply_reply import answer_data
from consumers.checks.candidates import named_by
from consumers.money.at_stake import needs_second_person
from consumers.ports.gateway import Capabilities
from consumers.ports.ledger import Ledger
from consumers.rules import Rules
from schemas.answers import Answer, Fact, StatementRow
from schemas.changes import Entry
from schemas.payments import Case, Payment
from schemas.statements import Line
from schemas.words import EntryKind, Status

CURRENCY = "BDT"
LONGEST_STATEMENT_NAME = 100
REFERENCE = re.compile(r"[A-Za-z0-9._~-]{1,50}", re.ASCII)


class StatementSource(Struct, frozen=True, kw_only=True):
    """The statement that lines come from. `name`: the file's name, without folders.

    `newest`: the newest time of its rows, used for rows without a time. If no row has one, it is the end of the days
    that the statement covers. `listed`: the gateway's own list, which we fetched, and no file.
    """

    account: str
    name: str
    newest: datetime
    listed: bool = False


class StatementEntry(Struct, frozen=True, kw_only=True):
    """A statement's line about a known payment.

    For refunds, `line` is the newest refund line of the payment, and `refunded` the sum of all its refund lines in this
    statement. A payment whose money came and went back in one statement has two entries.
    """

    payment_id: str
    line: Line
    refunded: Decimal | None = None


class Recorded(Struct, frozen=True, kw_only=True):
    """The result for one payment of a statement, with the payment as it is afterwards.

    - `recorded`: at least one row was new. It is a Fact now, and the changes that follow from it are written.
    - `known`: every row was a Fact before, or says `pending`, which proves nothing. No timeline entry was written.
    - `ask`: this gateway can be asked, so its statement is no Fact. The caller publishes a claim.
    - `unknown`: the statement's account has no such payment.
    """

    payment_id: str
    outcome: Literal["recorded", "known", "ask", "unknown"]
    payment: Payment | None = None


async def record_lines(
    ledger: Ledger, rules: Rules, about: StatementSource, said: Sequence[StatementEntry]
) -> list[Recorded]:
    """Record a statement's lines about known payments as Facts, for some hundred payments at most.

    Only payments are recorded whose gateway cannot be asked, or that only a statement brought. All is one transaction,
    with at most one event per payment. Returns the results by payment, in the order in which `said` first names them.
    """
    by_payment = defaultdict[str, list[StatementEntry]](list)
    for one in said:
        by_payment[one.payment_id].append(one)
    found: dict[str, Recorded] = {key: Recorded(payment_id=key, outcome="unknown") for key in by_payment}
    async with ledger.batch(by_payment.keys()) as batch:
        pending_changes = []
        for payment_id, case in batch.cases.items():
            if case.payment.account != about.account:
                continue
            if not _counts(case.payment, rules):
                found[payment_id] = Recorded(payment_id=payment_id, outcome="ask", payment=case.payment)
                continue
            pending = PendingChange(case=case, entries=[], facts=[])
            entries = sorted(by_payment[payment_id], key=lambda one: (one.line.kind, one.line.row))
            unproven = is_unproven(case, about, entries, rules)
            for one in entries:
                apply_line(pending, about, one.line, one.refunded, rules, batch.now, unproven=unproven)
            outcome: Literal["recorded", "known"] = "recorded" if pending.entries else "known"
            found[payment_id] = Recorded(payment_id=payment_id, outcome=outcome, payment=case.payment)
            pending_changes += [pending] if pending.facts else []
        if pending_changes:
            for change in await apply_changes(batch, rules, pending_changes):
                found[change.payment.id] = replace(found[change.payment.id], payment=change.payment)
            await batch.commit()
    return list(found.values())


def _counts(payment: Payment, rules: Rules) -> bool:
    """Whether a row may become a Fact of the payment: its gateway cannot be asked, or a statement alone brought it."""
    alone = payment.unexpected_at is not None and payment.adopted_at is None
    return alone or not rules.capabilities(payment).asked_by


def is_unproven(case: Case, about: StatementSource, entries: Sequence[StatementEntry], rules: Rules) -> bool:
    """Whether two people decide about what these rows say of the payment. The gateway's own list is believed."""
    named = [amount for one in entries for amount in (one.line.amount, one.refunded) if amount is not None]
    return not about.listed and needs_second_person(case, rules.second_person_from, *named)


def apply_line(
    pending: PendingChange,
    about: StatementSource,
    line: Line,
    refunded: Decimal | None,
    rules: Rules,
    now: datetime,
    *,
    unproven: bool = False,
) -> None:
    """Add a row to the pending change as a Fact; a row that says `pending` is ignored.

    A row that is a Fact already gets no timeline entry. It may fill missing fields of the Fact, and make its first time
    earlier. `unproven`: where the row says that money came or went back, or the payment is held, it only holds it.
    """
    if line.status is Status.PENDING:
        return
    case = pending.case
    fact = _fact(about, line, refunded, rules.capabilities(case.payment), now)
    facts = {one.key: one for one in case.facts}
    holds = unproven and fact.key not in facts and (line.status.paid or case.payment.hold is not None)
    if holds:
        fact = _unproven(fact, line, now)
    before = facts.get(fact.key)
    fact = before.merged(fact) if before else fact
    if before is not None and replace(fact, row=before.row) == before:
        return
    pending.facts.append(fact)
    payment = case.payment
    if before is None:
        if not holds:
            checked_at = max(payment.checked_at or fact.last_answered_at, fact.last_answered_at)
            payment = replace(payment, checked_at=checked_at)
        pending.entries.append(_entry(fact, line.at or about.newest, now))
        pending.stated = pending.stated or fact.row
    pending.case = replace(case, payment=payment, facts=tuple((facts | {fact.key: fact}).values()))


def _fact(
    about: StatementSource, line: Line, refunded: Decimal | None, capabilities: Capabilities, now: datetime
) -> Fact:
    """The Fact that a row tells, at the row's time or, without one, at the statement's; at the latest `now`.

    A refund's row does not say how much money came, so its answer has no amount.
    """
    at = min(line.at or about.newest, now)
    refund = line.kind == "refund"
    answer = Answer(
        status=Status.COMPLETED if refund else line.status,
        word=line.word or line.status,
        session_id=line.session_id,
        reference=line.reference if REFERENCE.fullmatch(line.reference or "") else None,
        transaction_id=line.transaction_id,
        amount=None if refund else line.amount,
        currency=CURRENCY,
        refunded_amount=(refunded if refunded is not None else line.amount) if refund else None,
        fee=None if refund else line.fee,
        paid_at=None if refund or not line.status.paid or line.at is None else at,
    )
    return Fact(
        answer=answer,
        row=StatementRow(name=about.name[:LONGEST_STATEMENT_NAME], row=line.row, refund=refund, listed=about.listed),
        transaction_asked=named_by(line, capabilities),
        first_asked_at=at,
        first_answered_at=at,
        last_asked_at=at,
        last_answered_at=at,
    )


def _unproven(fact: Fact, line: Line, now: datetime) -> Fact:
    """The Fact without a status of its own: it is heard now, and moves nothing. Its word is the status of the row."""
    answer = replace(fact.answer, status=None, word="refunded" if fact.refund else line.status, paid_at=None)
    return replace(
        fact, answer=answer, first_asked_at=now, first_answered_at=now, last_asked_at=now, last_answered_at=now
    )


def _entry(fact: Fact, at: datetime, now: datetime) -> Entry:
    assert fact.row is not None, "a row made it"
    said = {name: value for name, value in answer_data(fact.answer).items() if value is not None}
    if fact.unproven:
        said |= {"status": fact.answer.word, "unproven": True}
    row = {"statement": fact.row.name, "row": fact.row.row, "of": f"{min(at, now):%Y-%m-%dT%H:%M:%SZ}"}
    row |= {"listed": True} if fact.row.listed else {}
    row |= {"refund": True} if fact.row.refund else {}
    return Entry(kind=EntryKind.ANSWER, at=now, data=row | said)
