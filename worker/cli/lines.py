"""Printing a head and words beside it: wrapped beneath themselves on a terminal, one line each in a pipe, for grep."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_line(console: Console, head: Text, words: Text, *, width: int) -> None:
    """Print one line; `width` is that of the heads."""
    if not console.is_terminal:
        head.pad_right(width - head.cell_len)
        console.print(Text.assemble(head, "  ", words), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=width, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, words)
    console.print(grid)
