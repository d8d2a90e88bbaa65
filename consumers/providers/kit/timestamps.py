"""Read the times of gateways, each in its format, into UTC.

A time decides nothing about money, so an answer with an unreadable time is still an answer. The gateways' files read
times through `time_or_none`, which gives None instead of raising Unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from schemas.wire import Unreadable

# Bangladesh has kept UTC+6 without summer time since 2010; no payment here is older.
DHAKA = timezone(timedelta(hours=6), "Asia/Dhaka")

# Times beyond these years are a gateway's mistake, and arithmetic on them could leave the calendar.
_YEARS = range(2000, 2200)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:(Z)|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_BKASH = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)[:.](\d{3}) GMT([+-])(\d\d)(\d\d)", re.ASCII)
_IPAY = re.compile(r"(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,3}))? BDT", re.ASCII)


def time_or_none(read: Callable[[str], datetime], value: object) -> datetime | None:
    """The time that `read` returns for the value; None where it is no text or unreadable."""
    if not isinstance(value, str):
        return None
    try:
        return read(value)
    except Unreadable:
        return None


def iso(text: str) -> datetime:
    """`2026-06-09T20:20:00.000Z` (PayParse, S0; ShadhinPay, S2), or with an offset. Without one: Unreadable."""
    return _iso(text, naive=None)


def iso_or_dhaka(text: str) -> datetime:
    """As `iso`, but `2026-02-14T15:06:35.896023` without a zone is Dhaka time (Moneybag; seen in its public demo)."""
    return _iso(text, naive=DHAKA)


def bkash(text: str) -> datetime:
    """`2025-04-23T13:22:02:876 GMT+0600`, a colon before the milliseconds (OnePayBD's create reply, S1)."""
    match = _BKASH.fullmatch(text)
    if match is None:
        raise Unreadable("no time as bKash writes it")
    *date, fraction, sign, hours, minutes = match.groups()
    return _utc(date, fraction, _offset(sign, hours, minutes))


def ipay(text: str) -> datetime:
    """`18 Sep 2017 12:33:39.749 BDT` (iPay, S4). BDT is Bangladesh Time here, UTC+6, and not the currency.

    Month names are English whatever the machine's locale, which is why `strptime` does not read them.
    """
    match = _IPAY.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise Unreadable("no time as iPay writes it")
    day, month, year, *clock, fraction = match.groups()
    return _utc([year, str(_MONTHS.index(month) + 1), day, *clock], fraction, DHAKA)


def _iso(text: str, *, naive: timezone | None) -> datetime:
    match = _ISO.fullmatch(text)
    if match is None:
        raise Unreadable("no ISO 8601 time")
    *date, fraction, zulu, sign, hours, minutes = match.groups()
    zone = UTC if zulu else _offset(sign, hours, minutes) if sign else naive
    if zone is None:
        raise Unreadable("a time without its zone")
    return _utc(date, fraction, zone)


def _offset(sign: str, hours: str, minutes: str) -> timezone:
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        return timezone(-ahead if sign == "-" else ahead)
    except ValueError:
        raise Unreadable("no such offset from UTC") from None


def _utc(date: list[str], fraction: str | None, zone: timezone) -> datetime:
    year, month, day, hour, minute, second = map(int, date)
    micro = int((fraction or "0").ljust(6, "0")[:6])
    if year not in _YEARS:
        raise Unreadable("no time of our age")
    try:
        return datetime(year, month, day, hour, minute, second, micro, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("no such time") from None
