"""When an event is sent again, when it is given up, and when its endpoint rests."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.timing import TIMING
from consumers.webhook_policy import (
    DELAYS,
    ENDPOINT_BREAKER,
    LONGEST_WAIT,
    RETRY_JITTER,
    AttemptResponse,
    Delivered,
    GivenUp,
    Gone,
    Health,
    Retry,
    capacity,
    next_health,
    outcome,
    retry_after,
)
from tests.fakes.clock import NOON

SECOND = timedelta(seconds=1)
STATUSES = st.integers(100, 599)
CHANCES = st.floats(0, 1, exclude_max=True)
FAILED = AttemptResponse(status=500)
STEPS = st.integers(0, len(DELAYS) - 1)


def failures(health: Health, count: int, *, probe: bool = False, response: AttemptResponse = FAILED) -> Health:
    for _ in range(count):
        health = next_health(health, response, Retry(NOON), NOON, probe=probe)
    return health


def test_the_whole_schedule_is_longer_than_three_days() -> None:
    assert sum(DELAYS, timedelta(0)) > timedelta(days=4)
    assert len(DELAYS) + 1 == 11


def test_a_delivery_that_is_being_sent_is_not_hurried_and_not_sent_by_two() -> None:
    assert timedelta(seconds=15) < TIMING.delivery_lease < TIMING.expedite_spread


@given(status=STATUSES, step=st.integers(0, 20), chance=CHANCES)
@example(status=199, step=0, chance=0.0)
@example(status=200, step=0, chance=0.0)
@example(status=299, step=0, chance=0.0)
@example(status=300, step=0, chance=0.0)
def test_any_2xx_is_delivered_410_disables_and_everything_else_is_a_failure(
    status: int, step: int, chance: float
) -> None:
    became = outcome(AttemptResponse(status=status), step, NOON, chance)
    if 200 <= status < 300:
        assert became == Delivered()
    elif status == 410:
        assert became == Gone()
    elif step < len(DELAYS):
        assert isinstance(became, Retry)
    else:
        assert became == GivenUp()


@given(step=STEPS, chance=CHANCES)
def test_a_wait_is_never_shorter_than_planned_and_a_tenth_longer_at_most(step: int, chance: float) -> None:
    became = outcome(AttemptResponse(trouble="no answer"), step, NOON, chance)
    assert isinstance(became, Retry)
    assert DELAYS[step] <= became.at - NOON <= DELAYS[step] * (1 + RETRY_JITTER)


@given(step=STEPS, seconds=st.integers(0, 10**9), chance=CHANCES)
def test_retry_after_lengthens_a_wait_to_a_day_at_most_and_shortens_none(
    step: int, seconds: int, chance: float
) -> None:
    response = AttemptResponse(status=503, retry_after=timedelta(seconds=seconds))
    became = outcome(response, step, NOON, chance)
    assert isinstance(became, Retry)
    assert became.at - NOON >= max(DELAYS[step], min(timedelta(seconds=seconds), LONGEST_WAIT))
    assert became.at - NOON <= max(DELAYS[step], LONGEST_WAIT) * (1 + RETRY_JITTER)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 17 May 2026 06:01:00 GMT", 60),
        ("Sun, 17 May 2026 05:00:00 GMT", 0),
        ("Sunday, 17-May-26 06:01:00 GMT", 60),
        ("1.5", None),
        ("-3", None),
        ("soon", None),
        ("১২", None),
        ("", None),
        (None, None),
        ("Sun, 17 May 99999 06:01:00 GMT", None),
        ("Sun, 17 May 2026 06:01:00 -0000", None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(value: str | None, wait: int | None) -> None:
    assert retry_after(value, NOON) == (None if wait is None else timedelta(seconds=wait))


@given(value=st.text(max_size=60))
def test_whatever_retry_after_says_it_is_read_without_harm(value: str) -> None:
    read = retry_after(value, NOON)
    assert read is None or read >= timedelta(0)


def test_an_endpoint_is_shut_after_five_failures_and_longer_with_each_probe_that_fails_up_to_ten_minutes() -> None:
    health = failures(Health(), ENDPOINT_BREAKER.threshold - 1)
    assert capacity(health, 8, NOON) == 8
    health = failures(health, 1)
    assert health.shut_until == NOON + ENDPOINT_BREAKER.pauses.first
    assert capacity(health, 8, NOON) == 0
    assert capacity(health, 8, NOON + ENDPOINT_BREAKER.pauses.first) == 1
    pauses = []
    for _ in range(12):
        health = failures(health, 1, probe=True)
        assert health.shut_until is not None
        pauses.append(health.shut_until - NOON)
    assert pauses == sorted(pauses)
    assert pauses[0] == 2 * ENDPOINT_BREAKER.pauses.first
    assert pauses[-1] == ENDPOINT_BREAKER.pauses.longest


def test_those_that_were_on_their_way_when_it_was_shut_make_the_pause_no_longer() -> None:
    is_open = failures(Health(), ENDPOINT_BREAKER.threshold)
    assert failures(is_open, 7) == is_open


@given(before=st.integers(0, 30), probe=st.booleans())
def test_any_success_opens_it(before: int, probe: bool) -> None:
    health = failures(Health(), before, probe=True)
    opened = next_health(health, AttemptResponse(status=204), Delivered(), NOON, probe=probe)
    assert (opened.failures, opened.shut_until, capacity(opened, 8, NOON)) == (0, None, 8)


def test_whoever_asks_for_a_pause_gets_it_before_five_failures_and_ten_minutes_at_most() -> None:
    for status in (429, 503):
        health = failures(Health(), 1, response=AttemptResponse(status=status, retry_after=timedelta(seconds=40)))
        assert capacity(health, 8, NOON + 39 * SECOND) == 0
        assert capacity(health, 8, NOON + 40 * SECOND) == 8
    other = failures(Health(), 1, response=AttemptResponse(status=500, retry_after=timedelta(seconds=40)))
    assert capacity(other, 8, NOON) == 8, "with another status it speaks of this delivery, not of the endpoint"
    health = failures(Health(), 1, response=AttemptResponse(status=503, retry_after=timedelta(days=30)))
    assert health.shut_until == NOON + ENDPOINT_BREAKER.pauses.longest


def test_once_it_said_that_it_is_gone_nothing_is_sent_whatever_comes_back_after() -> None:
    health = next_health(Health(), AttemptResponse(status=410), Gone(), NOON, probe=False)
    later = next_health(health, AttemptResponse(status=204), Delivered(), NOON + SECOND, probe=False)
    assert health.disabled_at == later.disabled_at == NOON
    assert capacity(later, 8, NOON + timedelta(days=9)) == 0
