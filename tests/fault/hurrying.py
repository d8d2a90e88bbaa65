"""Time, moved by hand: in production the work of a dead process is taken up only after half a minute and more.

Only work that stood still between two looks is hurried, so that a live worker's question is left alone. The long run
(`deploy/dev fault`) hurries nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from worker.runtime.cancellation import end_one

LOOK_SECONDS = 1.2

_STANDING = """
    SELECT 'lease' AS what, id, lease_until AS at FROM payments WHERE lease_until > clock_timestamp()
    UNION ALL SELECT 'opening', id, opening_until FROM payments WHERE opening_until > clock_timestamp()
    UNION ALL SELECT 'execute', id, execute_asked_at FROM payments
        WHERE execute_state = 'kept' AND status = 'pending' AND execute_asked_at > clock_timestamp() - interval '60 s'
    UNION ALL SELECT 'swept', id, next_check_at FROM payments
        WHERE status = 'pending' AND lease_until IS NULL AND next_check_at > clock_timestamp() + interval '5 s'
    UNION ALL SELECT 'key', key, busy_until FROM idempotency WHERE busy_until > clock_timestamp()
    UNION ALL SELECT 'queued', claim_id, available_at FROM queue WHERE available_at > clock_timestamp()
"""
_HURRY = {
    "lease": "UPDATE payments SET lease_until = clock_timestamp(), next_check_at = clock_timestamp() "
    "WHERE id = ANY($1) AND lease_until IS NOT NULL",
    "opening": "UPDATE payments SET opening_until = clock_timestamp() WHERE id = ANY($1) AND opening_until IS NOT NULL",
    "execute": "UPDATE payments SET execute_asked_at = execute_asked_at - interval '60 s' WHERE id = ANY($1)",
    "swept": "UPDATE payments SET next_check_at = clock_timestamp() WHERE id = ANY($1) AND lease_until IS NULL",
    "key": "UPDATE idempotency SET busy_until = clock_timestamp() WHERE key = ANY($1)",
    "queued": "UPDATE queue SET available_at = clock_timestamp() WHERE claim_id = ANY($1)",
}


@asynccontextmanager
async def hurried(database_url: str) -> AsyncIterator[None]:
    """While the block runs, work that no process has in hand any more is due at once."""
    running = asyncio.create_task(_hurry(database_url))
    try:
        yield
    finally:
        await end_one(running)


async def _hurry(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        seen: set[tuple[object, ...]] = set()
        while True:
            standing = {tuple(row) for row in await connection.fetch(_STANDING)}
            for what, hurry in _HURRY.items():
                if still := [row[1] for row in standing & seen if row[0] == what]:
                    await connection.execute(hurry, still)
            seen = standing
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()
