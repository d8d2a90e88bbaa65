"""Which payments the sweep looks at next: taken with SKIP LOCKED, so that any number of sweeps share the work."""

from __future__ import annotations

from datetime import datetime

from worker.postgres.database import Database

SWEPT_SECONDS = 30

_TAKE = f"""
    UPDATE payments SET next_check_at = clock_timestamp() + interval '{SWEPT_SECONDS} s'
    WHERE id IN (
        SELECT id FROM payments WHERE next_check_at <= clock_timestamp() ORDER BY next_check_at
        LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING id, account, provider
"""  # noqa: S608 - the span is our own number


async def take_due(database: Database, most: int) -> list[tuple[str, str, str]]:
    """Take payments that are due, as (payment id, account, provider); each comes back if its claim is lost."""
    return [(row["id"], row["account"], row["provider"]) for row in await database.fetch(_TAKE, most)]


async def next_due_at(database: Database) -> datetime | None:
    rows = await database.fetch("SELECT min(next_check_at) AS at FROM payments WHERE next_check_at IS NOT NULL")
    at: datetime | None = rows[0]["at"]
    return at
