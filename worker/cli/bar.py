"""A progress bar on stderr while a statement is worked on; nothing where stderr is no terminal.

The one thing to get wrong: threads. Rows of a file are read in one, so all that is called from there may only set
what the bar shows, which rich allows from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.cli.lines import printable

EVERY = 1_000


class Bar:
    """Three stretches: rows read, compared and followed up, added up."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._rows = 0

    def reading(self, name: str, lines: int | None) -> None:
        """`lines` is about how many rows there are; None where nobody can tell before the end."""
        self._show(f"reading {name}", lines)

    def rows(self, count: int) -> None:
        self._progress.update(self._task, completed=count)

    def comparing(self) -> None:
        self._show("comparing with our payments, following up", None)

    def adding_up(self, rows: int) -> None:
        self._show("adding up", rows)

    def row(self) -> None:
        self._rows += 1
        if self._rows % EVERY == 0:
            self._progress.update(self._task, completed=self._rows)

    def stop(self) -> None:
        """Before anything else is printed."""
        self._progress.stop()

    def _show(self, words: str, total: int | None) -> None:
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(_plain(words), total=total)


@contextmanager
def bar() -> Iterator[Bar]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress)


def _plain(words: str) -> str:
    from rich.text import Text

    return printable(Text(words)).plain
