"""The limits of accounts, as rows of the table `allowances`; see consumers.checks.limits.

An account without questions so far has no row to lock. Two processes that ask about it at the same time both count from
nothing, which costs its gateway one burst at most, once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from consumers.ports.call_limits import AccountLimits
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
    FROM (SELECT) AS one_row LEFT JOIN LATERAL (
        SELECT account, calls, at, troubles, shut_until, unknown_by
        FROM allowances WHERE account = ANY($1) ORDER BY account FOR UPDATE) AS a ON true
"""


class PostgresLimits:
    """See consumers.ports.ledger.LockedLimits."""

    def __init__(
        self, connection: Connection[asyncpg.Record], now: datetime, limits_by_account: Mapping[str, AccountLimits]
    ) -> None:
        self.now, self.limits_by_account = now, limits_by_account
        self._connection = connection

    async def save(self, limits_by_account: Sequence[AccountLimits]) -> None:
        if not limits_by_account:
            return
        await self._connection.execute(
            _KEEP,
            [account_limits.account for account_limits in limits_by_account],
            [account_limits.calls for account_limits in limits_by_account],
            [account_limits.at for account_limits in limits_by_account],
            [account_limits.troubles for account_limits in limits_by_account],
            [account_limits.shut_until for account_limits in limits_by_account],
            [account_limits.unknown_by for account_limits in limits_by_account],
        )


async def open_limits(connection: Connection[asyncpg.Record], accounts: Collection[str]) -> PostgresLimits:
    """Lock and read the rows of these accounts. If the database crashes, this transaction's writes may be lost."""
    rows = await connection.fetch(_LIMIT, sorted(accounts))
    now = max(row["now"] for row in rows)
    known = [msgspec.convert(dict(row), AccountLimits) for row in rows if row["account"] is not None]
    return PostgresLimits(connection, now, {account_limits.account: account_limits for account_limits in known})
