"""Record money that a statement names and no shop announced, as a payment of its own, held as `unexpected`.

The same money must not become two payments. The payment that first has its transaction, session or reference has the
money. If one of these is taken, before, at the same time or by an earlier line, the line's new payment is withdrawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.apply_change import PendingChange, apply_changes
from consumers.checks.candidates import named_by
from consumers.money.unique_keys import reserve_and_fold
from consumers.ports.ledger import Batch, Ledger
from consumers.ports.readings import Lookup
from consumers.ports.writes import Keys
from consumers.reconciliation.statement_facts import (
    CURRENCY,
    REFERENCE,
    StatementEntry,
    StatementSource,
    apply_line,
    is_unproven,
)
from consumers.rules import Rules
from schemas.payments import Candidate, Case, Payment
from schemas.statements import Line

UNKNOWN_HERE = "paid at the gateway, unknown here"


class UnmatchedLine(Struct, frozen=True, kw_only=True):
    """A line of money that came and is unknown here, with its refunds as in `StatementEntry`."""

    line: Line
    refund: Line | None = None
    refunded: Decimal | None = None


class PaymentOfLine(Struct, frozen=True, kw_only=True):
    """The payment that has the money of a line. `new`: it was made by this call, and is held as `unexpected`."""

    row: int
    payment_id: str
    new: bool


class InsertedBatch(Batch, Protocol):
    """A batch over payments that it has just inserted."""

    async def withdraw(self, payment_ids: Sequence[str]) -> None:
        """Delete inserted payments and their keys. They are no longer in `cases`."""
        ...


class UnexpectedPayments(Ledger, Protocol):
    """The ledger, with payments that only a statement brought."""

    def inserted(self, payments: Sequence[Payment]) -> AbstractAsyncContextManager[InsertedBatch]:
        """Insert payments. The batch's `cases` are those whose reference was free. Without `commit` none stays."""
        ...


async def record_unexpected(
    ledger: UnexpectedPayments,
    rules: Rules,
    account: Account,
    about: StatementSource,
    unmatched: Sequence[UnmatchedLine],
    new_payment_id: Callable[[], str],
) -> list[PaymentOfLine]:
    """Make payments of unannounced money, held as `unexpected`. The caller gives at most some hundred lines.

    Each gets one event, `payment.held`. A shop adopts it by a request with its reference or its session. If a payment
    has the line's transaction, session or reference by now, that payment has the money, and nothing is changed. Lines
    that are not paid, and lines without any id, are left out. Returns the payment of each other line.
    """
    unmatched = [one for one in unmatched if one.line.kind == "payment" and one.line.status.paid and _named(one.line)]
    known = await _homes(ledger, account, unmatched)
    rows: dict[str, tuple[Payment, UnmatchedLine]] = {}
    for one in unmatched:
        if one.line.row not in known:
            row = _row(new_payment_id(), account, about, one.line)
            rows.setdefault(row.reference, (row, one))
    new: dict[int, str] = {}
    if rows:
        by_id = {row.id: one for row, one in rows.values()}
        async with ledger.inserted([row for row, _ in rows.values()]) as batch:
            pending_changes = {
                key: _draft(case, about, by_id[key], rules, batch.now) for key, case in batch.cases.items()
            }
            for others in (_others_sessions, _others_transactions):
                taken = await others(batch, rules, list(pending_changes.values()))
                await batch.withdraw(taken)
                pending_changes = {key: pending for key, pending in pending_changes.items() if key not in taken}
            if pending_changes:
                await apply_changes(batch, rules, list(pending_changes.values()))
                await batch.commit()
            new = {by_id[key].line.row: key for key in pending_changes}
    rest = [one for one in unmatched if one.line.row not in known and one.line.row not in new]
    known |= await _homes(ledger, account, rest)
    homes = known | new
    return [
        PaymentOfLine(row=one.line.row, payment_id=homes[one.line.row], new=one.line.row in new)
        for one in unmatched
        if one.line.row in homes
    ]


def _named(line: Line) -> bool:
    return any((line.transaction_id, line.session_id, line.reference))


def _row(payment_id: str, account: Account, about: StatementSource, line: Line) -> Payment:
    """The new payment of a line. Its ids come later, by the Fact. Its times are those of the line."""
    at = line.at or about.newest
    named = named_by(line, account.provider.capabilities)
    candidate = Candidate(transaction_id=named or "", signed=False, state="confirmed")
    return Payment(
        id=payment_id,
        merchant=account.merchant,
        account=account.id,
        provider=account.provider.name,
        reference=_reference(line),
        amount=line.amount,
        currency=CURRENCY,
        description=UNKNOWN_HERE,
        opened_at=at,
        expires_at=at,
        candidates=(candidate,) if named else (),
    )


def _reference(line: Line) -> str:
    """The line's reference, if a payment may have it; else a reference made of its transaction or its session.

    The same line always gives the same reference, so that of two concurrent runs only one makes the payment.
    """
    if line.reference is not None and REFERENCE.fullmatch(line.reference):
        return line.reference
    name = line.transaction_id or line.session_id or line.reference or ""
    plain = f"unexpected.{name}"
    return plain if REFERENCE.fullmatch(plain) else f"unexpected~{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _draft(case: Case, about: StatementSource, one: UnmatchedLine, rules: Rules, now: datetime) -> PendingChange:
    at, session_id = min(case.payment.opened_at, now), one.line.session_id
    payment = replace(
        case.payment,
        session_id=session_id,
        opened=session_id is not None,  # a checkout that the gateway names was opened
        opened_at=at,
        expires_at=at,
        unexpected_at=now,
    )
    pending = PendingChange(case=replace(case, payment=payment), entries=[], facts=[])
    entries = [StatementEntry(payment_id=payment.id, line=one.line)]
    if one.refund is not None:
        entries.append(StatementEntry(payment_id=payment.id, line=one.refund, refunded=one.refunded))
    unproven = is_unproven(pending.case, about, entries, rules)
    for entry in entries:
        apply_line(pending, about, entry.line, entry.refunded, rules, now, unproven=unproven)
    return pending


async def _others_sessions(batch: Batch, rules: Rules, pending_changes: Sequence[PendingChange]) -> list[str]:
    """The ids of payments whose session is another payment's by now, or is that of an earlier line."""
    del rules
    payments = [pending.case.payment for pending in pending_changes]
    keys = [Keys.of(one, sessions=[one.session_id]) for one in payments if one.session_id is not None]
    taken_keys = await batch.reserve(keys)
    return [key for key in taken_keys if taken_keys[key].sessions]


async def _others_transactions(batch: Batch, rules: Rules, pending_changes: Sequence[PendingChange]) -> list[str]:
    reserved = await reserve_and_fold(batch, rules, [pending.case for pending in pending_changes])
    return [key for key, one in reserved.items() if one.taken_keys.transactions or one.taken_keys.sessions]


async def _homes(ledger: Ledger, account: Account, unmatched: Sequence[UnmatchedLine]) -> dict[int, str]:
    """The payment id that has a line's session, transaction or reference, by row; absent where there is none."""
    wanted = [
        Lookup(
            id=str(one.line.row),
            account=account.id,
            session_id=one.line.session_id,
            transaction_id=one.line.transaction_id,
            reference=_reference(one.line),
        )
        for one in unmatched
    ]
    return {int(row): payment_id for row, payment_id in (await ledger.find(wanted)).items()}
