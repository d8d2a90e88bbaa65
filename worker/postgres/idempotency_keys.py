"""Answers to POSTs with an Idempotency-Key, kept for 24 hours, and who is working on one now.

A row is a claim on a key until `busy_until`, with the id its payment gets in `body`; then the answer, with its status.
The one thing to get wrong: a holder that died. Whoever takes its claim over makes the payment under the same id, and so
knows its own payment again where the dead one had opened it already. A request that took up another's row, or adopted
a payment that was there, goes on under that payment's id from that transaction on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg
from msgspec import Struct

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


class Claimed(Struct, frozen=True, kw_only=True):
    """The key is ours until `until`. `payment_id` is the one to use: ours, or that of a holder that gave no answer."""

    payment_id: str
    until: datetime


class StoredAnswer(Struct, frozen=True, kw_only=True):
    """The key was answered."""

    status: int
    body: bytes


class OtherBody(Struct, frozen=True):
    """The key was used with another request."""


class Busy(Struct, frozen=True):
    """The same request is being worked on."""


async def claim_key(
    database: Database, merchant: str, key: str, request_hash: bytes, payment_id: str, busy: timedelta
) -> Claimed | StoredAnswer | OtherBody | Busy:
    """Claim the key for `busy`: a new one, one older than 24 hours, or one whose holder is overdue or gave it back."""
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
    """The request that is being worked on under the proposed id goes on under this one."""
    if proposed != payment_id:
        await connection.execute(
            "UPDATE idempotency SET body = $2 WHERE body = $1 AND status IS NULL",
            proposed.encode(),
            payment_id.encode(),
        )


async def store_answer(database: Database, merchant: str, key: str, claimed: Claimed, status: int, body: bytes) -> None:
    """Store the answer, unless the claim ran out and another has it."""
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
    """No answer to keep: the next POST of the same request may try at once; of another, the key is still used."""
    await database.execute(
        "UPDATE idempotency SET busy_until = clock_timestamp() WHERE merchant = $1 AND key = $2 AND busy_until = $3",
        merchant,
        key,
        claimed.until,
    )


async def forget_old(database: Database) -> int:
    """Delete what is older than 24 hours and not being worked on; returns how many."""
    done = await database.execute(
        """DELETE FROM idempotency WHERE started_at < clock_timestamp() - $1::interval
           AND (busy_until IS NULL OR busy_until < clock_timestamp())""",
        KEPT,
    )
    return int(done.split()[-1])
