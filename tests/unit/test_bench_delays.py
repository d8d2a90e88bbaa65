"""The delays of the benchmark's gateways: spread as real gateways' times are, and the same for a payment each time."""

from __future__ import annotations

import pytest

from tests.bench.delays import AT_ONCE, SPREAD, Delays, fixed
from tests.bench.hearing import Hearing
from tests.bench.latency import beyond

NUMBERS = range(1, 5_001)


def test_delays_lie_between_their_ends_and_half_of_them_below_the_geometric_mean() -> None:
    drawn = sorted(SPREAD.of(n) for n in NUMBERS)
    assert 0.2 <= drawn[0] < 0.21
    assert 4.8 < drawn[-1] <= 5.0
    assert drawn[len(drawn) // 2] == pytest.approx(1.0, abs=0.1)


def test_a_payment_has_the_same_delay_each_time_and_another_with_another_seed() -> None:
    again = Delays(least=0.2, most=5.0, seed=SPREAD.seed)
    other = Delays(least=0.2, most=5.0, seed=SPREAD.seed + 1)
    assert [SPREAD.of(n) for n in NUMBERS] == [again.of(n) for n in NUMBERS] != [other.of(n) for n in NUMBERS]


def test_a_fixed_delay_is_everybodys() -> None:
    assert {fixed(0.05).of(n) for n in NUMBERS} == {0.05}
    assert AT_ONCE.of(1) == 0.0


def test_what_its_own_gateway_took_is_taken_from_each_payments_time() -> None:
    heard = Hearing()
    heard.at = {n: 100.0 + SPREAD.of(n) + 0.02 for n in NUMBERS}
    told = beyond(dict.fromkeys(NUMBERS, 100.0), heard, SPREAD)
    assert list(told.values()) == pytest.approx([20.0] * len(NUMBERS))
