"""Rules of `[merchants.accounts.statement]` beyond the type of each key.

strptime takes formats that lose a part of the text. `%Z` reads the letters of a zone and drops them, and a format
without a year gives 1900. So a format is tried on real times before it is accepted.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

_IDS = ("transaction_id", "session_id", "reference")
_COLUMNS = ("amount", "currency", *_IDS, "at", "fee", "status", "kind")
_SHARED = {"status", "kind"}
"""Portals write `Refund` in the column of `Success`, so these two may be the same column."""
_STATUSES = ("completed", "failed", "cancelled", "expired", "pending", "refunded")
_TRIED = (datetime(2026, 1, 2, 3, 4, 5), datetime(2027, 11, 29, 23, 58, 59))
_MOST_PERCENT = Decimal(100)
_FEE_PLACES = 4


class Notes(Protocol):
    def note(self, path: str, message: str) -> object: ...


def check_map(reader: Notes, values: Mapping[str, Any], path: str) -> None:
    """Note every problem of a statement's map. `values` are the keys that could be read."""
    for key, message in (
        *_ids(values),
        *_headers(values),
        *_times(values),
        *_words(values, "kind", ("refunds", "payments")),
        *_words(values, "status", _STATUSES),
        *_fees(values),
    ):
        reader.note(f"{path}.{key}" if key else path, message)


Found = Iterable[tuple[str, str]]


def _ids(values: Mapping[str, Any]) -> Found:
    if not any(key in values for key in _IDS):
        yield "", f"names no column to know a payment by: one of {', '.join(_IDS)}"


def _headers(values: Mapping[str, Any]) -> Found:
    first: dict[str, str] = {}
    for key in _COLUMNS:
        if key not in values:
            continue
        header = values[key].strip().casefold()
        if not header:
            yield key, "is empty"
        elif (other := first.setdefault(header, key)) != key and {other, key} != _SHARED:
            yield key, f"is the header of {other} too"


def _times(values: Mapping[str, Any]) -> Found:
    zone = values.get("time_zone")
    if zone is not None and not _is_zone(zone):
        yield "time_zone", "no such time zone; one such as Asia/Dhaka or UTC is meant"
    form = values.get("date_format")
    if form is None:
        return
    if "at" not in values:
        yield "date_format", "needs the column at"
    if wrong := _wrong_format(form):
        yield "date_format", wrong


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _wrong_format(form: str) -> str | None:
    directives = re.findall(r"%[-_^#]?(.?)", form)
    if "Z" in directives:
        return "%Z is read without effect; name the zone in time_zone, or use %z for an offset"
    if not {"Y", "y", "c", "x", "G"} & set(directives):
        return "has no year"
    for time in _TRIED:
        try:
            read = datetime.strptime(time.strftime(form), form)
        except (ValueError, re.error):
            return "strptime cannot use it; a format such as %d/%m/%Y %H:%M:%S is meant"
        if read.date() != time.date():
            return "does not tell the day: it needs a year, a month and a day of the month"
        if {"I", "p"} & set(directives) and read.hour != time.hour:
            return "%I and %p belong together"
    return None


def _words(values: Mapping[str, Any], column: str, lists: tuple[str, ...]) -> Found:
    given = [key for key in lists if values.get(key)]
    if column not in values:
        for key in given:
            yield key, f"needs the column {column}"
    elif not given:
        yield column, f"needs {' or '.join(lists)}" if column == "kind" else "needs completed, the words for it"
    elif column == "status" and "completed" not in given:
        yield column, "needs completed, the words for it"
    first: dict[str, str] = {}
    for key in given:
        for index, word in enumerate(values[key]):
            if not word.strip():
                yield f"{key}[{index}]", "is empty"
            elif first.setdefault(word.strip().casefold(), key) != key:
                yield f"{key}[{index}]", f"is in {first[word.strip().casefold()]} too"


def _fees(values: Mapping[str, Any]) -> Found:
    percent, fixed = values.get("fee_percent"), values.get("fee_fixed")
    if percent is not None and percent > _MOST_PERCENT:
        yield "fee_percent", "must be at most 100"
    if fixed is not None and fixed != round(fixed, _FEE_PLACES):
        yield "fee_fixed", f"has more than {_FEE_PLACES} decimals"
    for key in ("fee_percent", "fee_fixed"):
        if key in values and "fee" not in values:
            yield key, "needs the column fee"
