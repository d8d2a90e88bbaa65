"""The model of how payproof scales: which limit is reached first, and what moves it."""

from __future__ import annotations

import pytest

from tests.bench.scaling_model import PaymentCost, limits, predicted

COST = PaymentCost(consume=0.0005, postgres=0.0003, rabbitmq=0.0001, rest=0.0001, syncs=0.25, wal=7_000.0)


@pytest.mark.parametrize(
    ("cores", "consumers", "sync_seconds", "name", "rate"),
    [
        (1.0, 1, 0.0, "the machine", 1_000.0),
        (16.0, 1, 0.0, "consume", 2_000.0),
        (16.0, 2, 0.0, "consume", 4_000.0),
        (16.0, 1, 0.02, "the disk", 200.0),
        (16.0, 2, 0.02, "the disk", 400.0),
        (16.0, 64, 0.0, "the machine", 16_000.0),
    ],
)
def test_the_smallest_limit_is_reached_first(
    cores: float, consumers: int, sync_seconds: float, name: str, rate: float
) -> None:
    found = predicted(COST, cores=cores, consumers=consumers, sync_seconds=sync_seconds)
    assert (found.name, found.per_second) == (name, pytest.approx(rate))


def test_every_limit_is_told_and_the_smallest_is_first() -> None:
    found = limits(COST, cores=4.0, consumers=1, sync_seconds=0.02)
    assert [one.name for one in found] == ["the disk", "consume", "the machine"]


def test_a_disk_that_takes_no_time_is_no_limit() -> None:
    assert limits(COST, cores=2.0, consumers=1, sync_seconds=0.0)[-1].per_second == float("inf")
