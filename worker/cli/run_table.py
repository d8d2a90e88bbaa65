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
from worker.cli.list_output import ListOptions, Record
from worker.terminal_text import print_whole, printable_line

HEADS = ("run", "at", "account", "statement", "rows", "not matched", "how")
RUN_COLUMNS = (
    *("id", "account", "source", "started_at", "finished_at", "since", "until", "dry_run", "stopped", "rows"),
    *("not_matched", "counts"),
)
_FINE = (LineOutcome.MATCHED, LineOutcome.DUPLICATE)


def print_runs(runs: Sequence[Run], listed: ListOptions) -> None:
    if not runs:
        print("no statement was reconciled yet")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in HEADS:
        head = listed.head(name) if name == "at" else name
        table.add_column(head, no_wrap=True, justify="right" if name in ("rows", "not matched") else "left")
    for run in runs:
        table.add_row(*(printable_line(Text(cell)) for cell in run_cells(run, listed)))
    if print_whole(table):
        return
    console = Console(highlight=False)
    for run in runs:
        run_id, at, account, source, rows, differing, how = (
            printable_line(Text(cell)).plain for cell in run_cells(run, listed)
        )
        line = f"{run_id}  {differing} of {rows} not matched\n    {at}  {account}  {source}  {how}"
        console.print(line.rstrip(), markup=False, soft_wrap=True)


def run_record(run: Run) -> Record:
    """The run under RUN_COLUMNS; `counts` has its rows by their outcome."""
    rows, differing = _counted(run)
    named = {name: getattr(run, name) for name in RUN_COLUMNS if name not in ("rows", "not_matched")}
    return named | {"rows": rows, "not_matched": differing}


def _counted(run: Run) -> tuple[int, int]:
    """How many rows the run has, and how many of them are not matched."""
    return sum(run.counts.values()), sum(count for one, count in run.counts.items() if one not in _FINE)


def run_cells(run: Run, listed: ListOptions) -> tuple[str, ...]:
    rows, differing = _counted(run)
    return (
        run.id,
        listed.time(run.started_at),
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
