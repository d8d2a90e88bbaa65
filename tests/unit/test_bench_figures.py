"""The figures that `payproof bench` makes of its payments: nothing slow is left out, nothing is rounded away."""

from __future__ import annotations

import pytest

from worker.playground.bench.figures import Ended, add_up, percentile


@pytest.mark.parametrize(
    ("values", "share", "is_"),
    [
        ([7.0], 0.5, 7.0),
        ([7.0], 0.999, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.999, 100.0),
        ([float(n) for n in range(1, 1001)], 0.999, 999.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, is_: float) -> None:
    assert percentile(values, share) == is_


def test_what_went_wrong_is_counted_by_its_reason_and_has_no_latency() -> None:
    figures = add_up(
        [
            Ended(sent_at=10.0, accepted_at=10.1, told_at=10.3),
            Ended(sent_at=10.5, accepted_at=10.6, why="no event"),
            Ended(sent_at=11.0, why="HTTP 429"),
            Ended(sent_at=11.5, why="HTTP 429"),
        ],
        seconds=2.0,
    )
    assert (figures.payments, figures.accepted, figures.accepted_per_second) == (4, 2, 1.0)
    assert figures.latencies == pytest.approx([0.3])
    assert figures.failures == {"HTTP 429": 2, "no event": 1}


def test_callbacks_that_are_answered_late_are_no_higher_rate() -> None:
    late = [Ended(sent_at=float(n), accepted_at=9.0, told_at=9.0) for n in range(2)]
    assert add_up(late, seconds=2.0).accepted_per_second == pytest.approx(2 / 9)


def test_an_event_that_the_sweep_brought_about_before_the_callback_took_no_time() -> None:
    assert add_up([Ended(sent_at=2.0, accepted_at=2.1, told_at=1.9)], seconds=1.0).latencies == [0.0]
