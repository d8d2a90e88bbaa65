"""Making ids that cannot be guessed."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable

_SIGNS = string.digits + string.ascii_lowercase
_WEEK_SECONDS = 7 * 86_400
_RANDOM_SIGNS = 24  # of 36 kinds each: 124 random bits


def new_payment_id(now: Callable[[], float] = time.time) -> str:
    """Make a payment's id. In a path it is the buyer's only ticket, so it cannot be guessed.

    It begins with the week, so that recent payments are together in each index and a write touches pages that are in
    memory. After 25 years the weeks begin again from 0, which costs nothing else.
    """
    week = int(now()) // _WEEK_SECONDS
    signs = [_SIGNS[week // 36 % 36], _SIGNS[week % 36], *(secrets.choice(_SIGNS) for _ in range(_RANDOM_SIGNS))]
    return "pay_" + "".join(signs)
