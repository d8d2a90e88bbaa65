"""Failures at the console's door slow down the next ones, in bounded memory; by a clock of the test."""

from __future__ import annotations

from worker.console import slowing
from worker.console.slowing import FORGET_SECONDS, FREE, REMEMBERED, Slowing


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_some_failures_are_free_and_then_the_wait_doubles_up_to_its_longest() -> None:
    clock = Clock()
    slow = Slowing(60.0, clock)
    waits = []
    for _ in range(FREE + 8):
        slow.failed("abida")
        waits.append(slow.wait("abida"))
        clock.now += waits[-1]
    assert waits == [0.0] * FREE + [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert slow.wait("omar") == 0.0


def test_a_day_of_guessing_tries_no_more_than_a_few_thousand() -> None:
    clock = Clock()
    slow, tries = Slowing(slowing.LONGEST_BY_NAME, clock), 0
    while clock.now < 86_400:
        if slow.wait("abida") > 0:
            clock.now += slow.wait("abida")
            continue
        slow.failed("abida")
        tries += 1
    assert tries < 1_500


def test_a_success_and_an_hour_of_peace_forget() -> None:
    clock = Clock()
    slow = Slowing(60.0, clock)
    for _ in range(FREE + 3):
        slow.failed("abida")
        slow.failed("omar")
    slow.succeeded("abida")
    assert slow.wait("abida") == 0.0
    clock.now += FORGET_SECONDS + 100
    slow.failed("omar")
    assert slow.wait("omar") == 0.0


def test_memory_is_bounded_whatever_names_are_tried() -> None:
    slow = Slowing(60.0, Clock())
    for number in range(REMEMBERED + 100):
        slow.failed(str(number))
    assert len(slow) == REMEMBERED
