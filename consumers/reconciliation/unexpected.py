"""Money that a statement names and nobody announced: a payment of its own, held as `unexpected`.

The one thing to get wrong: making it twice. The payment that has a transaction, a session or a reference first has the
money. A line that finds one of them taken withdraws, whether it was taken before, just now or by a line above it.
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
from consumers.checks.next_check import by_transaction
from consumers.money.unique_keys import reserve_and_fold
from consumers.ports.ledger import Batch, Keys, Ledger, Lookup
from consumers.reconciliation.statement_facts import CURRENCY, REFERENCE, StatementSource, apply_line
from consumers.rules import Rules
from schemas.payments import Candidate, Case, Payment
from schemas.statements import Line

UNKNOWN_HERE = "paid at the gateway, unknown here"


class UnmatchedLine(Struct, frozen=True, kw_only=True):
    """A line of money that arrived and is unknown here, with the refunds of it as in `StatementEntry`."""

    line: Line
    refund: Line | None = None
    refunded: Decimal | None = None


class PaymentOfLine(Struct, frozen=True, kw_only=True):
    """The payment that has a line's money. `new`: it was made just now, and is held as `unexpected`."""

    row: int
    payment_id: str
    new: bool


class InsertedBatch(Batch, Protocol):
    """A batch over rows that it has just inserted."""

    async def withdraw(self, payment_ids: Sequence[str]) -> None:
        """Take rows out again, with what was reserved for them; they are no longer in `cases`."""
        ...


class UnexpectedPayments(Ledger, Protocol):
    """What the ledger keeps of money that nobody announced."""

    def inserted(self, payments: Sequence[Payment]) -> AbstractAsyncContextManager[InsertedBatch]:
        """Insert these; the batch's `cases` are those whose reference was free. Without `commit` none of them stays."""
        ...


async def record_unexpected(
    ledger: UnexpectedPayments,
    rules: Rules,
    account: Account,
    about: StatementSource,
    unmatched: Sequence[UnmatchedLine],
    new_payment_id: Callable[[], str],
) -> list[PaymentOfLine]:
    """Make payments of money that nobody announced, held as `unexpected`; some hundred at most at once.

    Each has one event, `payment.held`, and is the shop's when it announces the reference or the session. A line whose
    transaction, session or reference a payment has by now is that payment's, and changes nothing. Passed over are lines
    that are no paid money, and those without any id.
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
    """Ids come by the Fact. The times are those of the money: nothing is planned by them, as it is paid already."""
    at = line.at or about.newest
    asked_by_it = line.transaction_id is not None and by_transaction(account.provider.capabilities)
    candidate = Candidate(transaction_id=line.transaction_id or "", signed=False, state="confirmed")
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
        candidates=(candidate,) if asked_by_it else (),
    )


def _reference(line: Line) -> str:
    """The gateway's reference, where it is one that a payment can have; else one of its transaction, or its session.

    The same line always comes to the same one, so that of two runs at once one makes the payment.
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
        opened=session_id is not None,  # a checkout that the gateway names was opened, wherever that was
        opened_at=at,
        expires_at=at,
        unexpected_at=now,
    )
    pending = PendingChange(case=replace(case, payment=payment), entries=[], facts=[])
    apply_line(pending, about, one.line, None, rules, now)
    if one.refund is not None:
        apply_line(pending, about, one.refund, one.refunded, rules, now)
    return pending


async def _others_sessions(batch: Batch, rules: Rules, pending_changes: Sequence[PendingChange]) -> list[str]:
    """Those whose session became another payment's just before, or is that of a line before it."""
    del rules
    payments = [pending.case.payment for pending in pending_changes]
    keys = [Keys.of(one, sessions=[one.session_id]) for one in payments if one.session_id is not None]
    taken_keys = await batch.reserve(keys)
    return [key for key in taken_keys if taken_keys[key].sessions]


async def _others_transactions(batch: Batch, rules: Rules, pending_changes: Sequence[PendingChange]) -> list[str]:
    reserved = await reserve_and_fold(batch, rules, [pending.case for pending in pending_changes])
    return [key for key, one in reserved.items() if one.taken_keys.transactions or one.taken_keys.sessions]


async def _homes(ledger: Ledger, account: Account, unmatched: Sequence[UnmatchedLine]) -> dict[int, str]:
    """Which payment has a line's session, transaction or reference, by row; what nobody has is absent."""
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
