"""Personal data of buyers and how long it is kept: callbacks as received, and the requests that opened checkouts.

Payments, their facts, timelines, events and resolutions are kept for good, and hold nothing about a buyer.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from msgspec import Struct

from schemas.callbacks import read_claim
from schemas.own_json import NotOurs
from worker.postgres.database import Database
from worker.runtime.encryption import ArchiveCipher

AT_ONCE = 5_000  # rows that one statement deletes

_KEEP = "SELECT made, dropped, deleted FROM archive_keep($1)"
_FORGET = """
    DELETE FROM openings WHERE payment_id IN (
        SELECT o.payment_id FROM openings o JOIN payments p ON p.id = o.payment_id
        WHERE p.opened AND o.personal OR p.opened_at < clock_timestamp() - $1::interval LIMIT $2)
"""
_READ = "SELECT claim_id, key_id, body FROM archive WHERE claim_id = $1"


class ArchiveMaintained(Struct, frozen=True, kw_only=True):
    """How many partitions of the archive were made and dropped, and how many rows were deleted.

    `deleted` are callbacks that were in no partition of a month. `openings` are requests of checkouts.
    """

    made: int
    dropped: int
    deleted: int
    openings: int


async def maintain_archive(database: Database, retention: timedelta) -> ArchiveMaintained:
    """Make partitions ahead, and delete personal data older than `retention`. Processes may do it at the same time."""
    (row,) = await database.fetch(_KEEP, retention)
    return ArchiveMaintained(**dict(row), openings=await _forget_openings(database, retention))


async def _forget_openings(database: Database, retention: timedelta) -> int:
    """Delete requests of checkouts: with personal data once the checkout exists, others after `retention`.

    Until then a request without personal data tells an equal request from another. Returns how many were deleted.
    """
    forgotten = 0
    while True:
        done = await database.execute(_FORGET, retention, AT_ONCE)
        gone = int(done.split()[-1])
        forgotten += gone
        if gone < AT_ONCE:
            return forgotten


async def read_archived(database: Database, claim_id: str, cipher: ArchiveCipher) -> bytes | None:
    """The claim as JSON with its callback; None where none was archived, or it is deleted. Raises NotDecrypted."""
    for row in await database.fetch(_READ, claim_id):
        return cipher.decrypt(row["claim_id"], row["key_id"], row["body"])
    return None


def digest_only(archived: bytes) -> str | None:
    """Why only a digest of a callback is stored, in words; None if all of it is, or a newer release wrote it."""
    with suppress(NotOurs):
        callback = read_claim(archived).callback
        return str(callback.omitted) if callback is not None and callback.omitted is not None else None
    return None
