"""After a backup was restored: the events written since it was made may have gone out, so their ids are not used again.

The one thing to get wrong: every payment's, the finished ones' too. Any may have changed after the backup was made. And
the places of the log: a subscriber's cursor may stand beyond the backup's last one, and what is written now goes there.
"""

from __future__ import annotations

from worker.postgres.database import Database
from worker.postgres.events.event_log import SEQUENCING_LOCK

SECONDS = 3600
VERSIONS = 1000
"""More than any one payment can have changed since the backup."""
PLACES = 1_000_000_000
"""More than there can have been events since the backup."""

_LEAVE_PLACES = """
    WITH alone AS (SELECT pg_advisory_xact_lock($2))
    UPDATE events SET place = place + $1 FROM alone WHERE place = (SELECT max(place) FROM events)
"""

_TAKE_OVER = """
    INSERT INTO servers (name, since) VALUES (server_name(), clock_timestamp()) ON CONFLICT (one)
    DO UPDATE SET name = excluded.name, since = excluded.since
"""

_RAISE = """
    UPDATE payments SET version = version + $1,
        urgent_at = CASE WHEN status = 'pending' OR hold IS NOT NULL THEN clock_timestamp() ELSE urgent_at END,
        next_check_at = CASE WHEN status = 'pending' OR hold IS NOT NULL THEN clock_timestamp() ELSE next_check_at END
"""


async def raise_versions(database: Database) -> int:
    """Raise every payment's version, and have those that are not finished asked about at once; how many there were.

    The newest event moves far up the log, so that the next ones stand after whatever cursor was given out; who reads
    from before it sees it again. No Execute is sent for a minute, and none without a Query before it.
    """
    async with database.connection() as connection, connection.transaction():
        await connection.execute(_LEAVE_PLACES, PLACES, SEQUENCING_LOCK, timeout=SECONDS)
        await connection.execute(_TAKE_OVER, timeout=SECONDS)
        done = await connection.execute(_RAISE, VERSIONS, timeout=SECONDS)
    return int(done.split()[-1])
