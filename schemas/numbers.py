"""Read amounts and whole numbers from their texts: ASCII digits alone, and exactly.

`Decimal` and `int` also accept Bengali digits, `1e999` and `1_000`, so an amount could be read wrongly.
"""

from __future__ import annotations

import re
from decimal import Decimal

from schemas.wire import MAX_NUMBER, Unreadable

_MONEY = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.([0-9]+))?", re.ASCII)


def money(value: object, *, places: int = 2) -> Decimal:
    """Read an amount from a string or a `Number`: ASCII digits, with at most `places` decimals before trailing zeros.

    No sign, exponent, separator or leading zero. `"5.0000"` is 5.00. The result has exactly `places` decimals. Raises
    Unreadable.
    """
    if not isinstance(value, str):
        raise Unreadable("an amount is a decimal written in ASCII digits")
    match = _MONEY.fullmatch(value) if len(value) <= MAX_NUMBER else None
    if match is None:
        raise Unreadable("an amount is a decimal written in ASCII digits")
    if len((match[1] or "").rstrip("0")) > places:
        raise Unreadable(f"an amount has at most {places} decimals")
    return Decimal(value).quantize(Decimal(1).scaleb(-places))


def whole(value: object) -> int:
    """Read a whole number from a `Number` or a string of ASCII digits. Raises Unreadable."""
    if isinstance(value, str) and re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})", value, re.ASCII):
        return int(value)
    raise Unreadable("not a whole number")
