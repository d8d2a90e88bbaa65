"""One transaction of the ledger in Postgres: a batch of payments, locked in the order of their ids.

The one thing to get wrong: the order of locks. Payments first, by id; then references; then allowances; then sessions,
transactions and orders; each in the order of its key. Nothing here decides; the unique keys and the trigger in
`schemas/sql` repeat the rules of money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import asyncpg
import msgspec

from consumers.allowance import Allowance
from consumers.executing import WAITS_SECONDS
from consumers.ledger import Keys, OrderState
from consumers.receiving import Admission
from schemas.answers import Fact
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Owners, Payment, Resolution
from worker.postgres.claims import admit
from worker.postgres.database import Connection
from worker.postgres.due import POLL_SECONDS
from worker.postgres.entries import entries_to_write
from worker.postgres.kept import hear_kept
from worker.postgres.limits import keep_allowances, read_allowances
from worker.postgres.notices import Notice
from worker.postgres.rows import payment_of
from worker.postgres.storing import storing
from worker.postgres.unexpected import announce
from worker.sealing import Seal

FOUND_BY_ITSELF = timedelta(seconds=2 * POLL_SECONDS)
"""What is due later than that need not be told to the sweep."""

_LOCK = """
    SELECT (l.payment).*, l.known_facts, l.known_resolutions, l.known_allowance, l.locked_at
    FROM lock_payments($1) AS l
"""
_ORDERS = """
    SELECT w.id, coalesce(o.paid_by <> w.id, false) AS paid,
        coalesce(o.executing <> w.id, false) OR EXISTS (
            SELECT FROM payments other
            WHERE (other.merchant, other.order_ref) = (w.merchant, w.order_ref) AND other.id <> w.id
                AND other.execute_state = 'wanted' AND other.status = 'pending'
                AND (other.execute_wanted_at, other.id) < (w.wanted_at, w.id)
                AND other.execute_waits_until > clock_timestamp() - make_interval(secs => $5)) AS busy
    FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS w (id, merchant, order_ref, wanted_at)
    LEFT JOIN orders o ON (o.merchant, o.order_ref) = (w.merchant, w.order_ref)
"""
_REFERENCED = """
    SELECT account, reference FROM unnest($1::text[], $2::text[]) AS n (account, reference)
    WHERE EXISTS (SELECT FROM payments p WHERE (p.account, p.reference) = (n.account, n.reference))
"""


class PostgresBatch:
    """One transaction; see consumers.ledger.Batch.

    The ledger that began the transaction sets `end`, which commits it, and sends `notice` after the commit.
    """

    def __init__(
        self,
        connection: Connection[asyncpg.Record],
        now: datetime,
        cases: Mapping[str, Case],
        seal: Seal,
        allowances: Mapping[str, Allowance | None] = MappingProxyType({}),
    ) -> None:
        self.now = now
        self.cases = cases
        self.notice: Notice | None = None
        self.changes: Sequence[Change] = ()
        self.committed = False
        self.end: Callable[[], Awaitable[None]]
        self._connection = connection
        self._seal = seal
        self._allowances = dict(allowances)
        self._queued: frozenset[str] = frozenset()
        self.dropped = Counter[str]()

    async def admit(self, claims: Sequence[tuple[Claim, str | None]]) -> Mapping[str, Admission]:
        return await admit(self._connection, self._seal, claims)

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, Owners]:
        sessions = await self._reserve("session", [(key, name) for key in keys for name in key.sessions])
        transactions = await self._reserve("transaction", [(key, name) for key in keys for name in key.transactions])
        references = await self._others_references(keys)
        await self._let_go([key for key in keys if key.order_ref is not None])
        orders = await self._reserve_orders([key for key in keys if key.order_ref is not None and not key.returned])
        return {
            key.payment_id: Owners(
                transactions=frozenset(transactions.get(key.payment_id, ())),
                sessions=frozenset(sessions.get(key.payment_id, ())),
                references=frozenset(references.get(key.payment_id, ())),
                order=key.payment_id in orders,
            )
            for key in keys
        }

    async def _reserve(self, what: str, wanted: list[tuple[Keys, str]]) -> dict[str, set[str]]:
        """Insert what is free; return by payment what another payment has."""
        if not wanted:
            return {}
        accounts, names = [key.account for key, _ in wanted], [name for _, name in wanted]
        mine = [key.payment_id for key, _ in wanted]
        table, column = f"{what}s", f"{what}_id"
        new = await self._connection.fetch(
            f"""INSERT INTO {table} (account, {column}, payment_id)
                SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS k (account, name, payment_id)
                ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING RETURNING account, {column} AS name""",  # noqa: S608 - two words
            accounts,
            names,
            mine,
        )
        if len(new) == len(wanted):
            return {}
        rows = await self._connection.fetch(
            f"""SELECT k.payment_id, k.name
                FROM unnest($1::text[], $2::text[], $3::text[]) AS k (account, name, payment_id)
                JOIN {table} t ON t.account = k.account AND t.{column} = k.name
                WHERE t.payment_id <> k.payment_id""",  # noqa: S608 - session or transaction
            accounts,
            names,
            mine,
        )
        return _by_payment(rows)

    async def _others_references(self, keys: Sequence[Keys]) -> dict[str, set[str]]:
        named = [(key, name) for key in keys for name in key.references]
        if not named:
            return {}
        rows = await self._connection.fetch(
            """SELECT k.payment_id, k.name
               FROM unnest($1::text[], $2::text[], $3::text[]) AS k (account, name, payment_id)
               JOIN payments p ON p.account = k.account AND p.reference = k.name
               WHERE p.id <> k.payment_id""",
            [key.account for key, _ in named],
            [name for _, name in named],
            [key.payment_id for key, _ in named],
        )
        return _by_payment(rows)

    async def _let_go(self, keys: list[Keys]) -> None:
        """Free the orders whose payments went back in full, unless another attempt stands as completed.

        Such an attempt has locked the order's row before it was stored as that. So all rows are locked first, in the
        order of their keys and together with those that are taken next; and only then are the attempts looked at.
        """
        returned = [key.payment_id for key in keys if key.returned]
        if not returned:
            return
        orders = [key.merchant for key in keys], [key.order_ref for key in keys]
        await self._connection.execute(
            """SELECT FROM orders WHERE (merchant, order_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))
               ORDER BY merchant, order_ref FOR UPDATE""",
            *orders,
        )
        await self._connection.execute(
            """UPDATE orders o SET paid_by = NULL
               FROM payments mine
               WHERE mine.id = ANY($1) AND o.merchant = mine.merchant AND o.order_ref = mine.order_ref
                   AND o.paid_by IS NOT NULL AND NOT EXISTS (
                       SELECT FROM payments p WHERE p.merchant = o.merchant AND p.order_ref = o.order_ref
                           AND p.status = 'completed' AND p.id <> ALL($1))""",
            returned,
        )

    async def _reserve_orders(self, keys: list[Keys]) -> set[str]:
        """Win each order for one payment; return the payments whose order another has won."""
        if not keys:
            return set()
        rows = await self._connection.fetch(
            """INSERT INTO orders (merchant, order_ref, paid_by)
               SELECT DISTINCT ON (1, 2) * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2, 3
               ON CONFLICT (merchant, order_ref) DO UPDATE SET paid_by = coalesce(orders.paid_by, excluded.paid_by)
               RETURNING merchant, order_ref, paid_by""",
            [key.merchant for key in keys],
            [key.order_ref for key in keys],
            [key.payment_id for key in keys],
        )
        paid_by = {(row["merchant"], row["order_ref"]): row["paid_by"] for row in rows}
        return {key.payment_id for key in keys if paid_by[key.merchant, key.order_ref] != key.payment_id}

    async def orders(self, payments: Sequence[Payment]) -> Mapping[str, OrderState]:
        found: dict[str, OrderState] = {payment.id: "free" for payment in payments}
        ordered = [payment for payment in payments if payment.order_ref is not None]
        if ordered:
            rows = await self._connection.fetch(
                _ORDERS,
                [payment.id for payment in ordered],
                [payment.merchant for payment in ordered],
                [payment.order_ref for payment in ordered],
                [payment.execute_wanted_at or payment.opened_at for payment in ordered],
                WAITS_SECONDS,
            )
            found |= {row["id"]: "paid" if row["paid"] else "busy" if row["busy"] else "free" for row in rows}
        return found

    async def begin_executions(self, payment_ids: Collection[str]) -> frozenset[str]:
        payments = [self.cases[payment_id].payment for payment_id in payment_ids]
        ordered = [payment for payment in payments if payment.order_ref is not None]
        rows = await self._connection.fetch(
            """INSERT INTO orders (merchant, order_ref, executing)
               SELECT DISTINCT ON (1, 2) * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2, 3
               ON CONFLICT (merchant, order_ref) DO UPDATE SET executing = excluded.executing
               WHERE orders.paid_by IS NULL AND (orders.executing IS NULL OR orders.executing = excluded.executing)
               RETURNING executing""",
            [payment.merchant for payment in ordered],
            [payment.order_ref for payment in ordered],
            [payment.id for payment in ordered],
        )
        alone = {payment.id for payment in payments if payment.order_ref is None}
        return frozenset(alone | {row["executing"] for row in rows})

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        return await referenced(self._connection, names)

    async def allowances(self, accounts: Collection[str], *, locked: bool) -> Mapping[str, Allowance]:
        if not locked and self._allowances.keys() >= set(accounts):
            return {account: known for account in accounts if (known := self._allowances[account]) is not None}
        return await read_allowances(self._connection, accounts, locked=locked)

    async def write_allowances(self, allowances: Sequence[Allowance]) -> None:
        self._allowances |= {one.account: one for one in allowances}
        await keep_allowances(self._connection, allowances)

    async def announce(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        return await announce(self._connection, payment, request, proposed)

    async def hear_kept(self, payment: Payment, *, signed_only: bool) -> None:
        listened = await hear_kept(self._connection, payment, signed_only=signed_only)
        self._queued |= listened.queued
        self.dropped.update(listened.dropped)

    async def store(self, changes: Sequence[Change]) -> None:
        connection = self._connection
        self.changes = changes
        if not changes:
            return
        statement, values = storing(self.cases, changes, await entries_to_write(connection, changes))
        await connection.execute(statement, *values)
        resolutions = [(change.payment.id, change.resolution) for change in changes if change.resolution is not None]
        for payment_id, resolution in resolutions:
            await connection.execute(
                "INSERT INTO resolutions (payment_id, at, resolution) VALUES ($1, $2, $3)",
                payment_id,
                resolution.at,
                resolution,
            )
        freed = [change.payment.id for change in changes if change.order_freed and change.payment.order_ref]
        if freed:
            await connection.execute("UPDATE orders SET executing = NULL WHERE executing = ANY($1)", freed)
        looks = [change.payment.next_check_at for change in changes if change.payment.next_check_at is not None]
        soon = [at for at in looks if at < self.now + FOUND_BY_ITSELF]
        outcomes = [change.payment.id for change in changes if change.event is not None]
        if soon or outcomes or self._queued:
            look_at, claims = min(soon, default=None), sorted(self._queued)
            self.notice = Notice(claims=claims, events=bool(outcomes), outcomes=outcomes, look_at=look_at)

    async def commit(self) -> None:
        await self.end()
        self.committed = True


async def referenced(
    connection: Connection[asyncpg.Record], names: Collection[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    rows = await connection.fetch(_REFERENCED, [account for account, _ in names], [name for _, name in names])
    return frozenset((row["account"], row["reference"]) for row in rows)


def _by_payment(rows: Sequence[asyncpg.Record]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["payment_id"], set()).add(row["name"])
    return found


async def open_batch(connection: Connection[asyncpg.Record], payment_ids: list[str], seal: Seal) -> PostgresBatch:
    rows = await connection.fetch(_LOCK, payment_ids) if payment_ids else []
    now = rows[0]["locked_at"] if rows else await connection.fetchval("SELECT clock_timestamp()")
    cases = {
        row["id"]: Case(
            payment=payment_of(row),
            facts=tuple(msgspec.convert(row["known_facts"], list[Fact])),
            resolutions=tuple(msgspec.convert(row["known_resolutions"], list[Resolution])),
        )
        for row in rows
    }
    allowances: dict[str, Allowance | None] = {}
    for row in rows:
        if (account := row["account"]) not in allowances:
            known = row["known_allowance"]
            allowances[account] = None if known is None else msgspec.convert(known, Allowance)
    return PostgresBatch(connection, now, cases, seal, allowances)
