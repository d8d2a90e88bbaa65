"""How much an account's gateway may be asked, as it is kept between questions."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class AccountLimits(Struct, frozen=True, kw_only=True):
    """The token bucket and the circuit breaker of an account at `at`. Extra calls may take `calls` below nothing.

    `troubles` counts the questions since the last answer; nobody asks before `shut_until`. `unknown_by` names the
    payments of the last answers "not found" in a row, about checkouts that the gateway itself had opened.
    """

    account: str
    calls: float
    at: datetime
    troubles: int = 0
    shut_until: datetime | None = None
    unknown_by: tuple[str, ...] = ()
