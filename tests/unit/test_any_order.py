"""The fold in any order: gateways' answers, unreadable money, rows of statements, and a person's decision.

A resolution covers the answers that were recorded before it. So the answers before it are reordered among each other,
and those after it, but never across.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.account import Account
from consumers.reconciliation.statement_facts import StatementEntry, StatementSource, record_lines
from schemas.payments import Payment
from schemas.statements import Line
from schemas.words import Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT, at_once
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING, SILENT
from tests.unit.test_lifecycle import Bench, Spoken, check_one_change_is_one_version_is_one_event, spoken
from tests.unit.test_statement_facts import lines, seconds

Told = Spoken | tuple[Line, Decimal | None]
"""A gateway's reply; or a row of a statement, with the total of its refunds."""

LESS, MORE = Decimal("99.50"), Decimal("120.00")
REFUNDS = [None, Decimal("0.00"), Decimal("40.00"), LESS, AMOUNT, MORE]


@st.composite
def about_one_transaction(draw: st.DrawFn, *transactions: str | None) -> Spoken:
    """What a person is likely to accept: another amount or id than ours, repeated with other refunds."""
    asked, waited = draw(st.integers(1, 12)), draw(st.integers(0, 6))
    fields = {
        "session_id": draw(st.sampled_from(["S-001", "S-001", "S-other", None])),
        "reference": draw(st.sampled_from(["order-1", "order-1", "ORDER-1", None])),
        "currency": draw(st.sampled_from(["BDT", "BDT", "USD"])),
        "amount": draw(st.sampled_from([LESS, LESS, MORE, AMOUNT])),
        "refunded_amount": draw(st.sampled_from(REFUNDS)),
    }
    status = draw(st.sampled_from([Status.COMPLETED, Status.COMPLETED, Status.REFUNDED, Status.FAILED]))
    by = draw(st.sampled_from(transactions))
    return Spoken(status=status, asked=asked, answered=asked + waited, by=by, fields=tuple(fields.items()))


def told(account: Account) -> st.SearchStrategy[list[Told]]:
    by: tuple[str | None, ...] = ("T1", "T2") if account is CANDIDATES else (None,)
    one: st.SearchStrategy[Told] = st.one_of(about_one_transaction(*by), spoken(*by))
    if account is SILENT:
        one = st.one_of(one, lines(amounts=(LESS, MORE)))
    return st.lists(one, min_size=1, max_size=5)


class Recording(Bench):
    """One payment about which replies and rows are recorded, and that a person resolves."""

    def __init__(self, account: Account, *, opened: bool) -> None:
        super().__init__(account)
        if opened:
            self.payment_id = self.open()
        else:
            row = self.drive.new(account, lifetime=timedelta(days=1))
            at_once(self.drive.ledger.create(row, {}, timedelta(seconds=45)))
            self.payment_id = row.id
        self.drive.clock.advance(60)

    @property
    def payment(self) -> Payment:
        return self.drive.payment(self.payment_id)

    def hear(self, batch: Sequence[Told], after: float) -> None:
        """Record replies in one transaction, and rows in another, asked and dated so many seconds later."""
        replies = [
            self.reply(
                self.payment_id, one.status, one.asked + after, one.answered + after, by=one.by, **dict(one.fields)
            )
            for one in batch
            if isinstance(one, Spoken)
        ]
        rows = [
            StatementEntry(payment_id=self.payment_id, line=_dated(one[0], after), refunded=one[1])
            for one in batch
            if not isinstance(one, Spoken)
        ]
        if replies:
            self.checked(lambda: self.record(*replies))
        if rows:
            about = StatementSource(account=self.account.id, name="march.csv", newest=seconds(30 + after))
            work = record_lines(self.drive.ledger, self.drive.rules, about, rows)
            self.checked(lambda: at_once(work))

    def checked(self, work: Any) -> None:
        before, written = self.payment, len(self.drive.ledger.events_of(self.payment_id))
        work()
        check_one_change_is_one_version_is_one_event(self, before, self.payment, written)

    def standing(self) -> tuple[Any, ...]:
        payment = self.payment
        return (
            payment.status,
            payment.holds,
            payment.transaction_id,
            payment.refunded_amount,
            payment.accepted_amount,
        )


def _dated(line: Line, after: float) -> Line:
    return line if line.at is None else replace(line, at=line.at + timedelta(seconds=after))


def shuffled(data: st.DataObject, facts: list[Told]) -> list[list[Told]]:
    """The same in any order, some of them twice, in any batches."""
    again = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=3))]))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(again)))) | {0, len(again)})
    return [again[start:end] for start, end in pairwise(cuts)]


def resolved(recording: Recording, status: Status) -> None:
    """Resolve a held payment at the same time in every order, and never with a lower status than it has."""
    recording.drive.clock.set(NOON + timedelta(seconds=100))
    if recording.payment.hold is not None:
        wanted = max(status, recording.payment.status, key=lambda one: one.rank)
        recording.resolve(recording.payment_id, wanted)
    recording.drive.clock.set(NOON + timedelta(seconds=101))


@pytest.mark.parametrize("account", [PLAIN, PROVING, EXECUTING, CANDIDATES, SILENT], ids=lambda account: account.id)
@given(data=st.data())
def test_any_order_before_and_after_a_persons_word_ends_the_same(account: Account, data: st.DataObject) -> None:
    before, after = data.draw(told(account)), data.draw(told(account))
    status = data.draw(st.sampled_from([Status.COMPLETED, Status.COMPLETED, *Status]))
    opened, late = data.draw(st.booleans()), data.draw(st.sampled_from([0.0, 5.0, 200.0]))
    first, second = Recording(account, opened=opened), Recording(account, opened=opened)
    for one in before:
        first.hear([one], 0)
    for batch in shuffled(data, before):
        second.hear(batch, 0)
    assert first.standing() == second.standing()
    for recording in (first, second):
        resolved(recording, status)
    assert first.standing() == second.standing()
    for one in after:
        first.hear([one], late)
    for batch in shuffled(data, after):
        second.hear(batch, late)
    assert first.standing() == second.standing()
    if (payment := first.payment).hold is not None:
        assert first.resolve(payment.id, payment.status).hold is None, "a person can always end it"
