"""The slopes and bounds of `deploy/dev soak`: a leak made on purpose is found, and noise is not taken for one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.fault.bounds import FULL, MB, SHORT, beyond
from tests.fault.sampling import Held, Sample
from tests.fault.slopes import Slope, after_warm_up, slope

MINUTES = 90


def sampled(minute: int, **changed: Any) -> Sample:
    """A sample of a healthy fleet: its tables and its WAL grow by the same bytes for each payment."""
    payments = 600 * minute
    usual: dict[str, Any] = {
        "at": 60.0 * minute,
        "payments": payments,
        "memory": {"ingress": 60.0 * MB, "rabbitmq": 200.0 * MB},
        "handles": {"ingress": 20.0},
        "connections": {"postgres": 30.0},
        "cpu": {"ingress": 1.0},
        "tables": {"payments": Held(bytes=4_000 * payments, index_bytes=2_000 * payments, live=payments, dead=50)},
        "wal": 10_000 * payments,
        "queued": 0.0,
    }
    return Sample(**usual | changed)


def test_a_straight_line_has_its_slope_and_no_error() -> None:
    found = slope([(60.0 * minute, 5.0 + minute) for minute in range(10)])
    assert found.per_hour == pytest.approx(60.0)
    assert found.error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("points", [[], [(0.0, 1.0), (1.0, 9.0)], [(5.0, 1.0), (5.0, 2.0), (5.0, 3.0)]])
def test_too_few_points_are_no_slope(points: list[tuple[float, float]]) -> None:
    assert not slope(points).exceeds(0.0)


def test_noise_does_not_rise_beyond_doubt() -> None:
    rng = random.Random(7)
    noise = [(60.0 * minute, rng.gauss(60.0, 5.0)) for minute in range(MINUTES)]
    assert not slope(noise).exceeds(1.0)


def test_a_slope_counts_only_beyond_its_error() -> None:
    assert Slope(20.0, 1.0).exceeds(16.0)
    assert not Slope(20.0, 2.0).exceeds(16.0)


def test_the_warm_up_is_a_share_of_the_time() -> None:
    assert after_warm_up([(0.0, 1.0), (10.0, 2.0), (20.0, 3.0), (30.0, 4.0)], 0.5) == [(20.0, 3.0), (30.0, 4.0)]
    assert after_warm_up([], 0.5) == []


def test_a_healthy_fleet_breaks_no_bound() -> None:
    assert beyond([sampled(minute) for minute in range(MINUTES)], FULL) == []


def test_growth_of_the_warm_up_is_no_leak() -> None:
    grown = [sampled(minute, memory={"ingress": min(minute, 20) * 5.0 * MB, "rabbitmq": 1.0}) for minute in range(90)]
    assert beyond(grown, FULL) == []


@pytest.mark.parametrize(
    ("leak", "named"),
    [
        (lambda n: {"memory": {"ingress": (60 + n / 2 + n % 3) * MB, "rabbitmq": 1.0}}, "memory of ingress"),
        (lambda n: {"handles": {"ingress": 20.0 + n // 5 + n % 2}}, "handles of ingress"),
        (lambda n: {"connections": {"postgres": 30.0 + n // 4}}, "connections of postgres"),
        (lambda n: {"memory": {"ingress": 1.0, "rabbitmq": n * 20.0 * MB}}, "memory of rabbitmq"),
        (lambda n: {"tables": {"queue": Held(bytes=n, index_bytes=n, live=9, dead=200 * n)}}, "dead rows of queue"),
        (lambda n: {"wal": 10 * n**4}, "wal"),
        (lambda n: {"tables": {"events": Held(bytes=0, index_bytes=n**4, live=1, dead=0)}}, "indexes"),
    ],
)
def test_a_leak_made_on_purpose_is_found_and_named(leak: Any, named: str) -> None:
    found = beyond([sampled(minute, **leak(minute)) for minute in range(MINUTES)], FULL)
    assert found
    assert all(one.startswith(named) for one in found), found


def test_a_leak_that_slows_down_with_the_load_is_found() -> None:
    """As the first soak saw it: from 52 to 75 MB in twelve minutes, half of it before the machine became busy."""
    memory = [52, 54, 57, 60, 62, 64, 67, 71, 73, 73, 74, 74, 75]
    samples = [sampled(n, memory={"sweep": held * MB, "rabbitmq": 1.0}) for n, held in enumerate(memory)]
    assert {one.split(":")[0] for one in beyond(samples, FULL)} == {"memory of sweep"}


def test_more_buyers_at_the_end_of_a_minute_are_no_leak_and_a_handle_a_payment_is() -> None:
    def minute(handles: list[float]) -> list[Sample]:
        return [sampled(0, at=2.5 * n, handles={"ingress": held}) for n, held in enumerate(handles)]

    busier = [*(60.0 + n % 2 for n in range(14)), *(60.0 + 2.6 * n for n in range(10))]
    leaking = [60.0 + 20 * n + n % 2 for n in range(24)]
    assert beyond(minute(busier), SHORT) == []
    assert [one.split(":")[0] for one in beyond(minute(leaking), SHORT)] == ["handles of ingress"]


def test_too_few_payments_say_nothing_about_the_bytes_of_one() -> None:
    assert beyond([sampled(minute, payments=minute, wal=10 * minute**4) for minute in range(MINUTES)], FULL) == []
