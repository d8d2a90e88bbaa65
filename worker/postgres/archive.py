"""What buyers left with us and how long it is kept: callbacks as received, and what checkouts were opened with.

The one thing to get wrong: what is kept for good. Payments, their facts, timelines, events and resolutions are; they
hold nothing about a buyer. What is forgotten here is.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from worker.postgres.database import Database
from worker.runtime.encryption import ArchiveCipher

AT_ONCE = 5_000

_KEEP = "SELECT made, dropped, deleted FROM archive_keep($1)"
_FORGET = """
    DELETE FROM openings WHERE payment_id IN (
        SELECT o.payment_id FROM openings o JOIN payments p ON p.id = o.payment_id
        WHERE p.opened AND o.personal OR p.opened_at < clock_timestamp() - $1::interval LIMIT $2)
"""
_READ = "SELECT claim_id, key_id, body FROM archive WHERE claim_id = $1"


class ArchiveMaintained(Struct, frozen=True, kw_only=True):
    """Partitions that were made and dropped; callbacks in none of them, and requests of checkouts, that are gone."""

    made: int
    dropped: int
    deleted: int
    openings: int


async def maintain_archive(database: Database, retention: timedelta) -> ArchiveMaintained:
    """Make partitions ahead, and forget what is older than `retention`; any number of processes may at once."""
    (row,) = await database.fetch(_KEEP, retention)
    return ArchiveMaintained(**dict(row), openings=await _forget_openings(database, retention))


async def _forget_openings(database: Database, retention: timedelta) -> int:
    """A request opens its checkout again only while there is none, so what it tells of the buyer goes once there is.

    One that tells nothing of a buyer stays until its time is over: it tells an equal request from another.
    """
    forgotten = 0
    while True:
        done = await database.execute(_FORGET, retention, AT_ONCE)
        gone = int(done.split()[-1])
        forgotten += gone
        if gone < AT_ONCE:
            return forgotten


async def read_archived(database: Database, claim_id: str, cipher: ArchiveCipher) -> bytes | None:
    """The claim as JSON with its callback; None where there was none, or its time is over. Raises NotDecrypted."""
    for row in await database.fetch(_READ, claim_id):
        return cipher.decrypt(row["claim_id"], row["key_id"], row["body"])
    return None
