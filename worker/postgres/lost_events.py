"""What a failover lost, found by what processes remember. Events are kept for operators and counted for the alert."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from asyncpg import Record
from msgspec import structs

from schemas.callbacks import Claim
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Connection, Database
from worker.postgres.witness import HeardClaim, SeenEvent

KEPT = timedelta(days=30)
_FORGET = """
    DELETE FROM lost_events WHERE id IN (
        SELECT id FROM lost_events WHERE found_at < now() - $1::interval ORDER BY found_at LIMIT $2)
"""

_FIND = """
    INSERT INTO lost_events AS l (id, payment_id, type, merchant, account, reference)
    SELECT s.id, s.payment_id, s.type, s.merchant, s.account, s.reference
    FROM jsonb_to_recordset($1)
        AS s (id text, payment_id text, type text, merchant text, account text, reference text)
    WHERE (SELECT true FROM events e WHERE e.id = s.id) IS NULL
    ORDER BY s.id
    ON CONFLICT (id) DO UPDATE SET reference = coalesce(l.reference, excluded.reference)
    RETURNING id, payment_id, account, reference
"""
_ASK_AGAIN = """
    UPDATE payments SET urgent_at = clock_timestamp(), next_check_at = clock_timestamp()
    WHERE id IN (SELECT id FROM payments WHERE id = ANY($1) ORDER BY id FOR UPDATE)
"""
_CLAIMS = """
    SELECT h.id, h.payment_id,
        (SELECT true FROM claims c WHERE c.id = h.id) IS NULL
            AND (SELECT true FROM kept k WHERE k.claim_id = h.id) IS NULL
            AND (SELECT true FROM queue q WHERE q.claim_id = h.id) IS NULL AS missing,
        h.payment_id IS NOT NULL AND (SELECT true FROM payments p WHERE p.id = h.payment_id) IS NULL AS gone
    FROM unnest($1::text[], $2::text[]) AS h (id, payment_id)
"""
LOST = """
    SELECT * FROM (
        SELECT l.id, l.account, l.reference, l.found_at, coalesce(
            (SELECT false FROM payments p WHERE p.id = l.payment_id),
            (SELECT false FROM payments p WHERE p.account = l.account AND p.reference = l.reference), true) AS missing
        FROM lost_events l) AS lost
    WHERE missing OR found_at > clock_timestamp() - interval '1 day' ORDER BY found_at DESC, id LIMIT 10000
"""
"""Events that a failover lost: for a day, and while `missing`, until the shop has posted their payment again."""


async def write_lost(connection: Connection[Record], events: Sequence[SeenEvent]) -> list[Record]:
    """Write those of the events that the server does not have. Returns their rows.

    Their payments are made due, also those that were closed or paid before.
    """
    by_id = {event.id: structs.asdict(event) | {"payment_id": event.payment_id} for event in events}
    lost: list[Record] = await connection.fetch(_FIND, list(by_id.values()))
    if lost:
        await connection.execute(_ASK_AGAIN, sorted({row["payment_id"] for row in lost}))
    return lost


async def lost_claims(database: Database, heard: Sequence[HeardClaim]) -> tuple[list[Claim], set[str]]:
    """Those of the claims that the server does not have, and the ids of the payments that it does not have."""
    rows = await database.fetch(
        _CLAIMS, [one.claim.id for one in heard], [one.payment_id or one.claim.payment_id for one in heard]
    )
    missing = {row["id"] for row in rows if row["missing"]}
    gone = {row["payment_id"] for row in rows if row["gone"]}
    return [one.claim for one in {one.claim.id: one for one in heard}.values() if one.claim.id in missing], gone


async def read_lost(database: Database) -> list[Record]:
    """The rows of LOST, newest first. Raises DatabaseUnavailable."""
    return await database.fetch(LOST)


async def count_lost(database: Database) -> int:
    """How many rows LOST has. Raises DatabaseUnavailable."""
    (row,) = await database.fetch(f"SELECT count(*) AS count FROM ({LOST}) AS lost")  # noqa: S608 - our own words
    return int(row["count"])


async def forget_lost(database: Database, most: int) -> int:
    """Delete up to `most` rows that are older than KEPT. Returns how many."""
    return rows_changed(await database.execute(_FORGET, KEPT, most))
