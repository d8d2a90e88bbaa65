"""A progress bar on stderr while something long is worked on; nothing where stderr is no terminal.

The one thing to get wrong: threads. Rows of a file are read in one, so all that is called from there may only set
what the bar shows, which rich allows from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.console import printable_line

EVERY = 1_000


class Bar:
    """A statement has three stretches: rows read, compared and followed up, added up; others name their own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._rows = 0

    def reading(self, name: str, lines: int | None) -> None:
        """`lines` is about how many rows there are; None where nobody can tell before the end."""
        self.stretch(f"reading {name}", lines)

    def stretch(self, words: str, total: int | None) -> None:
        """Begin anew; `total` is None where nobody can tell before the end."""
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
        """Before anything else is printed."""
        self._progress.stop()


@contextmanager
def bar(of: str = "rows") -> Iterator[Bar]:
    """`of` is what is counted."""
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
