"""The work list: what is held, the oldest first, what it comes to by reason, and what to do about each reason."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from worker.cli.rows import print_rows, row_of
from worker.console import lasted

if TYPE_CHECKING:
    from worker.postgres.reads.work_list import Work

COLUMNS = ("payment", "held for", "account", "reference", "status", "hold", "amount")


def print_work(work: Work) -> None:
    """A row for each payment; a line for each reason with the money at stake; the sum of all that match."""
    from consumers.explain.evidence import TO_DO

    rows = []
    for held in work.held:
        payment_id, _, *rest = row_of(held.payment)
        rows.append((payment_id, lasted(work.now - held.since), *rest))
    print_rows(rows, COLUMNS)
    total: dict[str, Decimal] = defaultdict(Decimal)
    for stake in work.stakes:
        total[stake.currency] += stake.amount
        print(f"{stake.hold}: {stake.count} for {stake.amount:.2f} {stake.currency}: {TO_DO[stake.hold]}")
    count = sum(stake.count for stake in work.stakes)
    shown = "" if count == len(work.held) else f", the oldest {len(work.held)} are shown"
    money = " and ".join(f"{amount:.2f} {currency}" for currency, amount in total.items()) or "nothing"
    print(f"{count} held{shown}; {money} at stake")
