"""An account's call budget and circuit breaker, as they are stored between questions."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class AccountLimits(Struct, frozen=True, kw_only=True):
    """The token bucket and the circuit breaker of an account, as they were at `at`.

    `calls`: the calls left; a question that took several may take it below zero. `troubles`: how many questions in a
    row brought no answer. `shut_until`: no question is asked before then. `unknown_by`: the payment ids of the last
    answers "not found" in a row, about checkouts that the gateway itself had opened.
    """

    account: str
    calls: float
    at: datetime
    troubles: int = 0
    shut_until: datetime | None = None
    unknown_by: tuple[str, ...] = ()
