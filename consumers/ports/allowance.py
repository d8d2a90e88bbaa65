"""How much an account's gateway may be asked, as it is kept between questions."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Allowance(Struct, frozen=True, kw_only=True):
    """What stood of an account at `at`: calls left of the budget, which extra calls may take below nothing.

    `troubles` counts the questions since the last answer; nobody asks before `shut_until`. `unknown_by` names the
    payments of the last answers "not found" in a row, about checkouts that the gateway itself had opened.
    """

    account: str
    calls: float
    at: datetime
    troubles: int = 0
    shut_until: datetime | None = None
    unknown_by: tuple[str, ...] = ()
