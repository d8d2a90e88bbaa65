"""Printing a head and words beside it: words wrap beneath themselves on a terminal, and stay on one line in a pipe.

An id or a status word may come from a stranger and hold the codes that move a terminal's cursor. So only printable
characters are printed here.
"""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_JOINERS = "\u200c\u200d"  # Bangla is written with them
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def print_line(console: Console, head: Text, words: Text, *, width: int) -> None:
    """Print one line: the head, padded to `width`, and the words beside it."""
    head, words = printable_line(head), printable_line(words)
    if not console.is_terminal:
        head.pad_right(width - head.cell_len)
        console.print(Text.assemble(head, "  ", words), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=width, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, words)
    console.print(grid)


def print_whole(table: Table) -> bool:
    """Print a table at its full width. Returns False, and prints nothing, where the terminal is too narrow for it."""
    console = Console(highlight=False)
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if needed > console.width and console.is_terminal:
        return False
    Console(width=max(needed, console.width), highlight=False).print(table)
    return True


def agreed(question: str) -> bool:
    """Ask the person at the terminal. Nothing but yes is a yes."""
    try:
        said = input(f"{question} [y/N] ")
    except EOFError:
        return False
    return said.strip().lower() in {"y", "yes"}


def printable_line(text: Text) -> Text:
    """The text on one line, with its styles.

    Each unprintable character becomes U+FFFD, or a space where it is white space.
    """
    clean = text.copy()
    clean.plain = printable(text.plain)
    return clean


def printable(text: str) -> str:
    """The text on one line, as `printable_line` makes it."""
    return "".join(_sign(sign) for sign in text)


def _sign(sign: str) -> str:
    if sign.isprintable() or sign in _JOINERS:
        return sign
    return " " if sign.isspace() else "\ufffd"


def lasted(time: timedelta) -> str:
    """A duration in its two greatest units: `3 d 4 h`, `12 min`, `0 s`. A negative one is `0 s`."""
    left = max(0, int(time.total_seconds()))
    for place, (seconds, unit) in enumerate(_UNITS):
        if left >= seconds:
            finer = _UNITS[place + 1 : place + 2]
            rest = [f"{left % seconds // small} {name}" for small, name in finer if left % seconds >= small]
            return " ".join([f"{left // seconds} {unit}", *(rest if unit != "min" else [])])
    return "0 s"
