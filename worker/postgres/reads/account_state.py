"""The state of each account, for operators: what waits for its gateway, its breaker, and what is left of its budget."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import asyncpg
from msgspec import Struct

from consumers.account import Account
from consumers.checks.limits import breaker_open, forgetful, refilled
from consumers.ports.call_limits import AccountLimits
from worker.postgres.database import Connection
from worker.postgres.watermark import Watermarks

_ACCOUNTS = """
    SELECT a.account, clock_timestamp() AS now,
        (SELECT p.opened_at FROM payments p
         WHERE p.account = a.account AND p.status = 'pending' AND p.hold IS NULL AND p.opened_at >= a.pending_from
         ORDER BY p.opened_at LIMIT 1) AS pending_since,
        (SELECT p.next_check_at FROM payments p WHERE p.account = a.account AND p.next_check_at >= a.due_from
         ORDER BY p.next_check_at LIMIT 1) AS due_since,
        l.calls, l.at, l.troubles, l.shut_until, l.unknown_by
    FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS a (account, pending_from, due_from)
    LEFT JOIN allowances l ON l.account = a.account
"""


class AccountState(Struct, frozen=True, kw_only=True):
    """The state of one account. `unresolved` and `overdue` are ages in seconds, 0 without such a payment.

    `unresolved`: of the oldest payment that is pending and not held. `overdue`: how long the longest waiting payment is
    due. `forgetful`: see consumers.checks.limits. `calls`: how many are left of its budget; None without a budget.
    """

    account: str
    provider: str
    unresolved: float
    overdue: float
    breaker_open: bool
    forgetful: bool
    calls: float | None


async def read_accounts(
    connection: Connection[asyncpg.Record], accounts: Collection[Account], marks: Watermarks, now: datetime
) -> list[AccountState]:
    """The state of these accounts. `marks`: see `worker.postgres.reads.installation_state`."""
    known = {account.id: account for account in accounts}
    bounds = {kind: [marks[kind, one].bound(now) for one in known] for kind in ("pending", "due")}
    rows = await connection.fetch(_ACCOUNTS, list(known), *bounds.values())
    found = {row["account"]: row for row in rows}
    for kind, since in bounds.items():
        for one, bound in zip(known, since, strict=True):
            marks[kind, one].saw(bound, found[one][f"{kind}_since"], now)
    return [_account(known[row["account"]], row) for row in rows]


def _account(account: Account, row: asyncpg.Record) -> AccountState:
    rate, now = account.calls_per_second, row["now"]
    account_limits = _account_limits(row, now)
    return AccountState(
        account=account.id,
        provider=account.provider.name,
        unresolved=_age(row["pending_since"], now),
        overdue=max(0, _age(row["due_since"], now)),
        breaker_open=breaker_open(account_limits),
        forgetful=forgetful(account_limits),
        calls=None if rate is None or account_limits is None else refilled(account_limits, rate, now).calls,
    )


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else (now - since).total_seconds()


def _account_limits(row: asyncpg.Record, now: datetime) -> AccountLimits | None:
    """The account's row; None if its gateway was never asked. A time ahead of `now` counts as now."""
    if row["at"] is None:
        return None
    kept = {name: row[name] for name in ("account", "calls", "troubles", "shut_until")}
    return AccountLimits(**kept, at=min(row["at"], now), unknown_by=tuple(row["unknown_by"]))
