"""Cursors of pages: a position as text that a caller gives back unread."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from schemas.request_shape import Wrong
from worker.api.problems import Problem, invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def written_micros(moment: datetime) -> int:
    """A moment in microseconds since 1970, as Postgres knows it."""
    return (moment - _EPOCH) // _MICROSECOND


def read_micros(digits: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(digits))


def written_cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """The text of a cursor; empty where we did not write it."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return text if written_cursor(text) == cursor else ""


def no_cursor(field: str) -> Problem:
    return invalid([Wrong(field, "is no cursor of yours")])
