"""A payment names no session and no transaction that is not its own: the last guard of the tables."""

from __future__ import annotations

import asyncpg
import pytest

from consumers.opening import Created
from schemas.payments import Payment
from tests.integration.conformance_ledger import OVER, a_payment
from worker.postgres.database import Database
from worker.postgres.ledger import PostgresLedger


async def a_row(database: Database) -> Payment:
    made = await PostgresLedger(database).create(a_payment(), {"a": "body"}, OVER)
    assert isinstance(made, Created)
    return made.payment


@pytest.mark.parametrize(("table", "column"), [("sessions", "session_id"), ("transactions", "transaction_id")])
async def test_a_payment_names_only_what_is_its_own(database: Database, table: str, column: str) -> None:
    mine, other = [await a_row(database) for _ in range(2)]
    name = f"UPDATE payments SET {column} = 'one' WHERE id = $1"
    take = f"INSERT INTO {table} (account, {column}, payment_id) VALUES ('shop-a', 'one', $1)"
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not its own"):
        await database.execute(name, mine.id)
    async with database.connection() as connection, connection.transaction():
        await connection.execute(name, mine.id)  # before the payment has the key: the trigger judges at the commit
        await connection.execute(take, mine.id)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not its own"):
        await database.execute(name, other.id)
    await database.execute(f"UPDATE payments SET {column} = NULL WHERE id = $1", mine.id)
    await database.execute(name, mine.id)
