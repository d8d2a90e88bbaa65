"""Payments as a table, a row each.

The one thing to get wrong: cutting off. An id that is not whole is of no use to whoever copies it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from schemas.payments import Payment
from worker.console import print_whole

COLUMNS = ("payment", "opened (UTC)", "account", "reference", "status", "hold", "amount")


def row_of(payment: Payment) -> tuple[str, ...]:
    """A payment's cells under COLUMNS."""
    opened_at, amount = f"{payment.opened_at:%Y-%m-%d %H:%M:%S}", f"{payment.amount:.2f} {payment.currency}"
    hold = payment.hold or ""
    return payment.id, opened_at, payment.account, payment.reference, payment.status.value, hold, amount


def print_rows(rows: list[tuple[str, ...]], columns: Sequence[str] = COLUMNS) -> None:
    """A table; on a terminal too narrow for it two lines for each payment, because nothing may be cut off."""
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
