"""Everything that is known of one payment, for a person: read at one moment, unlocked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from consumers.account import Account
from consumers.explain.snapshot import Others, PaymentSnapshot
from consumers.money.matching import transaction_of
from consumers.ports.call_limits import AccountLimits
from schemas.answers import Fact
from schemas.checks import Checks
from schemas.payments import Case, Payment, Resolution, TakenKeys
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Connection, Database, Reads
from worker.postgres.ledger.failures import read_failing
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.reads.receivers import read_receivers
from worker.postgres.reads.timeline import told_on_a_screen

_READ = f"SELECT {PAYMENT} FROM payments p WHERE id = $1"  # noqa: S608 - our own names


async def read_dossier(
    database: Database,
    payment_id: str,
    account: Account | None,
    checks: Checks,
    endpoints: Sequence[Endpoint] = (),
) -> PaymentSnapshot | None:
    """Everything known of the payment; None if there is no such payment. A long timeline is shortened for a screen.

    `account` and `endpoints` come from the configuration.
    """
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(_READ, payment_id)
        if row is None:
            return None
        case = await _case(connection, payment_of(row))
        payment = case.payment
        entries, left_out = await told_on_a_screen(connection, payment_id)
        account_limits = await connection.fetchrow(
            "SELECT account, calls, at, troubles, shut_until, unknown_by FROM allowances WHERE account = $1",
            payment.account,
        )
        return PaymentSnapshot(
            case=case,
            entries=entries,
            left_out=left_out,
            others=await _others(connection, case),
            now=await connection.fetchval("SELECT clock_timestamp()"),
            checks=checks,
            account=account,
            limits=msgspec.convert(dict(account_limits), AccountLimits) if account_limits else None,
            receivers=await read_receivers(connection, payment, endpoints),
            failing=await read_failing(connection, payment_id),
        )


async def read_case(connection: Connection[asyncpg.Record], payment_id: str) -> Case | None:
    """The payment with its Facts and resolutions, unlocked, in a transaction of the caller; None if there is none."""
    row = await connection.fetchrow(_READ, payment_id)
    return None if row is None else await _case(connection, payment_of(row))


async def read_taken(connection: Connection[asyncpg.Record], case: Case, named: str | None) -> TakenKeys:
    """The keys of the payment, of its answers and of `named`, a transaction, that other payments have; unlocked."""
    others = await _others(connection, case, named)
    account, answers = case.payment.account, [fact.answer for fact in case.facts]
    references = {one.reference for one in answers if one.reference} - {case.payment.reference}
    rows = await connection.fetch(
        "SELECT reference FROM payments WHERE account = $1 AND reference = ANY($2)", account, sorted(references)
    )
    return TakenKeys(
        transactions=frozenset(others.transactions),
        sessions=frozenset(others.sessions),
        references=frozenset(row["reference"] for row in rows),
        order=others.order_paid_by is not None,
    )


async def read_for_decision(
    database: Reads, payment_id: str, named: str | None = None
) -> tuple[Case, TakenKeys, datetime] | None:
    """The payment, the keys of it and of its answers that other payments have, and the time; for a preview.

    `named` is a transaction that a person names. None if there is no such payment.
    """
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        case = await read_case(connection, payment_id)
        if case is None:
            return None
        taken = await read_taken(connection, case, named)
        return case, taken, await connection.fetchval("SELECT clock_timestamp()")


async def _case(connection: Connection[asyncpg.Record], payment: Payment) -> Case:
    facts = await _column(connection, "SELECT fact FROM facts WHERE payment_id = $1 ORDER BY key", payment.id)
    words = await _column(
        connection, "SELECT resolution FROM resolutions WHERE payment_id = $1 ORDER BY id", payment.id
    )
    floor = await connection.fetchval("SELECT version_floor FROM servers")
    return Case(
        payment=payment,
        facts=tuple(msgspec.convert(fact, Fact) for fact in facts),
        resolutions=tuple(msgspec.convert(word, Resolution) for word in words),
        version_floor=floor or 0,
    )


async def _others(connection: Connection[asyncpg.Record], case: Case, named: str | None = None) -> Others:
    """Other payments that have a key of this payment or its answers."""
    payment, answers = case.payment, [fact.answer for fact in case.facts]
    paid = [fact.answer for fact in case.facts if fact.answer.paid or fact.unproven]
    transactions = await connection.fetch(
        """SELECT transaction_id, payment_id FROM transactions
           WHERE account = $1 AND transaction_id = ANY($2) AND payment_id <> $3""",
        payment.account,
        [named, *(transaction_of(answer, payment) for answer in paid)],
        payment.id,
    )
    sessions = await connection.fetch(
        """SELECT session_id, payment_id FROM sessions
           WHERE account = $1 AND session_id = ANY($2) AND payment_id <> $3""",
        payment.account,
        [answer.session_id for answer in answers if answer.session_id is not None],
        payment.id,
    )
    order_paid_by = await connection.fetchval(
        """SELECT p.id FROM payments p LEFT JOIN orders o USING (merchant, order_ref)
           WHERE p.merchant = $1 AND p.order_ref = $2 AND p.status = 'completed' AND p.id <> $3
           ORDER BY o.paid_by IS DISTINCT FROM p.id, p.completed_at, p.id LIMIT 1""",
        payment.merchant,
        payment.order_ref,
        payment.id,
    )
    return Others(
        transactions={row["transaction_id"]: row["payment_id"] for row in transactions},
        sessions={row["session_id"]: row["payment_id"] for row in sessions},
        order_paid_by=order_paid_by,
    )


async def _column(connection: Connection[asyncpg.Record], sql: str, payment_id: str) -> list[Any]:
    return [row[0] for row in await connection.fetch(sql, payment_id)]
