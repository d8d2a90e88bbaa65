"""Payments past their retention: they are deleted with their whole history, and their keys stay for good.

A reference stays in `past_payments`; sessions, transactions and the paid order stay where they are, and name a payment
that is not here any more. So a key of a deleted payment never becomes another payment's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg

from worker.postgres.database import Connection, Database, Reads

PART = 5
"""Of a payment a dozen rows are deleted, so a statement deletes so much fewer payments than other rows."""

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_MERCHANT_AFTER = "SELECT merchant FROM payments WHERE merchant > $1 ORDER BY merchant LIMIT 1"
_DELETE = "SELECT walked, deleted, last_at, last_id FROM delete_old_payments($1, $2, $3, $4, $5)"
_DELETED_AT = "SELECT deleted_at FROM past_payments WHERE id = $1 AND merchant = ANY($2)"
_REFERENCE = "SELECT id FROM past_payments WHERE account = $1 AND reference = $2"
_REFERENCES = """
    SELECT p.id FROM payments p WHERE p.id = ANY($1) AND EXISTS (
        SELECT FROM past_payments x WHERE x.account = p.account AND x.reference = p.reference)
"""


class PastPayments:
    """One walk over the payments of all merchants, oldest first. `retention` None: all are kept.

    What is still needed is passed over, so a walk remembers where it is.
    """

    def __init__(self, retention: timedelta | None) -> None:
        self._retention = retention
        self._merchant = ""
        self._after = _FIRST, ""
        self.deleted = 0

    async def delete_batch(self, database: Database, most: int) -> int:
        """Walk on by `most` / PART payments. Returns `most` while there are more to walk, then 0."""
        if self._retention is None:
            return 0
        if not self._merchant and not await self._next_merchant(database):
            return 0
        (row,) = await database.fetch(_DELETE, self._merchant, self._retention, most // PART, *self._after)
        self.deleted += row["deleted"]
        if row["walked"] == most // PART:
            self._after = row["last_at"], row["last_id"]
            return most
        return most if await self._next_merchant(database) else 0

    async def _next_merchant(self, database: Database) -> bool:
        rows = await database.fetch(_MERCHANT_AFTER, self._merchant)
        self._merchant, self._after = (rows[0]["merchant"] if rows else ""), (_FIRST, "")
        return bool(rows)


async def deleted_at(database: Reads, merchants: list[str], payment_id: str) -> datetime | None:
    """When retention deleted this payment of one of these merchants; None if it did not."""
    rows = await database.fetch(_DELETED_AT, payment_id, merchants)
    return rows[0]["deleted_at"] if rows else None


async def past_reference(connection: Connection[asyncpg.Record], account: str, reference: str) -> str | None:
    """The id of the deleted payment that has this reference for good, or None.

    Ask it after the row with that reference was written: a deletion that this write waited for is seen only then.
    """
    found: str | None = await connection.fetchval(_REFERENCE, account, reference)
    return found


async def with_past_references(connection: Connection[asyncpg.Record], payment_ids: list[str]) -> frozenset[str]:
    """Those of these payments whose reference is a deleted payment's. Ask it after their rows were written."""
    return frozenset(row["id"] for row in await connection.fetch(_REFERENCES, payment_ids))
