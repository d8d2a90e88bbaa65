"""What was taken from the budgets of callbacks' bytes, shared by all processes, and the size of the archive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database

BudgetKey = tuple[datetime, str, str]
"""The beginning of the hour or day, the budget's name, and the digest of what it is for."""

_ADD = """
    INSERT INTO byte_budgets AS b (since, budget, name, bytes)
    SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::bigint[]) ORDER BY 1, 2, 3
    ON CONFLICT (since, budget, name) DO UPDATE SET bytes = b.bytes + excluded.bytes
    RETURNING since, budget, name, bytes
"""
_FORGET = """
    DELETE FROM byte_budgets WHERE (since, budget, name) IN (
        SELECT since, budget, name FROM byte_budgets WHERE since < now() - interval '1 day' ORDER BY since LIMIT $1)
"""

ARCHIVE_BYTES = """
    SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint AS bytes
    FROM pg_partition_tree('archive') WHERE isleaf
"""
"""With indexes and the parts that are stored beside the rows. No right to the rows is needed."""


async def add_spent(database: Database, spent: Mapping[BudgetKey, int]) -> dict[BudgetKey, int]:
    """Add these bytes. Returns how many all processes have added to each of them."""
    since, budgets, names = zip(*spent, strict=True)
    rows = await database.fetch(_ADD, since, budgets, names, list(spent.values()))
    return {(row["since"], row["budget"], row["name"]): row["bytes"] for row in rows}


async def forget_spent(database: Database, most: int) -> int:
    """Delete up to `most` rows of hours and days that are over. Returns how many."""
    return rows_changed(await database.execute(_FORGET, most))


async def archive_bytes(database: Database) -> int:
    (row,) = await database.fetch(ARCHIVE_BYTES)
    return int(row["bytes"])
