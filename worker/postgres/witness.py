"""What a process knows to be committed or sent, to be compared with the server that takes over.

A server that took over cannot tell what it lacks. A process that saw a commit or sent an event can. It remembers the
last events with the server that they were on, and looks for them when another server has taken over. Events that only
processes knew that have ended since are not found missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from asyncpg import Record
from msgspec import Struct, structs

REMEMBERED = 10_000
"""Events of the last seconds under a full load. A standby that is further behind has lost more than is counted."""


class SeenEvent(Struct, frozen=True, kw_only=True):
    """An event that was committed or sent. `reference` is its payment's, or None where it is not known here."""

    id: str
    type: str
    merchant: str
    account: str
    reference: str | None = None

    @property
    def payment_id(self) -> str:
        return self.id.rpartition(".")[0]


class Witness:
    """The last events that this process saw, each with `since`: when the server that had it took over."""

    def __init__(self) -> None:
        self._seen: deque[tuple[datetime | None, SeenEvent]] = deque(maxlen=REMEMBERED)

    def saw(self, events: Iterable[SeenEvent], since: datetime | None) -> None:
        """Remember events whose commit or sending was confirmed."""
        self._seen.extend((since, event) for event in events)

    def before(self, since: datetime | None) -> Sequence[SeenEvent]:
        """The remembered events of other servers than the one that took over at `since`."""
        return [event for at, event in self._seen if at != since]

    def forget_before(self, since: datetime | None) -> None:
        """Forget the events of other servers: they were looked for."""
        self._seen = deque((one for one in self._seen if one[0] == since), maxlen=REMEMBERED)


_FIND_LOST = """
    INSERT INTO lost_events AS l (id, payment_id, type, merchant, account, reference)
    SELECT s.id, s.payment_id, s.type, s.merchant, s.account, s.reference
    FROM jsonb_to_recordset($1)
        AS s (id text, payment_id text, type text, merchant text, account text, reference text)
    WHERE (SELECT true FROM events e WHERE e.id = s.id) IS NULL
    ORDER BY s.id
    ON CONFLICT (id) DO UPDATE SET reference = coalesce(l.reference, excluded.reference)
    RETURNING id, payment_id, account, reference, type
"""
_ASK_AGAIN = """
    UPDATE payments SET urgent_at = clock_timestamp(), next_check_at = clock_timestamp()
    WHERE id IN (SELECT id FROM payments WHERE id = ANY($1) ORDER BY id FOR UPDATE)
"""


async def write_lost(connection: Any, events: Sequence[SeenEvent]) -> list[Record]:
    """Write those of the events to `lost_events` that the server does not have. Returns their rows.

    Their payments are made due, also those that were closed or paid before.
    """
    by_id = {event.id: structs.asdict(event) | {"payment_id": event.payment_id} for event in events}
    lost: list[Record] = await connection.fetch(_FIND_LOST, list(by_id.values()))
    if lost:
        await connection.execute(_ASK_AGAIN, sorted({row["payment_id"] for row in lost}))
    return lost
