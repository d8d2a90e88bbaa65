"""Problems of a configuration: all at once, each with its path, and never a value.

A message may name keys, files and variables. It never repeats a configured value: a secret that was pasted into the
wrong field would be printed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from msgspec import Struct


class ConfigProblem(Struct, frozen=True):
    """`path` is a place in the file such as `merchants[0].id`, a variable such as `PAYPROOF_LISTEN`, or the file."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has at least one entry and holds no secret."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def suggestion(wrong: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?` where a known word is close to the wrong one; else nothing."""
    close = get_close_matches(wrong.lower(), list(known), n=1, cutoff=0.6) if isinstance(wrong, str) else []
    return f'; did you mean "{close[0]}"?' if close else ""
