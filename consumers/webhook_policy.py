"""Delivery of events to a shop's endpoint: when a webhook is sent again, when it is given up, when a probe is sent.

A delivery has a schedule of eleven attempts over more than four days. An endpoint has a circuit breaker: after five
failures in a row it opens, and one delivery at a time probes the endpoint, at most ten minutes apart, until one
succeeds. While the breaker is open, no other delivery is sent or written. So an outage of days makes a hundred thousand
deliveries late and gives none up. After a successful probe, deliveries that wait for hours are sent soon; this early
attempt uses up no step of their schedule. If every delivery waits for hours, one of them is the probe once an hour.
Early attempts are counted (`MAX_EXPEDITED`).

A single event may fail at an endpoint that is otherwise well. Any success closes the breaker, so such an event does not
keep it open. The count ends its early attempts.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from consumers.pacing import Backoff, CircuitBreaker

DELAYS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400)
)
"""The waits after each attempt, from the first on, counted from its end: 99.6 hours in all."""

RETRY_JITTER = 0.1
"""Up to this part of a wait is added to it, so that deliveries which failed together are not retried together."""

LONGEST_WAIT = timedelta(days=1)
"""The longest Retry-After of an endpoint that is followed."""

ENDPOINT_BREAKER = CircuitBreaker(5, Backoff(timedelta(seconds=30), timedelta(minutes=10)))
"""Counts failed attempts in a row, of any delivery to the endpoint."""

EARLY_PROBE_AFTER = timedelta(minutes=50)
"""This long after `shut_until`, an open breaker is probed with a delivery that is not due yet."""

MAX_EXPEDITED = 100
"""How many times one delivery may be sent early. Afterwards it is sent by its schedule alone."""

GONE, TOO_MANY, UNAVAILABLE = 410, 429, 503


class AttemptResponse(Struct, frozen=True, kw_only=True):
    """The response to one attempt: an HTTP status, or why there is none, in words without address and content."""

    status: int | None = None
    trouble: str | None = None
    retry_after: timedelta | None = None

    @property
    def words(self) -> str:
        return f"it answered {self.status}" if self.trouble is None else self.trouble


class Delivered(Struct, frozen=True):
    """The endpoint answered 2xx. Its body is ignored."""


class Retry(Struct, frozen=True):
    at: datetime


class GivenUp(Struct, frozen=True):
    """The last attempt of the schedule failed. A person may replay it."""


class Gone(Struct, frozen=True):
    """The endpoint answered 410 Gone. The delivery stays as it is until a person enables the endpoint."""


AttemptOutcome = Delivered | Retry | GivenUp | Gone


class Health(Struct, frozen=True, kw_only=True):
    """The state of an endpoint. `failures`: in a row. Nothing is sent before `shut_until`, or while it is disabled."""

    failures: int = 0
    shut_until: datetime | None = None
    disabled_at: datetime | None = None

    @property
    def probing(self) -> bool:
        """Whether the next delivery is a probe, sent alone to see whether the endpoint works again."""
        return ENDPOINT_BREAKER.tripped(self.failures)

    def is_open(self, now: datetime) -> bool:
        return self.shut_until is not None and self.shut_until > now


def outcome(response: AttemptResponse, step: int, ended_at: datetime, chance: float) -> AttemptOutcome:
    """What to do with a delivery after an attempt at `step` of its schedule. `chance` in [0, 1) gives the jitter."""
    if response.status is not None and 200 <= response.status < 300:
        return Delivered()
    if response.status == GONE:
        return Gone()
    if step >= len(DELAYS):
        return GivenUp()
    wait = max(DELAYS[step], min(response.retry_after or timedelta(0), LONGEST_WAIT))
    return Retry(ended_at + wait * (1 + RETRY_JITTER * chance))


def outcome_elsewhere(became: AttemptOutcome, step: int, ended_at: datetime) -> AttemptOutcome:
    """The outcome of an attempt at a URL that the endpoint does not have any more, or does not have yet.

    Its 410 does not say that the endpoint is gone, so the delivery is sent again on its schedule.
    """
    return Retry(ended_at + DELAYS[min(step, len(DELAYS) - 1)]) if isinstance(became, Gone) else became


def capacity(health: Health, free: int, now: datetime) -> int:
    """How many deliveries a worker may take that has `free` places to send them."""
    if health.disabled_at is not None or health.is_open(now):
        return 0
    return min(free, 1) if health.probing else free


def next_health(
    health: Health, response: AttemptResponse, became: AttemptOutcome, now: datetime, *, probe: bool
) -> Health:
    """The endpoint's health after an attempt. `probe`: the attempt was a probe of the open breaker."""
    match became:
        case Delivered():
            return replace(health, failures=0, shut_until=None)
        case Gone():
            return replace(health, disabled_at=health.disabled_at or now)
        case Retry() | GivenUp():
            if health.is_open(now) and not probe:
                return health  # it began before the breaker opened, so it must not make the pause longer
            failures = health.failures + 1
            return replace(health, failures=failures, shut_until=_open_until(failures, response, now))
    assert_never(became)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The time that a Retry-After header asks for, in seconds or as an HTTP date; None where it cannot be read."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
        return max(timedelta(0), at - now) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _open_until(failures: int, response: AttemptResponse, now: datetime) -> datetime | None:
    asked = response.retry_after if response.status in (TOO_MANY, UNAVAILABLE) else None
    if asked is not None and not ENDPOINT_BREAKER.tripped(failures):
        return now + min(asked, ENDPOINT_BREAKER.pauses.longest)
    return ENDPOINT_BREAKER.open_until(failures, now, asked or timedelta(0))
