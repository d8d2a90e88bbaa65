"""Counts of payments whose processing fails by itself; see consumers.checks.repeated_failure.

While a failure is counted, another transaction may hold the payment's row locked. So only `stop` locks that row.
"""

from __future__ import annotations

import asyncpg
import msgspec

from consumers.checks.repeated_failure import LOST, Failing
from schemas.checks import Checks
from schemas.letters import KeptReply
from schemas.shown import is_payment_id
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Connection, Database

ANEW_SECONDS = 3600
"""After so long without a failure, the next failure counts as the first, unless asking was stopped."""

_COLUMNS = ", ".join(Failing.__struct_fields__)
_ANEW = f"f.stopped_at IS NULL AND f.last_at < excluded.last_at - interval '{ANEW_SECONDS} s'"
_COUNT = f"""
    INSERT INTO failures AS f (payment_id, failures, first_at, last_at, reason)
    SELECT id, greatest($4, 0), clock_timestamp(), clock_timestamp(), coalesce($3, '{LOST}')
    FROM payments WHERE id = $1 AND account = $2
    ON CONFLICT (payment_id) DO UPDATE SET reason = coalesce($3, f.reason), last_at = excluded.last_at,
        failures = CASE WHEN {_ANEW} THEN excluded.failures ELSE greatest(f.failures + $4, 0) END,
        first_at = CASE WHEN {_ANEW} THEN excluded.first_at ELSE f.first_at END
    RETURNING {_COLUMNS}
"""  # noqa: S608 - our own words
_READ = f"SELECT {_COLUMNS} FROM failures WHERE payment_id = $1"  # noqa: S608 - our own names
_KEEP = """
    INSERT INTO dead (claim_id, provider, body, reason, kind) SELECT $1, $2, $3, $4, 'reply'
    WHERE NOT EXISTS (SELECT FROM dead WHERE claim_id = $1 AND kind = 'reply')
"""
_STOP = "UPDATE failures SET stopped_at = coalesce(stopped_at, clock_timestamp()) WHERE payment_id = $1"
_REST = """
    UPDATE payments SET lease_until = NULL, next_check_at = CASE
        WHEN status = 'pending' AND now() + make_interval(secs => $2) <= opened_at + make_interval(secs => $3)
        THEN now() + make_interval(secs => $2) END
    WHERE id = $1
"""
"""Ends the payment's question, and puts off its next check by the longest interval of its schedule, or for good."""

_HEALED = """
    DELETE FROM failures WHERE payment_id = ANY(ARRAY(
        SELECT f.payment_id FROM failures f
        WHERE (SELECT p.lease_until IS NULL AND p.asked_at > f.last_at FROM payments p WHERE p.id = f.payment_id)
        ORDER BY f.payment_id LIMIT $1))
"""
"""A subquery that gives one value for each row is always asked by the payment's key, however large `payments` is."""


class PostgresFailures:
    """See consumers.checks.repeated_failure.Failures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, payment_id: str, account: str, reason: str | None, by: int = 1) -> Failing | None:
        if not is_payment_id(payment_id):  # it comes from a claim, and may be a text that Postgres refuses
            return None
        rows = await self._database.fetch(_COUNT, payment_id, account, reason, by)
        return Failing(**dict(rows[0])) if rows else None

    async def keep(self, letter_id: str, reply: KeptReply, reason: str) -> None:
        await self._database.execute(_KEEP, letter_id, reply.provider, msgspec.json.encode(reply), reason)

    async def stop(self, payment_id: str, checks: Checks) -> None:
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_REST, payment_id, checks.pending[-1], checks.give_up)
            await connection.execute(_STOP, payment_id)

    async def forget(self, payment_id: str, letter_id: str | None = None) -> None:
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("DELETE FROM failures WHERE payment_id = $1", payment_id)
            await connection.execute("DELETE FROM dead WHERE claim_id = $1 AND kind = 'reply'", letter_id)


async def read_failing(connection: Connection[asyncpg.Record], payment_id: str) -> Failing | None:
    row = await connection.fetchrow(_READ, payment_id)
    return Failing(**dict(row)) if row else None


async def forget_healed(database: Database, most: int) -> int:
    """Delete up to `most` counts of payments about which a question was asked later and its reply recorded.

    Any process may have recorded it. Returns how many.
    """
    return rows_changed(await database.execute(_HEALED, most))
