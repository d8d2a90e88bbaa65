"""Payments as a table, a row each; and the work list of the held ones, with what to do about each reason.

An id is never cut off: a part of it cannot be copied and used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from schemas.payments import Payment
from worker.console import lasted, print_whole

COLUMNS = ("payment", "opened (UTC)", "account", "reference", "status", "hold", "amount")


def row_of(payment: Payment) -> tuple[str, ...]:
    """A payment's cells under COLUMNS."""
    opened_at, amount = f"{payment.opened_at:%Y-%m-%d %H:%M:%S}", f"{payment.amount:.2f} {payment.currency}"
    hold = payment.hold or ""
    return payment.id, opened_at, payment.account, payment.reference, payment.status.value, hold, amount


def print_rows(rows: list[tuple[str, ...]], columns: Sequence[str] = COLUMNS) -> None:
    """A table. On a terminal too narrow for it, two lines for each payment, because nothing may be cut off."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name == "amount" else "left")
    for row in rows:
        table.add_row(*row)
    if print_whole(table):
        return
    console = Console(highlight=False)
    for payment_id, since, account, reference, status, hold, amount in rows:
        first = "  ".join(filter(None, (payment_id, status, amount, hold)))
        console.print(f"{first}\n    {since}  {account}  {reference}", markup=False, soft_wrap=True)


if TYPE_CHECKING:
    from worker.postgres.reads.work_list import WorkList

_WORK_COLUMNS = ("payment", "held for", "account", "reference", "status", "hold", "amount")


def print_work(work: WorkList) -> None:
    """A row for each payment; a line for each reason with the money at stake; the sum of all that match."""
    from consumers.explain.hold_words import TO_DO

    rows = []
    for held in work.held:
        payment_id, _, *rest = row_of(held.payment)
        rows.append((payment_id, lasted(work.now - held.since), *rest))
    print_rows(rows, _WORK_COLUMNS)
    total: dict[str, Decimal] = defaultdict(Decimal)
    for stake in work.stakes:
        total[stake.currency] += stake.amount
        print(f"{stake.hold}: {stake.count} for {stake.amount:.2f} {stake.currency}: {TO_DO[stake.hold]}")
    count = sum(stake.count for stake in work.stakes)
    shown = "" if count == len(work.held) else f", the oldest {len(work.held)} are shown"
    money = " and ".join(f"{amount:.2f} {currency}" for currency, amount in total.items()) or "nothing"
    print(f"{count} held{shown}; {money} at stake")
