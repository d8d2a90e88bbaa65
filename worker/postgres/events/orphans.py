"""Endpoints that are in the database and not in the configuration, while deliveries wait for them.

Nobody sends these deliveries. A person has them moved to an endpoint of the configuration, or given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from schemas.audit import AuditRecord
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.audit_rows import add_record
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import known_endpoints

DROPPED = "given up by a person: the endpoint is in no configuration"
HAD = "another endpoint has it: see payproof webhooks move"

_ORPHANS = """
    SELECT e.id, e.merchant, due.waiting FROM endpoints e CROSS JOIN LATERAL (
        SELECT count(*) AS waiting FROM deliveries d WHERE d.endpoint = e.id AND d.next_at IS NOT NULL) AS due
    WHERE e.id <> ALL($1) AND due.waiting > 0 ORDER BY e.merchant, e.id
"""
_ADDRESSES = "SELECT id, configured_id, url FROM endpoints WHERE id = ANY($1)"
_LOCK = "SELECT id, place FROM endpoints WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
_AGAIN = """
    UPDATE deliveries n SET next_at = $3, step = 0, given_up_at = NULL FROM deliveries d
    WHERE n.endpoint = $2 AND n.given_up_at IS NOT NULL
        AND d.endpoint = $1 AND d.event_id = n.event_id AND d.next_at IS NOT NULL
"""
_HAD = """
    UPDATE deliveries d SET next_at = NULL, given_up_at = $3, answer = $4
    WHERE d.endpoint = $1 AND d.next_at IS NOT NULL
        AND EXISTS (SELECT FROM deliveries n WHERE n.endpoint = $2 AND n.event_id = d.event_id)
"""
_MOVE = """
    UPDATE deliveries d SET endpoint = $2, next_at = $3, step = 0 FROM events v
    WHERE d.endpoint = $1 AND d.next_at IS NOT NULL AND v.id = d.event_id AND v.type = ANY($4)
"""
_MISSED = """
    SELECT count(*) FROM events v JOIN endpoints e ON e.id = $1
    WHERE (v.merchant, v.place) > (e.merchant, $2) AND (v.merchant, v.place) <= (e.merchant, $3) AND v.place IS NOT NULL
        AND v.type = ANY($4) AND NOT EXISTS (SELECT FROM deliveries n WHERE n.endpoint = $1 AND n.event_id = v.id)
"""
_DROP = """
    UPDATE deliveries SET next_at = NULL, given_up_at = $2, answer = $3 WHERE endpoint = $1 AND next_at IS NOT NULL
"""


class Orphan(Struct, frozen=True, kw_only=True):
    """An endpoint that is not configured. `waiting`: how many deliveries wait for it."""

    id: str
    merchant: str
    waiting: int


class OrphanAddress(Struct, frozen=True, kw_only=True):
    """The URL of an orphan, which may hold a token, and the id that the configuration had for it."""

    url: str
    configured_id: str | None


class MovedDeliveries(Struct, frozen=True, kw_only=True):
    """What `move_deliveries` did with the deliveries that waited.

    `moved` are due to the new endpoint, and `had` were its own deliveries already. `unwanted` still wait: they are of
    types that it does not want. `missed`: events after those, which neither endpoint would have been sent.
    """

    moved: int
    had: int
    unwanted: int
    missed: int


async def list_orphans(database: Database, configured: Sequence[Endpoint]) -> list[Orphan]:
    """The endpoints that are not configured and for which deliveries wait."""
    ids = [one.id for one in await known_endpoints(database, configured)]
    return [Orphan(**dict(row)) for row in await database.fetch(_ORPHANS, ids)]


async def addresses_of(database: Database, orphans: Sequence[Orphan]) -> dict[str, OrphanAddress]:
    """The address of each orphan, by its id. Ingress may not read URLs."""
    rows = await database.fetch(_ADDRESSES, [orphan.id for orphan in orphans])
    return {row["id"]: OrphanAddress(url=row["url"], configured_id=row["configured_id"]) for row in rows}


async def move_deliveries(
    database: Database, old: str, new: Endpoint, now: datetime, record: AuditRecord
) -> MovedDeliveries:
    """Make what waits for the row `old` due to `new`, which has a row and is of the same merchant.

    `new` began at a later place in the log than `old` ended. It goes back to that place, so that it gets the events in
    between too; it gets none twice.
    """
    async with database.connection() as connection, connection.transaction():
        places = {row["id"]: row["place"] for row in await connection.fetch(_LOCK, [old, new.id])}
        await add_record(connection, record)
        await connection.execute(_AGAIN, old, new.id, now)
        had = rows_changed(await connection.execute(_HAD, old, new.id, now, HAD))
        moved = rows_changed(await connection.execute(_MOVE, old, new.id, now, list(new.types)))
        left = await connection.fetchval(
            "SELECT count(*) FROM deliveries WHERE endpoint = $1 AND next_at IS NOT NULL", old
        )
        missed = 0
        if places[old] < places[new.id]:
            missed = await connection.fetchval(_MISSED, new.id, places[old], places[new.id], list(new.types))
        if missed:
            await connection.execute("UPDATE endpoints SET place = $2 WHERE id = $1", new.id, places[old])
            await connection.execute("UPDATE endpoints SET place = $2 WHERE id = $1", old, places[new.id])
    return MovedDeliveries(moved=moved, had=had, unwanted=left, missed=missed)


async def drop_deliveries(database: Database, endpoint: str, now: datetime, record: AuditRecord) -> int:
    """Give up what waits for the endpoint. Returns how many deliveries that were."""
    async with database.connection() as connection, connection.transaction():
        await add_record(connection, record)
        return rows_changed(await connection.execute(_DROP, endpoint, now, DROPPED))
