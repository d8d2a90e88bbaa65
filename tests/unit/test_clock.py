"""The database's clock between two readings, on a machine whose own clocks cannot be trusted."""

from __future__ import annotations

from datetime import timedelta

from tests.fakes.clock import NOON
from worker.runtime.clock import DatabaseClock


class Ticks:
    def __init__(self) -> None:
        self.value = 100.0

    def __call__(self) -> float:
        return self.value


def read(ticks: Ticks) -> DatabaseClock:
    clock = DatabaseClock(ticks)
    clock.set(NOON, asked=100.0, answered=100.0)
    return clock


def test_it_goes_on_with_the_ticks_which_count_the_sleep_of_a_machine() -> None:
    clock = read(ticks := Ticks())
    ticks.value += 3600
    assert clock.now() == NOON + timedelta(hours=1)


def test_what_the_database_told_meanwhile_puts_right_what_cannot_be_by_as_little_as_it_takes() -> None:
    for told, now in ((60, 60), (-60, -57), (2, 3), (0, 3), (3, 3)):
        clock = read(ticks := Ticks())
        ticks.value += 3
        clock.check(NOON + timedelta(seconds=told), asked=100.0, answered=103.0)
        assert clock.now() == NOON + timedelta(seconds=now), told
