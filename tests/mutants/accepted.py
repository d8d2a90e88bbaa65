"""The accepted survivors, each with its reason: `accepted.toml`.

mutmut numbers the mutants of a function, and a new line in front moves all numbers. So a survivor is named by its
function and by the lines that it changes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

FILE = Path(__file__).with_name("accepted.toml")


class Change(Struct, frozen=True, order=True):
    """The change of a mutant: which lines of which function it replaces, and by which, without their indentation."""

    module: str
    function: str
    was: tuple[str, ...]
    becomes: tuple[str, ...]

    def shown(self) -> str:
        lines = [f"{self.module}: {self.function}", *(f"  - {one}" for one in self.was)]
        return "\n".join([*lines, *(f"  + {one}" for one in self.becomes)])


class Accepted(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry; `was` and `becomes` are written as in the diff, lines separated by line ends."""

    module: str
    function: str
    was: str
    becomes: str
    reason: str

    @property
    def change(self) -> Change:
        return Change(self.module, self.function, lines_of(self.was), lines_of(self.becomes))


class File(Struct, frozen=True, forbid_unknown_fields=True):
    survivor: list[Accepted] = []


def accepted(path: Path = FILE) -> list[Accepted]:
    """Read the accepted survivors. Raises msgspec.ValidationError, and ValueError where a reason is missing."""
    entries = msgspec.convert(tomllib.loads(path.read_text("utf-8")), File).survivor
    for one in entries:
        if not one.reason.strip():
            raise ValueError(f"{one.change.shown()}\nis accepted without a reason")
    return entries


def unnamed(survivors: Collection[Change], entries: Sequence[Accepted]) -> list[Change]:
    """Survivors that are not accepted."""
    return sorted(set(survivors) - {one.change for one in entries})


def outlived(survivors: Collection[Change], entries: Sequence[Accepted], modules: Collection[str]) -> list[Change]:
    """The accepted entries in these modules that no longer survive, or no longer exist."""
    return sorted({one.change for one in entries if one.module in modules} - set(survivors))


def changed(module: str, function: str, diff: str) -> Change:
    """The change that a unified diff of one function makes."""
    body = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@", "#"))]
    was = [line[1:] for line in body if line.startswith("-")]
    becomes = [line[1:] for line in body if line.startswith("+")]
    return Change(module, function, lines_of("\n".join(was)), lines_of("\n".join(becomes)))


def lines_of(text: str) -> tuple[str, ...]:
    return tuple(stripped for line in text.splitlines() if (stripped := line.strip()))
