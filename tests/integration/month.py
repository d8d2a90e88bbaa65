"""A month of one account: payments in the states that answers brought them to, and a statement with known errors.

The errors are added to `expected` when they are made, and never read off the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from msgspec import Struct, field

from consumers.account import Account
from consumers.ports.reply import Reply
from consumers.record_replies import record_dead_replies
from consumers.rules import Rules
from schemas.answers import Answer, Question
from schemas.payments import Payment
from schemas.statements import LineOutcome
from schemas.words import Id, Status
from tests.integration.portals import Entry, Portal
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.ledger.rows import INSERT_MANY
from worker.runtime.ids import new_payment_id

START = datetime(2026, 9, 30, 18, tzinfo=UTC)  # the first of October in Dhaka
END = START + timedelta(days=31)
EVIL = "<script>"
FITTING = 120
EACH = 2
BATCH = 100
CENT = Decimal("0.01")


class Sale(Struct, frozen=True, kw_only=True):
    """A payment of ours and the answer that decided it; `status` None: no gateway ever gave an answer about it."""

    payment: Payment
    entry: Entry
    status: Status | None
    refunded: Decimal | None = None


class Month(Struct, kw_only=True):
    """`expected`: by row, or by reference where there is none, everything that is not `matched`."""

    sales: list[Sale] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    expected: dict[int | str, LineOutcome] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)


class Making:
    """One portal's month, by its seed."""

    def __init__(self, portal: Portal, account: Account, seed: int) -> None:
        self.portal, self.account = portal, account
        self.random = Random(f"{portal.account} {seed}")
        self.month = Month()
        self._number = 0
        self._wrong: list[tuple[Entry, LineOutcome]] = []
        self._right: list[Entry] = []

    def make(self) -> Month:
        for _ in range(FITTING):
            self._right.append(self.sold().entry)
        for number in range(EACH):
            self._errors(number)
        self._refunds()
        self._without_money()
        self._not_exported_yet()
        self._write()
        return self.month

    # -- what fits -----------------------------------------------------------------------------------------------------

    def sold(self, ended: Status | None = Status.COMPLETED, **changes: Any) -> Sale:
        """A payment of ours that the gateway decided, and the entry that its portal shows of it."""
        entry = self.entry(**changes)
        payment = Payment(
            id=new_payment_id(),
            merchant=self.account.merchant,
            account=self.account.id,
            provider=self.account.provider.name,
            reference=entry.reference,
            amount=Decimal(entry.amount),
            currency="BDT",
            session_id=entry.session_id,
            opened=True,
            opened_at=entry.at - timedelta(minutes=4),
            expires_at=entry.at + timedelta(minutes=11),
        )
        sale = Sale(payment=payment, entry=entry, status=ended)
        self.month.sales.append(sale)
        return sale

    def entry(self, **changes: Any) -> Entry:
        """An entry that only the gateway knows."""
        self._number += 1
        amount = Decimal(self.random.randrange(1_000, 2_500_000)) / 100
        number = f"{self._number:04d}"
        given: dict[str, Any] = {
            "transaction_id": f"T{self.random.randrange(10**9):09d}{number}",
            "session_id": f"S-{self.portal.account}-{number}",
            "reference": f"order-{number}",
            "amount": amount,
            "at": self._moment(),
            "fee": self._fee(amount),
        }
        return Entry(**(given | changes))

    # -- what does not -------------------------------------------------------------------------------------------------

    def _errors(self, number: int) -> None:
        unknown = self.entry(reference=f"{EVIL}{number}" if number == 0 else f"walk-in-{number}")
        self._wrongly(unknown, LineOutcome.MISSING_HERE)
        self.month.unknown.append(unknown.reference)
        unpaid = self.sold(None)
        self._wrongly(unpaid.entry, LineOutcome.MISSING_HERE)
        self.month.unpaid.append(unpaid.payment.id)
        absent = self.sold()
        self.month.expected[absent.entry.reference] = LineOutcome.MISSING_THERE
        other = self.sold().entry
        amount = Decimal(other.amount) + Decimal("20.00")
        self._wrongly(self._but(other, amount=amount, fee=self._fee(amount)), LineOutcome.AMOUNT_DIFFERS)
        if self.portal.has_status:
            self._wrongly(self._but(self.sold().entry, status="failed", fee=None), LineOutcome.STATUS_DIFFERS)
        else:
            back = self.sold().entry
            self._right.append(back)
            self._wrongly(self._but(back, refund=True, fee=None, amount=Decimal("5.00")), LineOutcome.STATUS_DIFFERS)
        if (fee := self.sold().entry).fee is not None:
            self._wrongly(self._but(fee, fee=fee.fee + Decimal("1.25")), LineOutcome.FEE_DIFFERS)
        else:
            self._right.append(fee)
        unread = self._but(self.entry(), amount="১,২০০.০০" if number == 0 else "n/a")
        self._wrongly(unread, LineOutcome.UNREADABLE)

    def _refunds(self) -> None:
        """Refunds that both sides know: the gateway reported them when it was asked again."""
        for _ in range(EACH if self.account.provider.capabilities.shows_refunds else 0):
            sale = self.sold()
            back = Decimal("10.00")
            self.month.sales[-1] = Sale(payment=sale.payment, entry=sale.entry, status=sale.status, refunded=back)
            later = sale.entry.at + timedelta(minutes=30)
            self._right += [sale.entry, self._but(sale.entry, refund=True, amount=back, fee=None, at=later)]

    def _without_money(self) -> None:
        """Attempts that failed on both sides, and an attempt that only the gateway knows."""
        if self.portal.has_status:
            self._right.append(self.sold(Status.FAILED, status="failed", fee=None).entry)
            self._right.append(self.entry(status="failed", fee=None))

    def _not_exported_yet(self) -> None:
        """Entries within the grace of a day before the newest row."""
        self.sold(at=END - timedelta(hours=3))
        self._right.append(self.sold(at=END - timedelta(minutes=1)).entry)

    # -- the statement -------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write every entry in the order of its time, then some of them once more."""
        entries = [(entry, None) for entry in self._right] + list(self._wrong)
        entries.sort(key=lambda one: one[0].at)
        again = self.random.sample([entry for entry in self._right if not entry.refund][:FITTING], EACH)
        entries += [(entry, LineOutcome.DUPLICATE) for entry in again]
        for row, (entry, outcome) in enumerate(entries, start=self.portal.first_row):
            self.month.entries.append(entry)
            if outcome is not None:
                self.month.expected[row] = outcome

    def _wrongly(self, entry: Entry, outcome: LineOutcome) -> None:
        self._wrong.append((entry, outcome))

    def _but(self, entry: Entry, **changes: Any) -> Entry:
        return Entry(**({name: getattr(entry, name) for name in Entry.__struct_fields__} | changes))

    def _fee(self, amount: Decimal) -> Decimal | None:
        if self.portal.fee_percent is None and not self.portal.fee_fixed:
            return None
        percent = (amount * (self.portal.fee_percent or 0) / 100).quantize(CENT, ROUND_HALF_UP)
        return percent + self.portal.fee_fixed

    def _moment(self) -> datetime:
        """A random time in whole seconds, within the month and before its grace."""
        return START + timedelta(seconds=self.random.randrange(3_600, 29 * 86_400))


async def keep(database: Database, rules: Rules, sales: Sequence[Sale]) -> None:
    """Write the payments, and record the gateway's answer about each."""
    async with database.connection() as connection, connection.transaction():
        await connection.execute(INSERT_MANY, [sale.payment for sale in sales])
        await connection.executemany(
            "INSERT INTO sessions (account, session_id, payment_id) VALUES ($1, $2, $3)",
            [(sale.payment.account, sale.payment.session_id, sale.payment.id) for sale in sales],
        )
    replies = [_reply(sale, rules) for sale in sales if sale.status is not None]
    for start in range(0, len(replies), BATCH):
        await record_dead_replies(PostgresLedger(database), rules, replies[start : start + BATCH])


def _reply(sale: Sale, rules: Rules) -> Reply:
    assert sale.status is not None
    entry, capabilities = sale.entry, rules.capabilities(sale.payment)
    by_transaction = Id.TRANSACTION in capabilities.asked_by
    answer = Answer(
        status=sale.status,
        word=sale.status.upper(),
        session_id=entry.session_id,
        reference=entry.reference,
        transaction_id=_transaction(sale) if sale.status.paid else None,
        amount=Decimal(entry.amount),
        currency="BDT",
        refunded_amount=sale.refunded,
        paid_at=entry.at if sale.status.paid else None,
    )
    return Reply(
        payment_id=sale.payment.id,
        question=Question(transaction_id=entry.transaction_id if by_transaction else None),
        asked_at=entry.at + timedelta(seconds=2),
        answered_at=entry.at + timedelta(seconds=3),
        outcome=answer,
    )


def _transaction(sale: Sale) -> str:
    """ShadhinPay and PayParse have no transaction ids of their own: there the session stands for the money."""
    own = sale.payment.provider in ("shadhinpay", "payparse")
    return sale.entry.session_id if own else sale.entry.transaction_id
