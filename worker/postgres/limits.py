"""What accounts may be asked, as rows of `allowances`; see consumers.allowance.

The one thing to get wrong: an account that nobody has asked about has no row, and so nothing to lock. Two who ask about
it at once both count from nothing, which costs its gateway a burst at most, once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from consumers.allowance import Allowance
from worker.postgres.database import Connection

_COLUMNS = "account, calls, at, troubles, shut_until, unknown_by"
_READ = f"SELECT {_COLUMNS} FROM allowances WHERE account = ANY($1) ORDER BY account"  # noqa: S608 - our own words
_LOCK = f"{_READ} FOR UPDATE"
_KEEP = """
    INSERT INTO allowances (account, calls, at, troubles, shut_until, unknown_by)
    SELECT * FROM unnest($1::text[], $2::float8[], $3::timestamptz[], $4::int[], $5::timestamptz[], $6::jsonb[])
    ORDER BY 1
    ON CONFLICT (account) DO UPDATE SET calls = excluded.calls, at = excluded.at, troubles = excluded.troubles,
        shut_until = excluded.shut_until, unknown_by = excluded.unknown_by
"""
_LIMIT = f"""
    SELECT a.*, clock_timestamp() AS now, set_config('synchronous_commit', 'off', true)
    FROM (SELECT) AS one LEFT JOIN LATERAL ({_LOCK}) AS a ON true
"""  # noqa: S608 - our own words


class PostgresLimits:
    """See consumers.ledger.Limits."""

    def __init__(
        self, connection: Connection[asyncpg.Record], now: datetime, allowances: Mapping[str, Allowance]
    ) -> None:
        self.now, self.allowances = now, allowances
        self._connection = connection

    async def keep(self, allowances: Sequence[Allowance]) -> None:
        await keep_allowances(self._connection, allowances)


async def open_limits(connection: Connection[asyncpg.Record], accounts: Collection[str]) -> PostgresLimits:
    """Lock what there is of these accounts, in a transaction that a crash of the database may forget."""
    rows = await connection.fetch(_LIMIT, sorted(accounts))
    now = max(row["now"] for row in rows)
    return PostgresLimits(connection, now, _by_account([row for row in rows if row["account"] is not None]))


async def read_allowances(
    connection: Connection[asyncpg.Record], accounts: Collection[str], *, locked: bool
) -> Mapping[str, Allowance]:
    return _by_account(await connection.fetch(_LOCK if locked else _READ, list(accounts)) if accounts else [])


async def keep_allowances(connection: Connection[asyncpg.Record], allowances: Sequence[Allowance]) -> None:
    if not allowances:
        return
    await connection.execute(
        _KEEP,
        [allowance.account for allowance in allowances],
        [allowance.calls for allowance in allowances],
        [allowance.at for allowance in allowances],
        [allowance.troubles for allowance in allowances],
        [allowance.shut_until for allowance in allowances],
        [allowance.unknown_by for allowance in allowances],
    )


def _by_account(rows: Sequence[asyncpg.Record]) -> dict[str, Allowance]:
    return {row["account"]: msgspec.convert(dict(row), Allowance) for row in rows}
