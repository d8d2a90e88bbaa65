"""After a failover: find what was lost, and ask the gateways again about all that was open.

Each process connects anew every few seconds, so it meets a server that took over soon, even where its connections to
the server before still work. What only that server has is lost, so nothing may be committed there any longer than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog

from consumers.ports.bus import ClaimPublisher
from consumers.ports.unavailable import DatabaseUnavailable, Unavailable, error_name
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database, despite_others
from worker.postgres.driver_errors import translated
from worker.postgres.lost_events import lost_claims, write_lost
from worker.postgres.wakeups import Wakeup

WATCH_SECONDS = 5.0
CLOSE_SECONDS = 1.0
BATCH = 500
CLAIMS_WAIT = timedelta(days=1)
NAMED = 100
"""How many lost events are named in the log. All of them are in `lost_events`."""

_TO_ASK = "SELECT since FROM servers WHERE since IS NOT NULL AND asked_again_at IS NULL"
_PENDING = """
    SELECT id, account AS owner, opened_at FROM payments
    WHERE status = 'pending' AND hold IS NULL AND (account, opened_at, id) > ($1, $2, $3)
    ORDER BY account, opened_at, id LIMIT $4
"""
_HELD = """
    SELECT id, merchant AS owner, opened_at FROM payments
    WHERE hold IS NOT NULL AND (merchant, opened_at, id) > ($1, $2, $3)
    ORDER BY merchant, opened_at, id LIMIT $4
"""
_MAKE_DUE = """
    UPDATE payments SET urgent_at = clock_timestamp(), next_check_at = clock_timestamp()
    WHERE id IN (SELECT id FROM payments WHERE id = ANY($1) ORDER BY id FOR UPDATE)
        AND (status = 'pending' OR hold IS NOT NULL) AND coalesce(urgent_at < $2, true) AND opened_at < $2
"""
_ASKED = "UPDATE servers SET asked_again_at = clock_timestamp() WHERE since = $1"

log = structlog.get_logger()


async def watch_primary(database: Database, bus: ClaimPublisher, roles: Collection[str]) -> None:
    """Run until cancelled. With the role `sweep`, payments are made due after a failover."""
    while True:
        try:
            await meet_anew(database)
            await find_lost(database)
            await publish_lost_claims(database, bus)
            if "sweep" in roles:
                await ask_again(database)
        except Unavailable as error:
            log.info("failover.watch_failed", error=error_name(error))
        await asyncio.sleep(WATCH_SECONDS)


async def meet_anew(database: Database) -> None:
    """Connect to the server where the URL leads now, and meet it. Raises DatabaseUnavailable."""
    session = await database.session("watch")
    with suppress(DatabaseUnavailable), translated():
        await session.close(timeout=CLOSE_SECONDS)


async def find_lost(database: Database) -> int:
    """Look for the events that this process saw on the servers before. Returns how many are missing."""
    server, witness = database.primary.server, database.witness
    if server is None or not (seen := witness.events.before(server.since)):
        return 0
    async with database.connection() as connection, connection.transaction():
        if await connection.fetchval("SELECT since FROM servers") != server.since:
            return 0  # another server took over meanwhile
        lost = await write_lost(connection, seen)
    witness.events.forget(seen)
    for row in lost[:NAMED]:
        log.error("event.lost", event_id=row["id"], account=row["account"], reference=row["reference"])
    if lost:
        log.error("failover.lost", events=len(lost), payments=len({row["payment_id"] for row in lost}))
        database.notify(Wakeup(look_at=database.clock.now()))
    return len(lost)


async def publish_lost_claims(database: Database, bus: ClaimPublisher) -> int:
    """Publish the claims again that this process took on the servers before, and that are missing. Returns how many.

    A gateway whose callback was answered does not send it again, and some payments can only be asked about by an id
    that a callback brought. Claims about a payment that is gone wait until the shop has posted it again. Raises
    Unavailable.
    """
    claims, since = database.witness.claims, database.primary.since
    if not (heard := claims.before(since)):
        return 0
    missing, gone = await lost_claims(database, heard)
    oldest = database.clock.now() - CLAIMS_WAIT
    late = {one.claim.id for one in heard if one.claim.received_at < oldest}
    waiting = {one.claim.id for one in heard if (one.payment_id or one.claim.payment_id) in gone} - late
    lost = [claim for claim in missing if claim.id not in waiting]
    if lost:
        await bus.publish(lost)
        log.warning("failover.claims_published", claims=len(lost))
    claims.forget(one for one in heard if one.claim.id not in waiting)
    return len(lost)


async def ask_again(database: Database) -> int:
    """Make every pending or held payment due that was open when this server took over. Returns how many.

    The changes of the last moment may be missing, also where no process can tell. A payment that was asked about since
    is left alone.
    """
    rows = await database.fetch(_TO_ASK)
    if not rows:
        return 0
    since: datetime = rows[0]["since"]
    made = 0
    for query in (_PENDING, _HELD):
        made += await _make_due(database, query, since)
    await database.execute(_ASKED, since)
    log.warning("failover.asked_again", payments=made)
    database.notify(Wakeup(look_at=database.clock.now()))
    return made


async def _make_due(database: Database, query: str, since: datetime) -> int:
    made, last = 0, ("", since.replace(year=1), "")
    while rows := await database.fetch(query, *last, BATCH):
        due = partial(database.execute, _MAKE_DUE, [row["id"] for row in rows], since)
        made += rows_changed(await despite_others(due))
        last = rows[-1]["owner"], rows[-1]["opened_at"], rows[-1]["id"]
    return made
