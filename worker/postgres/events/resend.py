"""One event made due to one endpoint at once, whether it was delivered, waits, or was given up.

The number of attempts goes on, so that each attempt in a timeline has a number of its own. A delivery that waits keeps
its place in the schedule: an attempt that a person asks for does not bring it nearer to its end. Any other begins anew.
"""

from __future__ import annotations

from schemas.audit import AuditRecord
from worker.postgres.audit_rows import add_record
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import lock_endpoint
from worker.postgres.wakeups import Wakeup

PORTION = 2_000
MOST_AGAIN = 20_000
"""At most so many deliveries that were given up are made due at once."""

_GIVEN_UP = """
    UPDATE deliveries SET next_at = statement_timestamp(), given_up_at = NULL, step = 0
    WHERE endpoint = $1 AND given_up_at IS NOT NULL AND event_id IN (
        SELECT event_id FROM deliveries WHERE endpoint = $1 AND given_up_at IS NOT NULL ORDER BY place LIMIT $2)
"""


async def resend(database: Database, endpoint: str, event_id: str, record: AuditRecord) -> bool:
    """Make the event due to the endpoint now. False if there is no such endpoint or event of its merchant.

    `record` is written with it, and not without.

    It is due when it is written: an earlier time may lie below the mark of the endpoint's worker. If the endpoint's
    breaker is open, it is the next probe. A blocked endpoint is sent nothing until a person enables it.
    """
    async with database.connection() as connection, connection.transaction():
        due: bool = await connection.fetchval("SELECT resend_delivery($1, $2)", endpoint, event_id)
        if due:
            await add_record(connection, record)
    if due:
        database.notify(Wakeup(placed=True))
    return due


async def resend_given_up(database: Database, endpoint: str, record: AuditRecord) -> int:
    """Make what was given up due to the endpoint again, the oldest first: MOST_AGAIN at most. Returns how many.

    `record` is written with the first of them.
    """
    count = 0
    while count < MOST_AGAIN:
        async with database.connection() as connection, connection.transaction():
            await lock_endpoint(connection, endpoint)
            if not count:
                await add_record(connection, record)
            done = rows_changed(await connection.execute(_GIVEN_UP, endpoint, PORTION))
        count += done
        database.notify(Wakeup(placed=True))
        if done < PORTION:
            break
    return count
