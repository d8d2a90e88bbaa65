"""Rows of payments that no shop announced, and the writes when a shop announces such a payment after all.

Rows are inserted in the order of their references, before any of their keys is reserved, and the transaction locks no
other payment. So two runs cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from schemas.payments import Payment
from worker.postgres.database import Connection
from worker.postgres.idempotency_keys import came_to
from worker.postgres.ledger.rows import ANNOUNCE, INSERT_MANY
from worker.postgres.past_payments import past_reference, with_past_references


async def insert(connection: Connection[asyncpg.Record], payments: Sequence[Payment]) -> frozenset[str]:
    """Insert the payments whose reference is free, and was no deleted payment's. Returns their ids.

    Waits for other transactions that are inserting a payment with one of these references.
    """
    rows = await connection.fetch(INSERT_MANY, list(payments))
    new = frozenset(row["id"] for row in rows)
    past = await with_past_references(connection, list(new))
    await withdraw(connection, list(past))
    return new - past


async def withdraw(connection: Connection[asyncpg.Record], payment_ids: Sequence[str]) -> None:
    """Delete rows that this transaction inserted, and the keys that it reserved for them."""
    if not payment_ids:
        return
    for table in ("sessions", "transactions"):
        await connection.execute(f"DELETE FROM {table} WHERE payment_id = ANY($1)", list(payment_ids))  # noqa: S608
    await connection.execute("DELETE FROM payments WHERE id = ANY($1)", list(payment_ids))


class _PastReference(Exception):
    def __init__(self, payment_id: str) -> None:
        super().__init__(payment_id)
        self.payment_id = payment_id


async def _write_announced(connection: Connection[asyncpg.Record], payment: Payment) -> None:
    await connection.execute(ANNOUNCE, payment)
    if past := await past_reference(connection, payment.account, payment.reference):
        raise _PastReference(past)


async def announce(
    connection: Connection[asyncpg.Record], payment: Payment, request: dict[str, Any], proposed: str
) -> str | None:
    """See `adopt_row` of consumers.ports.ledger.Batch. A reference that is taken undoes this step alone."""
    try:
        async with connection.transaction():
            await _write_announced(connection, payment)
    except _PastReference as taken:
        return taken.payment_id
    except asyncpg.UniqueViolationError:
        other: str | None = await connection.fetchval(
            "SELECT id FROM payments WHERE account = $1 AND reference = $2", payment.account, payment.reference
        )
        return other or payment.id
    await connection.execute(
        """INSERT INTO openings (payment_id, request) VALUES ($1, $2)
           ON CONFLICT (payment_id) DO UPDATE SET request = excluded.request""",
        payment.id,
        request,
    )
    await came_to(connection, proposed, payment.id)
    return None
