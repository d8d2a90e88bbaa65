"""How an event reaches the shop's endpoint: when it is sent again, when it is given up, when only a probe is sent.

Two clocks run here. A delivery has its schedule: eleven attempts over more than four days. An endpoint has its breaker:
after five failures in a row it opens, and one delivery at a time probes the endpoint, at most ten minutes apart, until
one arrives. While it is open nothing else is sent, and no other delivery is touched: that costs no attempt and no
write, so an outage of days makes a hundred thousand deliveries late and gives none up. Those that were attempted and
put off for hours come soon after the probe that arrived, in addition to their schedule and not instead of a part of it.
Where every delivery is put off for hours, one of them is the probe once an hour. Such early attempts are counted
(`MAX_EXPEDITED`).

The one thing to get wrong: an event that fails at an endpoint that is otherwise well. It must neither open the
breaker for good, which is why any success closes it, nor be expedited without end, which is why that is counted.
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
"""Waits after the first attempt, the second and so on, each from the end of the attempt: 99.6 hours in all."""

RETRY_JITTER = 0.1
"""Up to so much of a wait is added to it, so that what failed together does not come again together."""

LONGEST_WAIT = timedelta(days=1)
"""The most that an endpoint's Retry-After is believed."""

ENDPOINT_BREAKER = CircuitBreaker(5, Backoff(timedelta(seconds=30), timedelta(minutes=10)))
"""It counts attempts in a row that failed, whichever delivery they were about."""

EARLY_PROBE_AFTER = timedelta(minutes=50)
"""After so long without a delivery, an open breaker is probed with a delivery that is not due yet."""

MAX_EXPEDITED = 100
"""So often at most is one delivery sent early, which is hourly while its schedule lasts; then it keeps to that."""

GONE, TOO_MANY, UNAVAILABLE = 410, 429, 503


class AttemptResponse(Struct, frozen=True, kw_only=True):
    """What one attempt brought: a status, or why there is none, in words that name neither address nor content."""

    status: int | None = None
    trouble: str | None = None
    retry_after: timedelta | None = None

    @property
    def words(self) -> str:
        return f"it answered {self.status}" if self.trouble is None else self.trouble


class Delivered(Struct, frozen=True):
    """It answered 2xx; whatever else it said is not looked at."""


class Retry(Struct, frozen=True):
    at: datetime


class GivenUp(Struct, frozen=True):
    """The last attempt of the schedule failed. A person may replay it."""


class Gone(Struct, frozen=True):
    """The endpoint said that it is gone. The delivery waits, untouched, until a person enables the endpoint."""


AttemptOutcome = Delivered | Retry | GivenUp | Gone


class Health(Struct, frozen=True, kw_only=True):
    """How well an endpoint does. `failures` are in a row; nothing is sent before `shut_until` or once disabled."""

    failures: int = 0
    shut_until: datetime | None = None
    disabled_at: datetime | None = None

    @property
    def probing(self) -> bool:
        """Whether the next delivery goes alone, to see whether the endpoint is back."""
        return ENDPOINT_BREAKER.tripped(self.failures)

    def is_open(self, now: datetime) -> bool:
        return self.shut_until is not None and self.shut_until > now


def outcome(response: AttemptResponse, step: int, ended_at: datetime, chance: float) -> AttemptOutcome:
    """What becomes of a delivery that was at `step` of its schedule. `chance`, below 1, is drawn for the jitter."""
    if response.status is not None and 200 <= response.status < 300:
        return Delivered()
    if response.status == GONE:
        return Gone()
    if step >= len(DELAYS):
        return GivenUp()
    wait = max(DELAYS[step], min(response.retry_after or timedelta(0), LONGEST_WAIT))
    return Retry(ended_at + wait * (1 + RETRY_JITTER * chance))


def capacity(health: Health, free: int, now: datetime) -> int:
    """How many deliveries may be taken, where a worker can send so many more."""
    if health.disabled_at is not None or health.is_open(now):
        return 0
    return min(free, 1) if health.probing else free


def next_health(
    health: Health, response: AttemptResponse, became: AttemptOutcome, now: datetime, *, probe: bool
) -> Health:
    """The endpoint's health after an attempt. `probe`: it went alone because the breaker was open."""
    match became:
        case Delivered():
            return replace(health, failures=0, shut_until=None)
        case Gone():
            return replace(health, disabled_at=health.disabled_at or now)
        case Retry() | GivenUp():
            if health.is_open(now) and not probe:
                return health  # begun before the breaker opened: it must not make the pause longer
            failures = health.failures + 1
            return replace(health, failures=failures, shut_until=_open_until(failures, response, now))
    assert_never(became)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header says, in seconds or as an HTTP date; None where it says nothing that can be read."""
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
