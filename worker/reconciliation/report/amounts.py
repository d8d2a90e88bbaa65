"""Amounts as accountants in Bangladesh read them: lakh and crore, `12,34,567.00`, always with two decimals.

An amount is never rounded here, except by `short`: some fees have more than two decimals, and are shown with them.
"""

from __future__ import annotations

from decimal import Decimal

MINUS = "\N{MINUS SIGN}"


def plain_amount(amount: Decimal) -> str:
    """The amount for programs: `150000.50`, `-20.00`, `0.0375`."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def taka(amount: Decimal) -> str:
    """The amount with its groups, without a currency: `1,50,000.50`, `−20.00`, `0.0375`."""
    whole, _, decimals = plain_amount(abs(amount)).partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    return f"{MINUS if amount < 0 else ''}{','.join([*groups, tail])}.{decimals}"


def short(amount: Decimal) -> str:
    """The amount for a chart, rounded: `950`, `12.5 k`, `3.2 lakh`, `1.1 crore`."""
    for size, unit in ((10_000_000, " crore"), (100_000, " lakh"), (1_000, " k")):
        if amount >= size:
            return f"{(amount / size):.1f}".removesuffix(".0") + unit
    return f"{amount:.0f}"
