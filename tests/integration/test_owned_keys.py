"""A payment names no session and no transaction that is not its own: the last guard of the tables."""

from __future__ import annotations

import asyncpg
import pytest

from consumers.commands.reopen import ReadyToOpen
from schemas.payments import Payment
from tests.integration.conformance_ledger import OVER, a_payment
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.ledger.rows import INSERT
from worker.verify.blame import reason_of


async def a_row(database: Database) -> Payment:
    made = await PostgresLedger(database).create(a_payment(), {"a": "body"}, OVER)
    assert isinstance(made, ReadyToOpen)
    return made.payment


@pytest.mark.parametrize(("table", "column"), [("sessions", "session_id"), ("transactions", "transaction_id")])
async def test_a_payment_names_only_what_is_its_own(database: Database, table: str, column: str) -> None:
    mine, other = [await a_row(database) for _ in range(2)]
    name = f"UPDATE payments SET {column} = 'one' WHERE id = $1"
    take = f"INSERT INTO {table} (account, {column}, payment_id) VALUES ('shop-a', 'one', $1)"
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not its own") as refused:
        await database.execute(name, mine.id)
    assert " of payments_own_their_keys at " in reason_of(refused.value), "a dead letter names the rule"
    await database.execute(take, mine.id)
    await database.execute(name, mine.id)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not its own"):
        await database.execute(name, other.id)


@pytest.mark.parametrize("column", ["session_id", "transaction_id"])
async def test_a_new_payment_names_only_what_is_its_own_either(database: Database, column: str) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not its own"):
        await PostgresLedger(database).create(a_payment(**{column: "one"}), {"a": "body"}, OVER)


@pytest.mark.parametrize(("table", "column"), [("sessions", "session_id"), ("transactions", "transaction_id")])
async def test_a_new_payment_may_take_its_key_until_its_transaction_ends(
    database: Database, table: str, column: str
) -> None:
    payment = a_payment(**{column: "one"})
    async with database.connection() as connection, connection.transaction():
        await connection.execute(INSERT, payment)
        await connection.execute(f"INSERT INTO {table} VALUES ('shop-a', 'one', $1)", payment.id)
    assert payment.id in (await PostgresLedger(database).look([], [payment.id])).readings


async def test_what_a_payment_named_before_keeps_no_money_from_it(database: Database) -> None:
    payment = await a_row(database)
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # written without the guard
        await connection.execute("UPDATE payments SET session_id = 'nobodys' WHERE id = $1", payment.id)
    await database.execute("INSERT INTO transactions VALUES ('shop-a', 'one', $1)", payment.id)
    await database.execute("UPDATE payments SET transaction_id = 'one', status = 'completed' WHERE id = $1", payment.id)
    found = await PostgresLedger(database).look([], [payment.id])
    assert found.readings[payment.id].case.payment.transaction_id == "one"
