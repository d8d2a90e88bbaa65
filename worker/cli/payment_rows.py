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
from rich.text import Text

from schemas.payments import Payment
from worker.cli.list_output import LISTED, ListOptions
from worker.terminal_text import lasted, print_whole, printable_line


def columns_of(listed: ListOptions) -> tuple[str, ...]:
    return "payment", listed.head("opened"), "account", "reference", "status", "hold", "amount"


def row_of(payment: Payment, listed: ListOptions) -> tuple[str, ...]:
    """A payment's cells under `columns_of`."""
    opened_at, amount = listed.time(payment.opened_at), f"{payment.amount:.2f} {payment.currency}"
    hold = payment.hold or ""
    return payment.id, opened_at, payment.account, payment.reference, payment.status.value, hold, amount


def print_rows(rows: list[tuple[str, ...]], columns: Sequence[str]) -> None:
    """A table. On a terminal too narrow for it, two lines for each payment, because nothing may be cut off."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name == "amount" else "left")
    for row in rows:
        table.add_row(*row)
    if print_whole(table):
        return
    console = Console(highlight=False)
    for payment_id, since, account, reference, status, hold, amount, *differs in rows:
        first = "  ".join(filter(None, (payment_id, status, amount, hold)))
        more = "".join(f"\n    {words}" for words in differs if words)
        console.print(f"{first}\n    {since}  {account}  {reference}{more}", markup=False, soft_wrap=True)


def print_page(page: PageWithSummary, listed: ListOptions) -> None:
    """A row for each payment, and a line with the sums of all that match."""
    print_rows([row_of(payment, listed) for payment in page.payments], columns_of(listed))
    sums = page.summary
    all_shown = "" if page.next is None else f", the newest {len(page.payments)} are shown"
    completed = f"{sums.completed_count} completed for {sums.completed_amount} BDT"
    count = f"{sums.count} of the newest payments looked at" if sums.capped else f"{sums.count} in all"
    print(f"{count}{all_shown}; {completed}, {sums.failed_count} failed")


if TYPE_CHECKING:
    from schemas.proposals import Proposal
    from worker.postgres.reads.held_list import HeldList
    from worker.postgres.reads.reading import PageWithSummary

_HELD_COLUMNS = (
    "payment",
    "held for",
    "account",
    "reference",
    "status",
    "hold",
    "amount",
    "what differs",
    "who has it",
)


def print_held(found: HeldList) -> None:
    """A row for each payment with what differs and who has it.

    Then a line for each reason with the money at stake, and the sum of all that match.
    """
    from consumers.explain.hold_words import TO_DO

    rows, work = [], found.work
    for held in work.held:
        payment_id, _, *rest = row_of(held.payment, LISTED)
        said = found.differences.get(payment_id, ""), _who_has(found.proposals.get(payment_id))
        cells = (printable_line(Text(words)).plain for words in said)
        rows.append((payment_id, lasted(work.now - held.since), *rest, *cells))
    print_rows(rows, _HELD_COLUMNS)
    total: dict[str, Decimal] = defaultdict(Decimal)
    for stake in work.stakes:
        total[stake.currency] += stake.amount
        print(f"{stake.hold}: {stake.count} for {stake.amount:.2f} {stake.currency}: {TO_DO[stake.hold]}")
    count = sum(stake.count for stake in work.stakes)
    shown = "" if count == len(work.held) else f", the oldest {len(work.held)} are shown"
    money = " and ".join(f"{amount:.2f} {currency}" for currency, amount in total.items()) or "nothing"
    print(f"{count} held{shown}; {money} at stake")


def _who_has(proposal: Proposal | None) -> str:
    """Who proposed to resolve a payment as what, and who approved it; empty where nobody did."""
    if proposal is None:
        return ""
    approved = f", {proposal.decided_by} approved" if proposal.state == "approved" else ""
    return f"{proposal.proposed_by} proposed {proposal.status}{approved}"
