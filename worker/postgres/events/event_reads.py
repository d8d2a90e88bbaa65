"""The event log from its newest end, a page at a time, and one event."""

from __future__ import annotations

from datetime import datetime

import asyncpg
from msgspec import Struct

from worker.postgres.database import Connection

SCANNED = 1_000
"""So many events are looked at for a page of one type: a rare type has short pages before its last one."""

NEWEST = 2**63 - 1
_PAGE = """
    SELECT id, payment_id, type, account, time, place FROM events
    WHERE (merchant, place) < ($1, $2::bigint) AND (merchant, place) > ($1, -1) AND place IS NOT NULL
    ORDER BY merchant DESC, place DESC LIMIT $3
"""
_ONE = "SELECT id, payment_id, type, merchant, account, time, body FROM events WHERE id = $1"


class LoggedEvent(Struct, frozen=True, kw_only=True):
    id: str
    payment_id: str
    type: str
    account: str
    time: datetime
    place: int


class WholeEvent(Struct, frozen=True, kw_only=True):
    """`body` is what subscribers get, byte for byte."""

    id: str
    payment_id: str
    type: str
    merchant: str
    account: str
    time: datetime
    body: bytes


class LogPage(Struct, frozen=True):
    """Events, the newest first. `next` is the place behind which the next page begins; None on the last page."""

    events: list[LoggedEvent]
    next: int | None


async def newest_events(
    connection: Connection[asyncpg.Record], merchant: str, limit: int, *, before: int = NEWEST, kind: str | None = None
) -> LogPage:
    """The merchant's newest events before a place in the log: of one type, or of all."""
    scanned = limit if kind is None else SCANNED
    rows = await connection.fetch(_PAGE, merchant, before, scanned)
    found = [LoggedEvent(**dict(row)) for row in rows if kind in (None, row["type"])][:limit]
    if len(found) == limit:
        return LogPage(found, found[-1].place)
    return LogPage(found, rows[-1]["place"] if len(rows) == scanned else None)


async def read_event(connection: Connection[asyncpg.Record], event_id: str) -> WholeEvent | None:
    row = await connection.fetchrow(_ONE, event_id)
    return None if row is None else WholeEvent(**dict(row))
