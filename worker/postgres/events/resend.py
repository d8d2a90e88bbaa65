"""One event made due to one endpoint at once, whether it was delivered, waits, or was given up.

The number of attempts goes on, so that each attempt in a timeline has a number of its own. A delivery that waits keeps
its place in the schedule: an attempt that a person asks for does not bring it nearer to its end. Any other begins anew.
"""

from __future__ import annotations

from worker.postgres.database import Database
from worker.postgres.wakeups import Wakeup

_AGAIN = """
    INSERT INTO deliveries AS d (endpoint, event_id, place, next_at)
    SELECT n.id, e.id, e.place, statement_timestamp() FROM endpoints n JOIN events e ON e.merchant = n.merchant
    WHERE n.id = $1 AND e.id = $2 AND e.place IS NOT NULL
    ON CONFLICT (endpoint, event_id) DO UPDATE SET next_at = excluded.next_at, delivered_at = NULL, given_up_at = NULL,
        step = CASE WHEN d.next_at IS NULL THEN 0 ELSE greatest(d.step - 1, 0) END
    RETURNING event_id
"""
_TRY_NOW = "UPDATE endpoints SET shut_until = NULL WHERE id = $1 AND shut_until > statement_timestamp()"


async def resend(database: Database, endpoint: str, event_id: str) -> bool:
    """Make the event due to the endpoint now. False if there is no such endpoint or event of its merchant.

    It is due when it is written: an earlier time may lie below the mark of the endpoint's worker. If the endpoint's
    breaker is open, the next delivery probes the endpoint at once. A blocked endpoint is sent nothing until a person
    enables it.
    """
    if not await database.fetch(_AGAIN, endpoint, event_id):
        return False
    await database.execute(_TRY_NOW, endpoint)
    database.notify(Wakeup(placed=True))
    return True
