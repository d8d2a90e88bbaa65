"""Everything that is known of one payment, for a person: read at one moment, unlocked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from consumers.account import Account
from consumers.explain.snapshot import Others, PaymentSnapshot
from consumers.money.matching import transaction_of
from consumers.ports.call_limits import AccountLimits
from schemas.answers import Fact
from schemas.checks import Checks
from schemas.payments import Case, Resolution
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Connection, Database
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
        payment = payment_of(row)
        facts = await _column(connection, "SELECT fact FROM facts WHERE payment_id = $1 ORDER BY key", payment_id)
        words = await _column(
            connection, "SELECT resolution FROM resolutions WHERE payment_id = $1 ORDER BY id", payment_id
        )
        entries, left_out = await told_on_a_screen(connection, payment_id)
        case = Case(
            payment=payment,
            facts=tuple(msgspec.convert(fact, Fact) for fact in facts),
            resolutions=tuple(msgspec.convert(word, Resolution) for word in words),
        )
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


async def _others(connection: Connection[asyncpg.Record], case: Case) -> Others:
    """Other payments that have a key of this payment or its answers."""
    payment, answers = case.payment, [fact.answer for fact in case.facts]
    transactions = await connection.fetch(
        """SELECT transaction_id, payment_id FROM transactions
           WHERE account = $1 AND transaction_id = ANY($2) AND payment_id <> $3""",
        payment.account,
        [transaction_of(answer, payment) for answer in answers if answer.paid],
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
