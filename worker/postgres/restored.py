"""After a backup was restored: the events written since it was made may have gone out, so their ids are not used again.

The one thing to get wrong: every payment's, the settled ones' too. Any may have changed after the backup was made.
"""

from __future__ import annotations

from worker.postgres.database import Database

SECONDS = 3600
VERSIONS = 1000
"""More than any one payment can have changed since the backup."""


async def raise_versions(database: Database) -> int:
    """Raise every payment's version, and look again at those that are not settled; how many there were."""
    async with database.connection() as connection:
        done = await connection.execute(
            """UPDATE payments SET version = version + $1,
                   next_check_at = CASE WHEN status = 'pending' OR hold IS NOT NULL THEN clock_timestamp()
                                        ELSE next_check_at END""",
            VERSIONS,
            timeout=SECONDS,
        )
    return int(done.split()[-1])
