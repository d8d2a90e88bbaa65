"""Which lines of an explanation are combined, and the text of the line that stands for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from consumers.explain.collapse import TimelineLine, collapse_rounds, timeline_line
from tests.fakes.clock import NOON


def said(words: Sequence[str]) -> list[TimelineLine]:
    return [timeline_line(NOON + timedelta(seconds=at), "answer", word) for at, word in enumerate(words)]


@pytest.mark.parametrize(
    ("story", "short"),
    [
        ("aa", ["2a"]),
        ("abab", ["1a", "1b", "1a", "1b"]),
        ("ababab", ["3a", "3b"]),
        ("abcabcabc", ["3a", "3b", "3c"]),
        ("abcdabcdabcd", [*["1a", "1b", "1c", "1d", "1a", "1b", "1c", "1d", "1a", "1b", "1c", "1d"]]),
    ],
)
def test_a_line_twice_is_one_and_so_are_three_rounds_of_at_most_three(story: str, short: list[str]) -> None:
    assert [f"{one.count}{one.words}" for one in collapse_rounds(said(story))] == short


def test_one_line_for_many_tells_first_and_last_and_how_long_the_slowest_took() -> None:
    took = [replace(one, seconds=seconds) for one, seconds in zip(said("aaa"), (0.1, 0.3, None), strict=True)]
    (one,) = collapse_rounds(took)
    assert (one.at, one.last_at, one.count, one.seconds) == (NOON, NOON + timedelta(seconds=2), 3, 0.3)
    assert (one.kind, one.words) == ("answer", "aafter at most 0.300 s")
