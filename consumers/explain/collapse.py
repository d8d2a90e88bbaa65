"""Shorten a timeline: equal lines, or rounds of lines, become one line with a count, the first and the last time.

Only lines with equal keys are joined, so no change is hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

LONGEST_ROUND = 3
FEWEST_ROUNDS = 3


class TimelineLine(Struct, frozen=True, kw_only=True):
    """A line of the timeline, for something that happened `count` times from `at` to `last_at`.

    Lines with equal keys say the same. `claim_ids`: the claims that the line tells of, in order. `seconds`: how long
    the gateway took, at most; it is written between `before` and `after`.
    """

    at: datetime
    last_at: datetime
    kind: str
    before: str
    after: str = ""
    seconds: float | None = None
    count: int = 1
    key: tuple[object, ...] = ()
    claim_ids: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        took = ""
        if self.seconds is not None:
            took = f"{'after' if self.before else 'After'} {'at most ' if self.count > 1 else ''}{self.seconds:.3f} s"
        return f"{self.before}{took}{self.after}"


def timeline_line(at: datetime, kind: str, words: str, *key: object) -> TimelineLine:
    return TimelineLine(at=at, last_at=at, kind=kind, before=words, key=key or (kind, words))


def collapse_rounds(lines: Sequence[TimelineLine]) -> list[TimelineLine]:
    """The lines with repetitions joined: first of single lines, then of rounds of two and of three lines."""
    short = list(lines)
    for length in range(1, LONGEST_ROUND + 1):
        short = _put_together(short, length, 2 if length == 1 else FEWEST_ROUNDS)
    return short


def _put_together(lines: list[TimelineLine], length: int, fewest: int) -> list[TimelineLine]:
    done: list[TimelineLine] = []
    start = 0
    while start < len(lines):
        keys = [one.key for one in lines[start : start + length]]
        end = start + length
        while len(keys) == length and [one.key for one in lines[end : end + length]] == keys:
            end += length
        if (end - start) // length < fewest:
            done.append(lines[start])
            start += 1
            continue
        done += [_as_one(lines[first:end:length]) for first in range(start, start + length)]
        start = end
    return done


def _as_one(same: Sequence[TimelineLine]) -> TimelineLine:
    seconds = [one.seconds for one in same if one.seconds is not None]
    return replace(
        same[0],
        last_at=max(one.last_at for one in same),
        count=sum(one.count for one in same),
        seconds=max(seconds, default=None),
        claim_ids=tuple(claim_id for one in same for claim_id in one.claim_ids),
    )
