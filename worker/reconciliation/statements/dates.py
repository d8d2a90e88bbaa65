"""Finding the format of a column of dates, by trying.

`03/04/2026` may be two days. Where the rows do not tell the day from the month, the result says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, timezone

from msgspec import Struct

from worker.reconciliation.statements.cells import Unclear, blank, read_time
from worker.reconciliation.statements.tables import DateCell

_DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y-%m-%d", "%d-%b-%Y", "%d %b %Y",
    "%d %b, %Y", "%b %d, %Y", "%d-%B-%Y", "%d %B %Y", "%d %B, %Y", "%B %d, %Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y",
    "%m-%d-%y", "%d-%b-%y", "%Y%m%d",
)  # fmt: skip
_CLOCKS = (
    "", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %I:%M:%S%p", " %I:%M%p", ", %H:%M:%S", ", %H:%M",
    ", %I:%M:%S %p", ", %I:%M %p", " %H:%M:%S.%f",
)  # fmt: skip
_FORMATS: tuple[str | None, ...] = (
    None,
    *(day + clock for day in _DAYS for clock in _CLOCKS),
    *(f"{clock.strip(', ')} {day}" for day in _DAYS[:6] for clock in _CLOCKS[1:5]),
)
_DHAKA = timezone(timedelta(hours=6))


class DateFormat(Struct, frozen=True, kw_only=True):
    """`fits` of `of` cells are written so. `format` None is ISO 8601. `rivals` fit as many, with other times."""

    format: str | None
    fits: int
    of: int
    rivals: tuple[str | None, ...] = ()


def date_format(cells: Sequence[str]) -> DateFormat | None:
    """The format that fits most of the cells. None where all cells are blank, or no format fits any."""
    texts = [cell for cell in cells if not blank(cell)]
    written = [cell for cell in texts if not isinstance(cell, DateCell)]
    if not written:
        return DateFormat(format=None, fits=len(texts), of=len(texts)) if texts else None
    candidates = _FORMATS
    for text in written[:3]:
        candidates = tuple(form for form in candidates if _times([text], form)[0]) or candidates
    times = {form: _times(written, form) for form in candidates}
    counts = {form: sum(time is not None for time in found) for form, found in times.items()}
    most = max(counts.values())
    if not most:
        return None
    best = [form for form, count in counts.items() if count == most]
    rivals = tuple(form for form in best[1:] if times[form] != times[best[0]])
    return DateFormat(format=best[0], fits=most + len(texts) - len(written), of=len(texts), rivals=rivals)


def _times(texts: Sequence[str], form: str | None) -> list[object]:
    return [_time(text, form) for text in texts]


def _time(text: str, form: str | None) -> object:
    try:
        return read_time(text, form, _DHAKA)
    except Unclear:
        return None
