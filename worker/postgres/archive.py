"""Personal data of buyers and how long it is kept: callbacks as received, and the requests that opened checkouts.

Payments, their facts, timelines, events and resolutions hold nothing about a buyer.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from msgspec import Struct

from schemas.callbacks import read_claim
from schemas.own_json import NotOurs
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database
from worker.runtime.encryption import ArchiveCipher

_KEEP = "SELECT made, dropped, deleted FROM archive_keep($1)"
_FORGET_CALLBACKS = "SELECT archive_forget($1, $2) AS deleted"

# A subquery that gives one value for each row is always asked by the payment's key, however large `payments` is.
_FORGET_PERSONAL = """
    DELETE FROM openings WHERE payment_id = ANY(ARRAY(
        SELECT o.payment_id FROM openings o
        WHERE o.personal AND coalesce((
            SELECT p.opened OR p.opened_at < now() - $1::interval
            FROM payments p WHERE p.id = o.payment_id), true)
        ORDER BY o.payment_id LIMIT $2))
"""
_FORGET = """
    DELETE FROM openings WHERE payment_id = ANY(ARRAY(
        SELECT o.payment_id FROM openings o
        WHERE NOT o.personal AND o.recorded_at < now() - $1::interval
        ORDER BY o.recorded_at LIMIT $2))
"""
_FORGET_CONTACTS = """
    DELETE FROM contacts WHERE payment_id = ANY(ARRAY(
        SELECT c.payment_id FROM contacts c WHERE c.recorded_at < now() - $1::interval
        ORDER BY c.recorded_at LIMIT $2))
"""
_READ = "SELECT claim_id, key_id, body FROM archive WHERE claim_id = $1"


class ArchiveMaintained(Struct, frozen=True, kw_only=True):
    """How many partitions of the archive were made and dropped.

    `deleted` are callbacks that were in no partition of a month.
    """

    made: int
    dropped: int
    deleted: int


async def maintain_archive(database: Database, retention: timedelta) -> ArchiveMaintained:
    """Make partitions ahead, and drop those older than `retention`. Processes may do it at the same time."""
    (row,) = await database.fetch(_KEEP, retention)
    return ArchiveMaintained(**dict(row))


async def forget_callbacks(retention: timedelta, database: Database, most: int) -> int:
    """Delete up to `most` callbacks that lie in no partition of a month. Returns how many."""
    (row,) = await database.fetch(_FORGET_CALLBACKS, retention, most)
    deleted: int = row["deleted"]
    return deleted


async def forget_personal_requests(retention: timedelta, database: Database, most: int) -> int:
    """Delete up to `most` requests with a buyer's data: once the checkout exists, or after `retention`.

    Returns how many.
    """
    return rows_changed(await database.execute(_FORGET_PERSONAL, retention, most))


async def forget_requests(retention: timedelta, database: Database, most: int) -> int:
    """Delete up to `most` requests without a buyer's data after `retention`. Returns how many.

    Until then a request tells an equal request from another.
    """
    return rows_changed(await database.execute(_FORGET, retention, most))


async def forget_contacts(retention: timedelta, database: Database, most: int) -> int:
    """Delete hashes of buyers' phone numbers and e-mail addresses after `retention`, and return how many.

    Those of a payment go together, so it may be some more than `most`. With its payment a hash goes at any time.
    """
    return rows_changed(await database.execute(_FORGET_CONTACTS, retention, most))


async def claim_is_of(database: Database, claim_id: str, payment_id: str) -> bool:
    """Whether the claim is about this payment."""
    if not claim_id or "\0" in claim_id:
        return False
    rows = await database.fetch("SELECT FROM claims WHERE id = $1 AND payment_id = $2", claim_id, payment_id)
    return bool(rows)


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
