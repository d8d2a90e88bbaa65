"""`python -m tests.bench.workbook`: how long an XLSX statement takes to read, and how much memory its processes use.

A workbook is written first, ten columns wide with real dates and numbers. Its rows are then read as `payproof
reconcile` reads them, the workbook itself in a child process with limits.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from openpyxl import Workbook

from schemas.statements import Line, StatementMap
from tests.processes import directory
from worker.reconciliation.statements import open_statement, read_lines

ROWS = 200_000
HEADERS = ("Date", "Transaction ID", "Order", "Type", "Amount", "Fee", "Net", "Status", "Channel", "Remark")
COLUMNS = StatementMap(
    amount="Amount",
    transaction_id="Transaction ID",
    reference="Order",
    at="Date",
    fee="Fee",
    status="Status",
    completed=("Success",),
)
START = datetime(2026, 11, 1)


def write(path: Path, rows: int) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("November")
    sheet.append(HEADERS)
    for n in range(rows):
        amount = 100 + n % 90_000
        row = (START + timedelta(seconds=n), f"TX{n:08}", f"order-{n}", "sale", amount, amount / 50, amount * 0.98)
        sheet.append((*row, "Success", "bKash", "paid in full"))
    book.save(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workbook")
    parser.add_argument("--rows", type=int, default=ROWS)
    words = parser.parse_args()
    with directory() as place:
        path = place / "november.xlsx"
        began = time.monotonic()
        write(path, words.rows)
        size, made = path.stat().st_size / 2**20, time.monotonic() - began
        print(f"{words.rows:,} rows, {size:.0f} MB of XLSX made in {made:.0f} s")
        began = time.monotonic()
        read = sum(isinstance(one, Line) for one in read_lines(open_statement(path), COLUMNS))
        seconds = time.monotonic() - began
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{read:,} lines read in {seconds:.1f} s; the child that holds the workbook at most {child:.0f} MB")
    return 0 if read == words.rows else 1


if __name__ == "__main__":
    sys.exit(main())
