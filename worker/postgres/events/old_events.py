"""Events whose retention has ended, and from where on a merchant's log is whole since then.

Of each payment the newest event stays, so a log that is read from its beginning still tells the last state of every
payment. What a cursor below the floor has missed cannot be told, so it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from worker.postgres.database import Database

_DELETE = "SELECT delete_old_events($1, $2, $3) AS walked"
_FLOOR = "SELECT place, deleted_until FROM log_floors WHERE merchant = $1"


class LogFloor(Struct, frozen=True):
    """All events after `place` are there. `deleted_until`: the newest time of a deleted event, None without one."""

    place: int = 0
    deleted_until: datetime | None = None


async def forget_events(retention: timedelta | None, readers: Sequence[str], database: Database, most: int) -> int:
    """Walk up to `most` events along the log and delete what is older than `retention`; None: keep all.

    `readers` are the ids of the endpoints that must have read an event. Returns how many events were walked.
    """
    if retention is None:
        return 0
    (row,) = await database.fetch(_DELETE, retention, most, list(readers))
    walked: int = row["walked"]
    return walked


async def log_floor(database: Database, merchant: str) -> LogFloor:
    """Read it after the events that it is compared with. Read before them, it may miss a deletion in between."""
    rows = await database.fetch(_FLOOR, merchant)
    return LogFloor(**dict(rows[0])) if rows else LogFloor()


def missing_since(floor: LogFloor, since: datetime) -> str | None:
    """In words, that the log of `since` and later is not whole; None if it is."""
    if floor.deleted_until is None or floor.deleted_until < since:
        return None
    return (
        f"events until {floor.deleted_until:%Y-%m-%d %H:%M:%SZ} are deleted ([retention] events): of those, each "
        "payment's newest event is left"
    )
