"""Where a look for open rows begins, and that it begins at the start again and again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.clock import NOON
from worker.postgres.watermark import LATE, START, WHOLE_SECONDS, Watermark


@pytest.fixture
def ticks() -> list[float]:
    """Seconds since the watermark was made, the last of the list now."""
    return [0.0]


@pytest.fixture
def mark(ticks: list[float]) -> Watermark:
    return Watermark(lambda: ticks[-1])


def test_a_look_begins_a_little_before_the_oldest_row_that_the_last_one_saw(mark: Watermark) -> None:
    assert mark.bound(NOON) == START
    mark.saw(START, NOON - timedelta(minutes=3), NOON)
    assert mark.bound(NOON) == NOON - timedelta(minutes=3) - LATE
    mark.saw(mark.bound(NOON), None, NOON + timedelta(seconds=1))
    assert mark.bound(NOON + timedelta(seconds=2)) == NOON + timedelta(seconds=1) - LATE


def test_it_begins_at_the_start_again_and_again(mark: Watermark, ticks: list[float]) -> None:
    mark.saw(mark.bound(NOON), None, NOON)
    ticks.append(WHOLE_SECONDS - 1)
    bound = mark.bound(NOON)
    assert bound == NOON - LATE
    mark.saw(bound, None, NOON)
    ticks.append(WHOLE_SECONDS)
    assert mark.bound(NOON) == START
    assert mark.near(NOON) == NOON - LATE
    ticks.append(WHOLE_SECONDS + 5)
    assert mark.bound(NOON) == START, "until such a look was made: the database may have been away"


def test_a_mark_is_never_later_than_its_look_nor_the_clock(mark: Watermark) -> None:
    mark.saw(START, NOON + timedelta(hours=1), NOON)
    assert mark.bound(NOON) == NOON - LATE
    assert mark.bound(NOON - timedelta(hours=1)) == NOON - timedelta(hours=1) - LATE


def test_a_row_that_is_due_at_a_time_long_past_is_seen_by_the_next_look(mark: Watermark) -> None:
    mark.saw(START, None, NOON)
    mark.lower(NOON - timedelta(minutes=2))
    mark.lower(NOON - timedelta(minutes=3))
    mark.lower(NOON - timedelta(minutes=1))
    for _ in range(2):  # also after a look that failed
        assert mark.near(NOON) == mark.bound(NOON) == NOON - timedelta(minutes=3) - LATE
    mark.saw(mark.bound(NOON), None, NOON)
    assert mark.bound(NOON) == NOON - LATE


def test_a_row_that_becomes_due_during_a_look_is_seen_by_the_next(mark: Watermark) -> None:
    bound = mark.bound(NOON)
    mark.lower(NOON - timedelta(minutes=1))
    mark.saw(bound, None, NOON)
    assert mark.near(NOON) == mark.bound(NOON) == NOON - timedelta(minutes=1) - LATE


def test_a_look_from_the_start_that_takes_too_long_is_put_off(mark: Watermark, ticks: list[float]) -> None:
    mark.skip(NOON)
    assert mark.bound(NOON) == NOON - LATE
    ticks.append(WHOLE_SECONDS)
    assert mark.bound(NOON) == START
