"""Each account's gateway for a person: does it answer, since when not, when is it probed, and what did it say last.

An account's last word is that of its payment that was asked about last: of its newest pending, completed and due ones.
So no look reads more than a few rows of an index, however many payments there are.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

import asyncpg
from msgspec import Struct

from consumers.account import Account
from consumers.checks.limits import BURST_SECONDS, breaker_open, refilled
from consumers.explain.answer_text import answer_words, masked
from consumers.ports.call_limits import AccountLimits
from worker.postgres.database import Reads

LOOKED_AT = 20
_ACCOUNTS = f"""
    SELECT a.account, clock_timestamp() AS now, l.calls, l.at, l.troubles, l.shut_until, l.unknown_by,
        asked.id AS payment_id, asked.asked_at, answered.checked_at, word.at AS word_at, word.data AS word
    FROM unnest($1::text[]) AS a (account)
    LEFT JOIN allowances l ON l.account = a.account
    LEFT JOIN LATERAL (
        SELECT array_agg(id) AS ids FROM (
            (SELECT p.id FROM payments p WHERE p.account = a.account AND p.completed_at IS NOT NULL
             ORDER BY p.completed_at DESC LIMIT {LOOKED_AT})
            UNION ALL (SELECT p.id FROM payments p WHERE p.account = a.account AND p.status = 'pending'
             AND p.hold IS NULL ORDER BY p.opened_at DESC LIMIT {LOOKED_AT})
            UNION ALL (SELECT p.id FROM payments p WHERE p.account = a.account AND p.next_check_at IS NOT NULL
             ORDER BY p.next_check_at LIMIT {LOOKED_AT})) AS one) AS near ON true
    LEFT JOIN LATERAL (
        SELECT p.id, coalesce(p.asked_at, p.checked_at) AS asked_at FROM payments p
        WHERE p.id = ANY(near.ids) AND coalesce(p.asked_at, p.checked_at) IS NOT NULL
        ORDER BY 2 DESC LIMIT 1) AS asked ON true
    LEFT JOIN LATERAL (SELECT max(p.checked_at) AS checked_at FROM payments p WHERE p.id = ANY(near.ids)) AS answered
        ON true
    LEFT JOIN LATERAL (
        SELECT n.at, n.data FROM (
            SELECT e.at, e.seq, e.kind, e.data FROM entries e WHERE e.payment_id = asked.id
            ORDER BY e.seq DESC LIMIT 200) AS n
        WHERE n.kind = 'answer' AND NOT n.data ? 'statement' ORDER BY n.seq DESC LIMIT 1) AS word ON true
    ORDER BY a.account
"""  # noqa: S608 - the bound is our own number

GatewayHealth = Literal["answering", "failing", "silent", "not asked yet", "cannot be asked"]


class GatewayState(Struct, frozen=True, kw_only=True):
    """The gateway of one account.

    `health`: `failing` while questions stay without an answer, and `silent` once nobody asks but one probe at a time.
    `answered_at`: its last conclusive answer; a silent gateway is silent since then. `failures`: questions in a row
    without an answer. `probed_at`: when it is asked next while it is silent. `calls` and `burst`: what is left of the
    budget, and how much it can hold; None without a budget. `last_word`: of the question asked last, in words.
    """

    account: str
    merchant: str
    provider: str
    health: GatewayHealth
    answered_at: datetime | None
    failures: int
    probed_at: datetime | None
    calls: float | None
    burst: float | None
    last_word: str | None
    last_word_at: datetime | None
    last_payment_id: str | None


async def read_gateways(database: Reads, accounts: Collection[Account]) -> list[GatewayState]:
    """The gateways of these accounts, by account."""
    known = {account.id: account for account in accounts}
    return [_state(known[row["account"]], row) for row in await database.fetch(_ACCOUNTS, sorted(known))]


def _state(account: Account, row: asyncpg.Record) -> GatewayState:
    limits, rate, now = _limits(row), account.calls_per_second, row["now"]
    shut = breaker_open(limits)
    health: GatewayHealth = "answering"
    if not account.provider.capabilities.asked_by:
        health = "cannot be asked"
    elif shut:
        health = "silent"
    elif limits is not None and limits.troubles:
        health = "failing"
    elif row["checked_at"] is None and row["asked_at"] is None:
        health = "not asked yet"
    left = refilled(limits, rate, max(now, limits.at)).calls if limits is not None else (rate or 0) * BURST_SECONDS
    return GatewayState(
        account=account.id,
        merchant=account.merchant,
        provider=account.provider.name,
        health=health,
        answered_at=row["checked_at"],
        failures=0 if limits is None else limits.troubles,
        probed_at=limits.shut_until if limits is not None and shut else None,
        calls=None if rate is None else left,
        burst=None if rate is None else rate * BURST_SECONDS,
        last_word=None if row["word"] is None else _word(row["word"]),
        last_word_at=row["word_at"],
        last_payment_id=row["payment_id"],
    )


def _limits(row: asyncpg.Record) -> AccountLimits | None:
    """The account's row; None if its gateway was never asked."""
    if row["at"] is None:
        return None
    kept = {name: row[name] for name in ("account", "calls", "at", "troubles", "shut_until")}
    return AccountLimits(**kept, unknown_by=tuple(row["unknown_by"]))


def _word(data: dict[str, Any]) -> str:
    if "inconclusive" in data:
        return f"no answer: {data['inconclusive']} ({masked(str(data.get('detail', '')))})"
    if "refused" in data:
        return "refused the id that a claim named"
    if "status" not in data:
        return "no answer"
    return answer_words(data)
