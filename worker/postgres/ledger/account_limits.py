"""What accounts may be asked, as rows of `allowances`; see consumers.checks.limits.

The one thing to get wrong: an account that nobody has asked about has no row, and so nothing to lock. Two processes
that ask about it at once both count from nothing, which costs its gateway a burst at most, once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from consumers.ports.allowance import Allowance
from worker.postgres.database import Connection

_KEEP = """
    INSERT INTO allowances (account, calls, at, troubles, shut_until, unknown_by)
    SELECT * FROM unnest($1::text[], $2::float8[], $3::timestamptz[], $4::int[], $5::timestamptz[], $6::jsonb[])
    ORDER BY 1
    ON CONFLICT (account) DO UPDATE SET calls = excluded.calls, at = excluded.at, troubles = excluded.troubles,
        shut_until = excluded.shut_until, unknown_by = excluded.unknown_by
"""
_LIMIT = """
    SELECT a.*, clock_timestamp() AS now, set_config('synchronous_commit', 'off', true)
    FROM (SELECT) AS one LEFT JOIN LATERAL (
        SELECT account, calls, at, troubles, shut_until, unknown_by
        FROM allowances WHERE account = ANY($1) ORDER BY account FOR UPDATE) AS a ON true
"""


class PostgresLimits:
    """See consumers.ports.ledger.Limits."""

    def __init__(
        self, connection: Connection[asyncpg.Record], now: datetime, allowances: Mapping[str, Allowance]
    ) -> None:
        self.now, self.allowances = now, allowances
        self._connection = connection

    async def keep(self, allowances: Sequence[Allowance]) -> None:
        if not allowances:
            return
        await self._connection.execute(
            _KEEP,
            [allowance.account for allowance in allowances],
            [allowance.calls for allowance in allowances],
            [allowance.at for allowance in allowances],
            [allowance.troubles for allowance in allowances],
            [allowance.shut_until for allowance in allowances],
            [allowance.unknown_by for allowance in allowances],
        )


async def open_limits(connection: Connection[asyncpg.Record], accounts: Collection[str]) -> PostgresLimits:
    """Lock what there is of these accounts, in a transaction that a crash of the database may forget."""
    rows = await connection.fetch(_LIMIT, sorted(accounts))
    now = max(row["now"] for row in rows)
    known = [msgspec.convert(dict(row), Allowance) for row in rows if row["account"] is not None]
    return PostgresLimits(connection, now, {one.account: one for one in known})
