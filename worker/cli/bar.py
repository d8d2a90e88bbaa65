"""A progress bar on stderr during long work; nothing where stderr is no terminal.

Rows of a file are read in a thread. A method that is called from there only changes what the bar shows, which rich
allows from any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.console import printable_line

EVERY = 1_000


class Bar:
    """For a statement it has three stretches: rows read, compared and followed up, added up. Others name theirs."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._rows = 0

    def reading(self, name: str, lines: int | None) -> None:
        """`lines` is about how many rows there are; None where that is unknown before the end."""
        self.stretch(f"reading {name}", lines)

    def stretch(self, words: str, total: int | None) -> None:
        """Begin anew. `total` is None where it is unknown before the end."""
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(_plain(words), total=total)

    def rows(self, count: int) -> None:
        self._progress.update(self._task, completed=count)

    def comparing(self) -> None:
        self.stretch("comparing with our payments, following up", None)

    def adding_up(self, rows: int) -> None:
        self.stretch("adding up", rows)

    def row(self) -> None:
        self._rows += 1
        if self._rows % EVERY == 0:
            self._progress.update(self._task, completed=self._rows)

    def stop(self) -> None:
        """Remove the bar. Call it before anything else is printed."""
        self._progress.stop()


@contextmanager
def bar(of: str = "rows") -> Iterator[Bar]:
    """Show a bar inside the block. `of` is the noun of the counted things."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(of),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress)


def _plain(words: str) -> str:
    from rich.text import Text

    return printable_line(Text(words)).plain
