"""What Postgres says of a command that has run: its command tag."""

from __future__ import annotations


def rows_changed(tag: str) -> int:
    """How many rows a command changed, by its tag: `DELETE 7`, `INSERT 0 7`."""
    return int(tag.rsplit(maxsplit=1)[-1])
