"""What differs in each of several held payments, in words: a few statements for all of them, however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import asyncpg
import msgspec

from consumers.account import Account
from consumers.explain.difference import difference
from consumers.explain.snapshot import Others, PaymentSnapshot
from consumers.money.matching import transaction_of
from schemas.answers import Fact
from schemas.changes import Entry
from schemas.checks import Checks
from schemas.payments import Case, Payment, Resolution
from schemas.words import EntryKind
from worker.postgres.database import Connection, Reads

_FACTS = "SELECT payment_id, fact FROM facts WHERE payment_id = ANY($1) ORDER BY payment_id, key"
_RESOLUTIONS = "SELECT payment_id, resolution FROM resolutions WHERE payment_id = ANY($1) ORDER BY payment_id, id"
_CLAIMED = """
    SELECT c.payment_id, c.at, c.data FROM unnest($1::text[]) AS w (id) CROSS JOIN LATERAL (
        SELECT n.* FROM (
            SELECT e.payment_id, e.at, e.kind, e.data, e.seq FROM entries e WHERE e.payment_id = w.id
            ORDER BY e.seq DESC LIMIT 200) AS n
        WHERE n.kind = 'claim' AND n.data ->> 'said' = 'success' ORDER BY n.seq DESC LIMIT 1) AS c
"""
_TRANSACTIONS = """
    SELECT t.account, t.transaction_id AS name, t.payment_id FROM unnest($1::text[], $2::text[]) AS k (account, name)
    JOIN transactions t ON t.account = k.account AND t.transaction_id = k.name
"""
_SESSIONS = """
    SELECT s.account, s.session_id AS name, s.payment_id FROM unnest($1::text[], $2::text[]) AS k (account, name)
    JOIN sessions s ON s.account = k.account AND s.session_id = k.name
"""
_ORDERS = """
    SELECT o.merchant, o.order_ref, o.paid_by FROM unnest($1::text[], $2::text[]) AS k (merchant, order_ref)
    JOIN orders o ON o.merchant = k.merchant AND o.order_ref = k.order_ref WHERE o.paid_by IS NOT NULL
"""

Names = dict[tuple[str, str], str]
"""By account and name of a key, or merchant and order, the payment that has it."""


async def read_differences(
    database: Reads, payments: Sequence[Payment], accounts: Collection[Account], checks: Checks
) -> dict[str, str]:
    """By payment id, what differs, in words. `accounts` are those of the configuration."""
    ids, known = [payment.id for payment in payments], {account.id: account for account in accounts}
    if not ids:
        return {}
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        facts, words, claims = defaultdict[str, list[Fact]](list), defaultdict[str, list[Resolution]](list), {}
        for row in await connection.fetch(_FACTS, ids):
            facts[row["payment_id"]].append(msgspec.convert(row["fact"], Fact))
        for row in await connection.fetch(_RESOLUTIONS, ids):
            words[row["payment_id"]].append(msgspec.convert(row["resolution"], Resolution))
        for row in await connection.fetch(_CLAIMED, ids):
            claims[row["payment_id"]] = Entry(kind=EntryKind.CLAIM, at=row["at"], data=row["data"])
        paid = {(one.account, name) for one in payments for name in _transactions(one, facts[one.id])}
        named = {(one.account, name) for one in payments for name in _sessions(facts[one.id])}
        transactions = await _names(connection, _TRANSACTIONS, paid)
        sessions = await _names(connection, _SESSIONS, named)
        orders = await _names(connection, _ORDERS, {(one.merchant, one.order_ref) for one in payments if one.order_ref})
        now = await connection.fetchval("SELECT clock_timestamp()")
    return {
        payment.id: difference(
            PaymentSnapshot(
                case=Case(payment=payment, facts=tuple(facts[payment.id]), resolutions=tuple(words[payment.id])),
                entries=(claims[payment.id],) if payment.id in claims else (),
                others=Others(
                    transactions=_of_others(payment, transactions, _transactions(payment, facts[payment.id])),
                    sessions=_of_others(payment, sessions, _sessions(facts[payment.id])),
                    order_paid_by=_of_another(payment, orders.get((payment.merchant, payment.order_ref or ""))),
                ),
                now=now,
                checks=checks,
                account=known.get(payment.account),
            )
        )
        for payment in payments
    }


async def _names(connection: Connection[asyncpg.Record], sql: str, names: Iterable[tuple[str, str]]) -> Names:
    given = sorted(names)
    rows = await connection.fetch(sql, [of for of, _ in given], [name for _, name in given])
    return {(row[0], row[1]): row[2] for row in rows}


def _transactions(payment: Payment, facts: Iterable[Fact]) -> set[str]:
    """The transactions by which its answers say that it was paid."""
    return {name for fact in facts if fact.answer.paid and (name := transaction_of(fact.answer, payment)) is not None}


def _sessions(facts: Iterable[Fact]) -> set[str]:
    return {fact.answer.session_id for fact in facts if fact.answer.session_id is not None}


def _of_others(payment: Payment, names: Names, own: Iterable[str]) -> dict[str, str]:
    """Those of its own answers' names that another payment has, with that payment."""
    found = {name: names.get((payment.account, name), payment.id) for name in own}
    return {name: of for name, of in found.items() if of != payment.id}


def _of_another(payment: Payment, paid_by: str | None) -> str | None:
    return None if paid_by == payment.id else paid_by
