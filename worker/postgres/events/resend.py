"""One event made due to one endpoint at once, whether it was delivered, waits, or was given up.

The number of attempts goes on, so that each attempt in a timeline has a number of its own. A delivery that waits keeps
its place in the schedule: an attempt that a person asks for does not bring it nearer to its end. Any other begins anew.
"""

from __future__ import annotations

from worker.postgres.database import Database
from worker.postgres.wakeups import Wakeup


async def resend(database: Database, endpoint: str, event_id: str) -> bool:
    """Make the event due to the endpoint now. False if there is no such endpoint or event of its merchant.

    It is due when it is written: an earlier time may lie below the mark of the endpoint's worker. If the endpoint's
    breaker is open, it is the next probe. A blocked endpoint is sent nothing until a person enables it.
    """
    (row,) = await database.fetch("SELECT resend_delivery($1, $2) AS due", endpoint, event_id)
    if row["due"]:
        database.notify(Wakeup(placed=True))
    due: bool = row["due"]
    return due
