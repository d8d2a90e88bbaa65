"""The wakeup that tells other processes of changes, once the transaction that wrote them is committed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from schemas.changes import Change
from worker.postgres.queue.due import POLL_SECONDS
from worker.postgres.wakeups import Wakeup

FOUND_BY_ITSELF = timedelta(seconds=2 * POLL_SECONDS)
"""The sweep is not told of checks that are due later than this from now, because it finds them by itself."""


def news_of(
    changes: Sequence[Change], now: datetime, queued: Collection[str] = (), placed: Collection[str] = ()
) -> Wakeup | None:
    """The wakeup that tells of these changes; None if no process waits for any of them.

    `queued` are gateways that got claims in the same transaction. `placed` are the ids of events that got positions.
    """
    looks = [change.payment.next_check_at for change in changes if change.payment.next_check_at is not None]
    soon = [at for at in looks if at < now + FOUND_BY_ITSELF]
    outcomes = [change.payment.id for change in changes if change.event is not None]
    events = {change.event.id for change in changes if change.event is not None}
    if not (soon or outcomes or queued):
        return None
    return Wakeup(
        claims=sorted(queued),
        events=not events.issubset(placed),
        placed=not events.isdisjoint(placed),
        outcomes=outcomes,
        look_at=min(soon, default=None),
    )
