"""The rules of pace, without the parts that are paced."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consumers.checks import limits
from consumers.pacing import Backoff, CircuitBreaker, TokenBucket
from consumers.ports.call_limits import AccountLimits
from consumers.webhook_policy import ENDPOINT_BREAKER
from tests.fakes.clock import NOON
from tests.refills import BURST_SECONDS, REFILLS, Refill
from worker.amqp.link import RECONNECT
from worker.ingress.rate_limits import TokenBuckets
from worker.reconciliation.gateway_list import RETRY
from worker.verify.sweep import LOOK_AGAIN

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("case", REFILLS, ids=lambda case: case.what)
def test_a_bucket_refills_by_its_rate_up_to_its_burst(case: Refill) -> None:
    assert TokenBucket.of_seconds(case.rate, BURST_SECONDS).refill(case.tokens, case.seconds) == case.become


@pytest.mark.parametrize("case", REFILLS, ids=lambda case: case.what)
def test_the_budget_of_an_account_refills_by_the_same_rule(case: Refill) -> None:
    assert limits.BURST_SECONDS == BURST_SECONDS
    before = AccountLimits(account="a", calls=case.tokens, at=NOON)
    assert limits.refilled(before, case.rate, NOON + timedelta(seconds=case.seconds)).calls == case.become


def test_the_limit_of_an_address_refills_by_the_same_rule() -> None:
    now = 0.0
    buckets = TokenBuckets(burst=2, per_second=0.5, clock=lambda: now)
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
    now = 1.0
    assert not buckets.take("a"), "half a token is no token"
    now = 2.0
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    assert buckets.take("b")
    now = 0.0
    assert [buckets.take("b") for _ in range(2)] == [True, False], "a clock that was set back takes none away"


def test_a_bucket_that_is_full_again_takes_no_memory() -> None:
    now = 0.0
    buckets = TokenBuckets(burst=2, per_second=0.5, clock=lambda: now)
    for number in range(1000):
        buckets.take(str(number))
        now += 1.0
    assert len(buckets) == 2, "a token comes back within two seconds"
    now += 1.0
    assert [buckets.take("999") for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        (RECONNECT, [0.1, 0.2, 0.4, 0.8, 1.6, 3, 3]),
        (RETRY, [1, 2, 4, 8, 16, 32, 64, 120, 120]),
        (LOOK_AGAIN, [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 1]),
        (limits.ACCOUNT_BREAKER.pauses, [1, 2, 4, 8, 16, 30, 30]),
        (ENDPOINT_BREAKER.pauses, [30, 60, 120, 240, 480, 600, 600]),
        (Backoff(SECOND, 4 * SECOND), [1, 2, 4, 4]),
        (Backoff(SECOND, SECOND), [1, 1]),
    ],
    ids=["reconnect", "list", "sweep", "account", "endpoint", "whole doublings", "always the same"],
)
def test_a_pause_doubles_up_to_the_longest(backoff: Backoff, seconds: list[float]) -> None:
    assert [backoff.pause(failures) for failures in range(len(seconds))] == [one * SECOND for one in seconds]


def test_an_outage_of_years_is_waited_out_like_a_long_one() -> None:
    assert RECONNECT.pause(10**9) == RECONNECT.longest


def test_a_breaker_opens_at_its_threshold_and_for_longer_with_each_failure_after_it() -> None:
    breaker = CircuitBreaker(3, Backoff(SECOND, 5 * SECOND))
    opened = [breaker.open_until(failures, NOON, timedelta()) for failures in range(8)]
    assert opened == [None, None, None, *(NOON + seconds * SECOND for seconds in (1, 2, 4, 5, 5))]
    assert [breaker.tripped(failures) for failures in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize(("wanted", "seconds"), [(0, 2), (1, 2), (3, 3), (5, 5), (3600, 5)])
def test_a_pause_that_is_asked_for_counts_where_it_is_longer_and_within_the_longest(wanted: int, seconds: int) -> None:
    breaker = CircuitBreaker(3, Backoff(SECOND, 5 * SECOND))
    assert breaker.open_until(4, NOON, wanted * SECOND) == NOON + seconds * SECOND
    assert breaker.open_until(2, NOON, wanted * SECOND) is None
