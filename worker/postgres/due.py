"""Which payments the sweep looks at next: taken with SKIP LOCKED, so that any number of sweeps share the work.

The one thing to get wrong: a gateway that hangs, or that is no longer configured. What is due stays due, so without a
bound the sweep would queue the same payments again and again, ahead of the callbacks that come meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from worker.postgres.database import Database

SWEPT_SECONDS = 30
MOST_WAITING = 200
"""A gateway with so many claims waiting is left to work them off first; those that are due keep their time."""

_TAKE = f"""
    UPDATE payments SET next_check_at = clock_timestamp() + interval '{SWEPT_SECONDS} s'
    WHERE id IN (
        SELECT id FROM payments WHERE next_check_at <= clock_timestamp()
            AND provider <> ALL ($2)
        ORDER BY next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING id, account, provider
"""  # noqa: S608 - the numbers are our own


async def take_due(database: Database, most: int, waiting: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Take payments that are due, as (payment id, account, provider); each comes back if its claim is lost.

    `waiting` is how many claims wait for each gateway.
    """
    full = [provider for provider, claims in waiting.items() if claims >= MOST_WAITING]
    return [(row["id"], row["account"], row["provider"]) for row in await database.fetch(_TAKE, most, full)]


async def next_due_at(database: Database) -> datetime | None:
    """When the next payment is due; in the past where those due are locked, or their gateway's queue is full."""
    rows = await database.fetch("SELECT min(next_check_at) AS at FROM payments WHERE next_check_at IS NOT NULL")
    at: datetime | None = rows[0]["at"]
    return at
