"""Making ids that nobody can guess."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable

_SIGNS = string.digits + string.ascii_lowercase
_WEEK_SECONDS = 7 * 86_400
_RANDOM_SIGNS = 24  # of 36 kinds each: 124 random bits


def new_payment_id(now: Callable[[], float] = time.time) -> str:
    """In a path it is the buyer's ticket, so nobody can guess it.

    It begins with the week. So the payments of these days stand together in each index, however many older ones there
    are, and a write touches pages that are in memory. After 25 years the weeks begin anew, which costs nothing else.
    """
    week = int(now()) // _WEEK_SECONDS
    signs = [_SIGNS[week // 36 % 36], _SIGNS[week % 36], *(secrets.choice(_SIGNS) for _ in range(_RANDOM_SIGNS))]
    return "pay_" + "".join(signs)
