"""After a backup was restored: events written after the backup may have been sent, so their ids are not used again.

An event's id has its payment's version, so the version of every payment is raised: any payment, also a finished one,
may have changed after the backup. Positions in the log are left free too, because a subscriber's cursor may stand
beyond the last event of the backup.
"""

from __future__ import annotations

from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database
from worker.postgres.events.event_log import SEQUENCING_LOCK

SECONDS = 3600
VERSIONS = 1000
"""More changes than a single payment can have had since the backup."""
PLACES = 1_000_000_000
"""More events than can have been written since the backup."""

_LEAVE_PLACES = """
    WITH alone AS (SELECT pg_advisory_xact_lock($2))
    UPDATE events SET place = place + $1 FROM alone WHERE place = (SELECT max(place) FROM events)
"""

_TAKE_OVER = """
    INSERT INTO servers AS s (name, raised_for, since, version_floor, asked_again_at)
    VALUES (server_name(), server_name(), clock_timestamp(), $1, clock_timestamp()) ON CONFLICT (one)
    DO UPDATE SET name = excluded.name, raised_for = excluded.raised_for, since = excluded.since,
        version_floor = s.version_floor + $1, asked_again_at = excluded.asked_again_at
"""

_RAISE = """
    UPDATE payments SET version = version + $1,
        urgent_at = CASE WHEN status = 'pending' OR hold IS NOT NULL THEN clock_timestamp() ELSE urgent_at END,
        next_check_at = CASE WHEN status = 'pending' OR hold IS NOT NULL THEN clock_timestamp() ELSE next_check_at END
"""


async def raise_versions(database: Database) -> int:
    """Raise every payment's version, and make the pending and the held ones due at once. Returns how many there are.

    The newest event moves PLACES up the log, so that new events stand after every cursor that a subscriber may have.
    Subscribers may see that event again. No Execute is sent for a minute, and none without a Query before it.
    """
    async with database.connection() as connection, connection.transaction():
        await connection.execute(_LEAVE_PLACES, PLACES, SEQUENCING_LOCK, timeout=SECONDS)
        await connection.execute(_TAKE_OVER, VERSIONS, timeout=SECONDS)
        done = await connection.execute(_RAISE, VERSIONS, timeout=SECONDS)
    return rows_changed(done)
