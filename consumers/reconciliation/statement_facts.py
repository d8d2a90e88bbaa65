"""Rows of a statement as Facts, where nobody can be asked about a payment; `unexpected` has those of unknown money.

The one thing to get wrong: a statement is old news. A row is of its own time, so it fills in what was never answered
and never contradicts what was answered since; the same row again, in whatever export, changes nothing.
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
from consumers.checks.next_check import by_transaction
from consumers.ports.gateway import Capabilities
from consumers.ports.ledger import Ledger
from consumers.rules import Rules
from schemas.answers import Answer, Fact, StatementRow
from schemas.payments import Entry, Payment
from schemas.statements import Line
from schemas.words import EntryKind, Status

CURRENCY = "BDT"
LONGEST_STATEMENT_NAME = 100
REFERENCE = re.compile(r"[A-Za-z0-9._~-]{1,50}", re.ASCII)


class StatementSource(Struct, frozen=True, kw_only=True):
    """Where lines come from: `name` is the file's, without its folders.

    `newest` is the newest time of any of its rows, and counts for those that have none; where none has one, the end of
    the days that it covers. `listed`: the gateway's own list, which we fetched, and no file.
    """

    account: str
    name: str
    newest: datetime
    listed: bool = False


class StatementEntry(Struct, frozen=True, kw_only=True):
    """What a statement says of a payment that we know.

    Of a refund, `line` is its newest line, and `refunded` what all its refund lines in this statement add up to. A
    payment whose money came and went back in one statement has one `StatementEntry` for each of the two.
    """

    payment_id: str
    line: Line
    refunded: Decimal | None = None


class Recorded(Struct, frozen=True, kw_only=True):
    """What became of one payment that a statement speaks of, and how it stands now.

    - `recorded`: at least one row said something new; it is a Fact, and whatever followed from it was written.
    - `known`: every row was a Fact before, or says `pending`, which is nothing. Nothing was written to be read.
    - `ask`: this gateway can be asked, so its statement is no Fact. Publish a Claim.
    - `unknown`: the statement's account has no such payment.
    """

    payment_id: str
    outcome: Literal["recorded", "known", "ask", "unknown"]
    payment: Payment | None = None


async def record_lines(
    ledger: Ledger, rules: Rules, about: StatementSource, said: Sequence[StatementEntry]
) -> list[Recorded]:
    """Record what a statement says of known payments, where no better word can be had; some hundred at most at once.

    That is where the gateway cannot be asked, and of payments that only a statement brought. One transaction; at most
    one event per payment, as for any answer. The outcomes are by payment, in the order first named.
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
            for one in sorted(by_payment[payment_id], key=lambda one: (one.line.kind, one.line.row)):
                apply_line(pending, about, one.line, one.refunded, rules, batch.now)
            outcome: Literal["recorded", "known"] = "recorded" if pending.entries else "known"
            found[payment_id] = Recorded(payment_id=payment_id, outcome=outcome, payment=case.payment)
            pending_changes += [pending] if pending.facts else []
        if pending_changes:
            for change in await apply_changes(batch, rules, pending_changes):
                found[change.payment.id] = replace(found[change.payment.id], payment=change.payment)
            await batch.commit()
    return list(found.values())


def _counts(payment: Payment, rules: Rules) -> bool:
    """Whether a statement's word is the best to be had of it."""
    alone = payment.unexpected_at is not None and payment.adopted_at is None
    return alone or not rules.capabilities(payment).asked_by


def apply_line(
    pending: PendingChange, about: StatementSource, line: Line, refunded: Decimal | None, rules: Rules, now: datetime
) -> None:
    """Take a row in as a Fact. What is known already leaves no entry, only its time where it is earlier than known."""
    if line.status is Status.PENDING:
        return
    case = pending.case
    fact = _fact(about, line, refunded, rules.capabilities(case.payment), now)
    facts = {one.key: one for one in case.facts}
    before = facts.get(fact.key)
    fact = before.merged(fact) if before else fact
    if before is not None and replace(fact, row=before.row) == before:
        return
    pending.facts.append(fact)
    payment = case.payment
    if before is None:
        checked_at = max(payment.checked_at or fact.last_answered_at, fact.last_answered_at)
        payment = replace(payment, checked_at=checked_at)
        pending.entries.append(_entry(fact, now))
        pending.stated = pending.stated or fact.row
    pending.case = replace(case, payment=payment, facts=tuple((facts | {fact.key: fact}).values()))


def _fact(
    about: StatementSource, line: Line, refunded: Decimal | None, capabilities: Capabilities, now: datetime
) -> Fact:
    """The row as an answer of its own time, which is never later than now, whatever the file says.

    A refund's amount is no amount of the payment: of that it says nothing.
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
        transaction_asked=line.transaction_id if by_transaction(capabilities) else None,
        first_asked_at=at,
        first_answered_at=at,
        last_asked_at=at,
        last_answered_at=at,
    )


def _entry(fact: Fact, now: datetime) -> Entry:
    assert fact.row is not None, "a row made it"
    said = {name: value for name, value in answer_data(fact.answer).items() if value is not None}
    row = {"statement": fact.row.name, "row": fact.row.row, "of": f"{fact.first_asked_at:%Y-%m-%dT%H:%M:%SZ}"}
    row |= {"listed": True} if fact.row.listed else {}
    row |= {"refund": True} if fact.row.refund else {}
    return Entry(kind=EntryKind.ANSWER, at=now, data=row | said)
