"""The filters of a list of payments as a person types them, in the console's form and after the command's options.

They are those of GET /v1/payments. A day is one of Dhaka, and the last day is included.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from consumers.providers import PROVIDERS
from schemas.request_shape import Wrong
from schemas.requests import ListQuery, list_query
from worker.runtime.zone import DHAKA

_SHAPE = list_query(sorted(PROVIDERS))
_NAMES = {"from": "since", "to": "until"}
_NO_MOMENT = "must be a day such as 2026-01-31, or a time such as 2026-01-31T18:00:00+06:00"


def read_filters(given: Mapping[str, str], limit: int) -> tuple[ListQuery, list[Wrong]]:
    """The query of these filters, by the API's names; and what is wrong with them, which the query leaves out."""
    wrong: list[Wrong] = []
    found = _SHAPE.read_query(((name, _moment(name, value)) for name, value in given.items()), wrong)
    wrong = [Wrong(one.field, _NO_MOMENT) if one.field in _NAMES else one for one in wrong]
    return ListQuery(limit=limit, **{_NAMES.get(name, name): value for name, value in found.items()}), wrong


def _moment(name: str, value: str) -> str:
    """A day as the time at which it begins in Dhaka, or ends for `to`. A time, and what is no day, is left as it is."""
    if name not in _NAMES:
        return value
    try:
        day = date.fromisoformat(value) if len(value) == len("2026-01-31") else None
        begins = None if day is None else day + timedelta(days=name == "to")
    except (ValueError, OverflowError):
        return value
    return value if begins is None else datetime(begins.year, begins.month, begins.day, tzinfo=DHAKA).isoformat()
