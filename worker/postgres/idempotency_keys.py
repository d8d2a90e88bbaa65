"""Answers to POSTs with an Idempotency-Key, kept for 24 hours, and the keys whose requests are being worked on.

While `busy_until` is ahead, a row is the claim of one request on its key, and `body` is the id that its payment gets.
Later `body` is the answer, with its status. A request that takes over the key of a process that died gets the same
payment id. So it finds the payment if that process had opened it already. A request that went on with a payment that
was there before has that payment's id in `body`, from that transaction on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg
from msgspec import Struct

from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Connection, Database

KEPT = timedelta(hours=24)

_CLAIM = """
    INSERT INTO idempotency AS i (merchant, key, request_hash, body, started_at, busy_until)
    VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp() + $5)
    ON CONFLICT (merchant, key) DO UPDATE SET
        request_hash = excluded.request_hash, status = NULL,
        body = CASE WHEN i.started_at < clock_timestamp() - $6::interval THEN excluded.body ELSE i.body END,
        started_at = excluded.started_at, busy_until = excluded.busy_until
    WHERE (i.busy_until IS NULL OR i.busy_until < clock_timestamp())
        AND (i.started_at < clock_timestamp() - $6 OR (i.status IS NULL AND i.request_hash = excluded.request_hash))
    RETURNING body, busy_until
"""
_FORGET = """
    DELETE FROM idempotency WHERE ctid = ANY(ARRAY(
        SELECT i.ctid FROM idempotency i
        WHERE i.started_at < now() - $1::interval AND (i.busy_until IS NULL OR i.busy_until < now())
        ORDER BY i.started_at LIMIT $2 FOR UPDATE SKIP LOCKED))
"""


class Claimed(Struct, frozen=True, kw_only=True):
    """The caller has the key until `until`.

    `payment_id` is the id to use: the caller's own, or the id of an earlier holder that gave no answer.
    """

    payment_id: str
    until: datetime


class StoredAnswer(Struct, frozen=True, kw_only=True):
    """The request with this key was answered before: with this HTTP status and body."""

    status: int
    body: bytes


class OtherBody(Struct, frozen=True):
    """Another request has used the key."""


class Busy(Struct, frozen=True):
    """Another process is working on the same request."""


async def claim_key(
    database: Database, merchant: str, key: str, request_hash: bytes, payment_id: str, busy: timedelta
) -> Claimed | StoredAnswer | OtherBody | Busy:
    """Claim the key for `busy`: a new key, a key older than 24 hours, or a key whose holder is overdue or released it.

    `payment_id` is used for a new payment. Of a key younger than 24 hours, only an equal request gets the claim.
    """
    async with database.connection() as connection:
        while True:
            taken = await connection.fetchrow(_CLAIM, merchant, key, request_hash, payment_id.encode(), busy, KEPT)
            if taken is not None:
                return Claimed(payment_id=taken["body"].decode(), until=taken["busy_until"])
            row = await connection.fetchrow(
                "SELECT request_hash, status, body FROM idempotency WHERE merchant = $1 AND key = $2", merchant, key
            )
            if row is None:  # forgotten in between
                continue
            if row["request_hash"] != request_hash:
                return OtherBody()
            return Busy() if row["status"] is None else StoredAnswer(status=row["status"], body=row["body"])


async def came_to(connection: Connection[asyncpg.Record], proposed: str, payment_id: str) -> None:
    """Note that the request being worked on under the id `proposed` goes on with the payment `payment_id`."""
    if proposed != payment_id:
        await connection.execute(
            "UPDATE idempotency SET body = $2 WHERE body = $1 AND status IS NULL",
            proposed.encode(),
            payment_id.encode(),
        )


async def store_answer(database: Database, merchant: str, key: str, claimed: Claimed, status: int, body: bytes) -> None:
    """Store the answer, unless the claim ran out and another request has the key."""
    await database.execute(
        """UPDATE idempotency SET status = $4, body = $5, busy_until = NULL
           WHERE merchant = $1 AND key = $2 AND busy_until = $3""",
        merchant,
        key,
        claimed.until,
        status,
        body,
    )


async def release_key(database: Database, merchant: str, key: str, claimed: Claimed) -> None:
    """End the claim without an answer. An equal request may try at once; another request with the key is refused."""
    await database.execute(
        "UPDATE idempotency SET busy_until = clock_timestamp() WHERE merchant = $1 AND key = $2 AND busy_until = $3",
        merchant,
        key,
        claimed.until,
    )


async def forget_old(database: Database, most: int) -> int:
    """Delete up to `most` keys that are older than 24 hours and not being worked on. Returns how many."""
    return rows_changed(await database.execute(_FORGET, KEPT, most))
