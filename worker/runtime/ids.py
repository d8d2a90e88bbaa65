"""Making ids that nobody can guess."""

from __future__ import annotations

import secrets
import string

_SIGNS = string.digits + string.ascii_lowercase
_ID_SIGNS = 26  # of 36 kinds each: 134 random bits


def new_payment_id() -> str:
    """In a path it is the buyer's ticket, so nobody can guess it."""
    return "pay_" + "".join(secrets.choice(_SIGNS) for _ in range(_ID_SIGNS))
