"""The rules of pace, apart from everything that is paced."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consumers.checks import limits
from consumers.pacing import TokenBucket
from consumers.ports.call_limits import AccountLimits
from tests.fakes.clock import NOON
from tests.refills import BURST_SECONDS, REFILLS, Refill
from worker.ingress.rate_limits import TokenBuckets


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
    assert not buckets.take("a"), "half a token is none"
    now = 2.0
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    assert buckets.take("b")
    now = 0.0
    assert [buckets.take("b") for _ in range(2)] == [True, False], "a clock that was set back takes none away"
