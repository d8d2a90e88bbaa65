"""Runs over statements as a table, a row each; two lines each on a terminal that is too narrow for it.

A file's name is a stranger's text, so unprintable characters are replaced.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.report import Run
from schemas.statements import LineOutcome
from worker.console import print_whole, printable_line

COLUMNS = ("run", "at (UTC)", "account", "statement", "rows", "not matched", "how")
_FINE = (LineOutcome.MATCHED, LineOutcome.DUPLICATE)


def print_runs(runs: Sequence[Run]) -> None:
    if not runs:
        print("no statement was reconciled yet")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name in ("rows", "not matched") else "left")
    for run in runs:
        table.add_row(*(printable_line(Text(cell)) for cell in run_cells(run)))
    if print_whole(table):
        return
    console = Console(highlight=False)
    for run in runs:
        run_id, at, account, source, rows, differing, how = (
            printable_line(Text(cell)).plain for cell in run_cells(run)
        )
        line = f"{run_id}  {differing} of {rows} not matched\n    {at}  {account}  {source}  {how}"
        console.print(line.rstrip(), markup=False, soft_wrap=True)


def run_cells(run: Run) -> tuple[str, ...]:
    counts = run.counts
    rows, differing = sum(counts.values()), sum(count for one, count in counts.items() if one not in _FINE)
    return (
        run.id,
        f"{run.started_at:%Y-%m-%d %H:%M:%S}",
        run.account,
        run.source,
        f"{rows:,}",
        f"{differing:,}",
        how(run),
    )


def how(run: Run) -> str:
    """A note on the run beside its figures; empty where it was followed up to its end."""
    if run.dry_run:
        return "dry run"
    if run.stopped is not None:
        return "stopped"
    return "" if run.finished_at else "not finished"
