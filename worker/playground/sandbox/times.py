"""The gateways' ways of writing a moment. All take seconds since the epoch.

Month names and offsets are written out by hand, since `strftime("%b")` follows the locale.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from random import Random

DHAKA = timezone(timedelta(hours=6))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def drawn_moment(draw: Random) -> float:
    """A moment of 2026 for ids that contain one: drawn, since today's would make every run's ids differ."""
    return datetime(2026, 1, 1, tzinfo=UTC).timestamp() + draw.randrange(365 * 86_400 * 1000) / 1000


def iso_z(at: float) -> str:
    """`2026-05-17T10:00:00Z` (ShadhinPay)."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}Z"


def iso_ms_z(at: float) -> str:
    """`2026-06-09T20:20:00.000Z` (PayParse)."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def naive_dhaka(at: float) -> str:
    """`2026-02-14T15:06:35.896023`, Dhaka's time without saying so (Moneybag)."""
    return f"{datetime.fromtimestamp(at, DHAKA):%Y-%m-%dT%H:%M:%S.%f}"


def colon_ms(at: float) -> str:
    """`2025-04-23T13:22:02:876 GMT+0600`, with a colon before the milliseconds (OnePayBD, as bKash)."""
    moment = datetime.fromtimestamp(at, DHAKA)
    return f"{moment:%Y-%m-%dT%H:%M:%S}:{moment.microsecond // 1000:03d} GMT+0600"


def bangladesh_time(at: float) -> str:
    """`18 Sep 2017 12:33:39.749 BDT`, where BDT is the time zone and not the currency (iPay)."""
    moment = datetime.fromtimestamp(at, DHAKA)
    return f"{moment.day:02d} {_MONTHS[moment.month - 1]} {moment:%Y %H:%M:%S}.{moment.microsecond // 1000:03d} BDT"


def naive_seconds(at: float) -> str:
    """`2025-11-04 15:34:20`, Dhaka's time without saying so (SSLCOMMERZ, aamarPay, ShurjoPay, UddoktaPay)."""
    return f"{datetime.fromtimestamp(at, DHAKA):%Y-%m-%d %H:%M:%S}"


def compact_seconds(at: float) -> str:
    """`251104153420`, the beginning of an id."""
    return f"{datetime.fromtimestamp(at, DHAKA):%y%m%d%H%M%S}"


def twelve_hours(at: float) -> str:
    """`2023-05-29 12:46:01pm`, Dhaka's time (ShurjoPay's tokens)."""
    moment = datetime.fromtimestamp(at, DHAKA)
    return f"{moment:%Y-%m-%d %I:%M:%S}{'am' if moment.hour < 12 else 'pm'}"


def compact_dhaka(at: float) -> str:
    """`20180419122246`, Dhaka's time without saying so (bKash's notifications)."""
    return f"{datetime.fromtimestamp(at, DHAKA):%Y%m%d%H%M%S}"
