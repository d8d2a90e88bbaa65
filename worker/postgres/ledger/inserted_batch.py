"""A batch of payments that a gateway knows and no shop expected: inserted, and written in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from schemas.payments import Case, Payment
from worker.postgres.database import Connection
from worker.postgres.ledger.batch import BatchEnd, PostgresBatch, server_of
from worker.postgres.ledger.unexpected_rows import insert, withdraw


class PostgresInsertedBatch(PostgresBatch):
    """See consumers.reconciliation.unexpected.InsertedBatch."""

    async def withdraw(self, payment_ids: Sequence[str]) -> None:
        await withdraw(self._connection, payment_ids)
        self.cases = {key: case for key, case in self.cases.items() if key not in payment_ids}


async def open_inserted(
    connection: Connection[asyncpg.Record], payments: Sequence[Payment], end: BatchEnd
) -> PostgresInsertedBatch:
    """Insert these payments, without those that are there already. `end` ends the transaction of the connection."""
    new = await insert(connection, payments)
    server = await server_of(connection)
    cases = {
        payment.id: Case(payment=payment, version_floor=server.version_floor)
        for payment in payments
        if payment.id in new
    }
    return PostgresInsertedBatch(connection, server, dict(sorted(cases.items())), end)
