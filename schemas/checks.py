"""When a payment is asked about: the delays of the `[checks]` table of the configuration, in seconds.

The delays of a schedule count from the last question, not from the opening; only `give_up` counts from the opening.
`claimed` and `pending` repeat their last entry. `closed` and `refunds` run through once.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

SECOND = 1.0
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Seconds = Annotated[float, Meta(ge=0, extra={"duration": True})]
"""A span of time in seconds; written `300ms`, `2s`, `5m`, `24h` or `7d` in the configuration."""
Delay = Annotated[float, Meta(gt=0, extra={"duration": True})]
Delays = Annotated[tuple[Delay, ...], Meta(min_length=1)]


class Checks(Struct, frozen=True, kw_only=True):
    """The schedules of questions. Every list has at least one entry and every entry is above zero.

    - `claimed`: a claim of success came, and the gateway does not confirm it yet.
    - `pending`: no claim of success came. One more question comes at `expires_at` + `grace`.
    - `closed`: late money, after expired, cancelled or failed.
    - `refunds`: after completed, where the gateway shows refunds.
    - `grace`: how long after `expires_at` the closing question waits.
    - `confirm_end`: how far apart two answers must be, both asked after the end, that close an unpaid payment.
    - `give_up`: how long after the opening an unanswered payment is asked about.
    """

    claimed: Delays = (2 * SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE)
    pending: Delays = (2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, DAY)
    closed: Delays = (HOUR, DAY)
    refunds: Delays = (DAY, 7 * DAY, 30 * DAY)
    grace: Seconds = 2 * MINUTE
    confirm_end: Seconds = 10 * MINUTE
    give_up: Delay = 7 * DAY
