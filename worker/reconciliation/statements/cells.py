"""The value of a single cell: money, a time, an id.

People and spreadsheets write these in many ways. Each way is either known here exactly or refused with its reason.
`1,500` is fifteen hundred; `1,50` is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from worker.reconciliation.statements.formats import time_reader
from worker.reconciliation.statements.tables import DateCell

LONGEST_CELL_ID = 200
BLANKS = frozenset(("", "-", "--", "\u2013", "\u2014", "n/a", "null"))
"""Texts that portals write into an empty cell."""

_LONGER = 5
_ERRORS = frozenset(
    ("#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#ERROR!", "#SPILL!", "#CALC!")
)

# No gateway is older, and at the calendar's end no span could be added to a time.
YEARS = range(2000, 2200)

_BENGALI = str.maketrans("০১২৩৪৫৬৭৮৯", "0123456789")
_BENGALI_DIGIT = re.compile("[০-৯]")
_CURRENCY = r"(?:BDT|TK\.?|৳)"
_SIGNED = re.compile(
    rf"(?:{_CURRENCY}\s*)?(-?)\s*(?:{_CURRENCY}\s*)?([0-9][0-9,]*(?:\.[0-9]+)?)(?:\s*{_CURRENCY})?", re.IGNORECASE
)
# Groups of the west, 1,500,000, or of Bangladesh, 15,00,000; or no separators at all.
_WHOLE = re.compile(r"[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}")
_ROUNDED = re.compile(r"-?[0-9](?:\.[0-9]+)?E\+[0-9]{2,3}", re.IGNORECASE)
_PLAIN_MONEY = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,2})?", re.ASCII)
_PLAIN_ID = re.compile(r"[0-9A-Za-z_.-]{5,200}", re.ASCII)
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s?(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)

_QUANTUM = {2: Decimal("0.01"), 4: Decimal("0.0001")}


class Unclear(Exception):
    """The cell has no certain value. The message follows the column's name in a sentence."""


def blank(cell: str) -> bool:
    text = cell.strip()
    return len(text) < _LONGER and text.lower() in BLANKS


def read_money(cell: str, places: int) -> Decimal:
    """The amount with exactly `places` decimals, 2 or 4; below zero where the cell says so. Raises Unclear."""
    text = cell.strip()
    if _PLAIN_MONEY.fullmatch(text):
        return Decimal(text).quantize(_QUANTUM[places])
    if _BENGALI_DIGIT.search(text):
        raise Unclear("has Bengali digits; amounts are read in ASCII digits alone")
    _check_value(text)
    if _ROUNDED.fullmatch(text):
        raise Unclear("was shortened by a spreadsheet; format the column as a number, or export it again")
    match = _SIGNED.fullmatch(text)
    if match is None:
        raise Unclear("is no amount")
    sign, digits = match[1], match[2]
    whole, _, decimals = digits.partition(".")
    if not _WHOLE.fullmatch(whole):
        raise Unclear("has commas where no thousands end")
    if len(whole.replace(",", "")) > 15:
        raise Unclear("is too long for an amount")
    decimals = decimals.rstrip("0")
    if len(decimals) > places:
        raise Unclear(f"has more than {places} decimals")
    return Decimal(f"{sign}{whole.replace(',', '')}.{decimals or '0'}").quantize(_QUANTUM[places])


def read_id(cell: str) -> str:
    """The id as it is written, without spaces around it. Raises Unclear."""
    if type(cell) is str and _PLAIN_ID.fullmatch(cell):
        return cell
    text = cell.strip()
    if isinstance(cell, DateCell):
        raise Unclear("was taken for a date by a spreadsheet; export it as text")
    if len(text) > LONGEST_CELL_ID:
        raise Unclear(f"is longer than {LONGEST_CELL_ID} characters")
    if not text.isprintable():
        raise Unclear("has a control character or a line break in it")
    if "E+" in text and _ROUNDED.fullmatch(text):
        raise Unclear("was shortened to a number by a spreadsheet, and its last digits are lost; export it as text")
    _check_value(text)
    return text


def read_time(cell: str, date_format: str | None, zone: tzinfo) -> datetime:
    """The time in UTC. A day alone is its first moment in `zone`. Raises Unclear.

    `date_format` is strptime's; None is ISO 8601.
    """
    text = cell.strip()
    if not text.isascii():
        text = text.translate(_BENGALI)
    _check_value(text)
    try:
        naive = _iso(text) if date_format is None or isinstance(cell, DateCell) else time_reader(date_format)(text)
        aware = naive if naive.tzinfo else naive.replace(tzinfo=zone)
        time = aware.astimezone(UTC)
    except (ValueError, OverflowError):
        form = f"a time written as {date_format}" if date_format else "a time in ISO 8601"
        raise Unclear(f"is not {form}") from None
    if time.year not in YEARS:
        raise Unclear("is no time of our age")
    return time


def _check_value(text: str) -> None:
    if text.startswith("="):
        raise Unclear("is a formula without its value")
    if text.startswith("#") and text in _ERRORS:
        raise Unclear("is an error of the spreadsheet")


def _iso(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, clock, zone = match.groups()
    return datetime.fromisoformat(f"{day}T{clock or '00:00'}{(zone or '').upper()}")
