"""What only the tables can promise of a revision, and what is told when something was written."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from consumers.ledger import Write
from schemas.payments import Change, Payment
from schemas.words import EventType, Status
from tests.integration.conformance_ledger import NOON, SECONDS, Left, a_claim, a_payment, keys, told
from worker.postgres.database import Database
from worker.postgres.ledger import PostgresLedger
from worker.postgres.notices import Notice

Changes = list[tuple[Payment, Change]]
COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'payments'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


@pytest.fixture
def changes() -> Changes:
    return []


@pytest.fixture
def ledger(database: Database, changes: Changes) -> PostgresLedger:
    return PostgresLedger(database, changed=lambda before, change: changes.append((before, change)))


@pytest.fixture
async def row(ledger: PostgresLedger) -> Payment:
    payment = a_payment()
    await ledger.create(payment, {}, timedelta(seconds=45))
    return payment


async def paid(ledger: PostgresLedger, row: Payment) -> Write:
    """What is written of a payment that turned out to be paid."""
    sight = (await ledger.look([], [row.id])).sights[row.id]
    done = replace(sight.case.payment, status=Status.COMPLETED, version=1, completed_told=True, next_check_at=NOON)
    return Write(sight=sight, change=told(done, EventType.COMPLETED), claims=(a_claim(),), keys=keys(row))


async def test_a_statement_that_names_any_column_but_the_next_look_raises_the_revision(
    database: Database, row: Payment
) -> None:
    """As a program of the release before writes, which knows of no revision; and whoever adds a column is told here."""
    columns = {record["attname"] for record in await database.fetch(COLUMNS)} - {"revision"}
    assert {"status", "lease_until", "next_check_at"} < columns
    for column in sorted(columns):
        (before,) = await database.fetch("SELECT revision FROM payments")
        await database.execute(f"UPDATE payments SET {column} = {column}")
        (after,) = await database.fetch("SELECT revision FROM payments")
        assert after["revision"] - before["revision"] == (column != "next_check_at"), column


async def test_a_write_raises_the_revision_by_one(database: Database, ledger: PostgresLedger, row: Payment) -> None:
    write = await paid(ledger, row)
    assert (await ledger.write([write])).done == {row.id}
    (found,) = await database.fetch("SELECT revision FROM payments")
    assert found["revision"] == write.sight.revision + 1


async def test_what_was_written_is_told_once_and_what_lost_is_not(
    database: Database, ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    heard, listening = list[Notice](), asyncio.Event()

    async def connected() -> None:
        listening.set()

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(database.listen(heard.append, connected=connected))
        await listening.wait()
        write = await paid(ledger, row)
        assert changes == []
        for _ in range(2):
            await ledger.write([write])
        task.cancel()
    assert changes == [(row_as_read(write), write.change)]
    assert [(one.outcomes, one.events, one.look_at) for one in heard] == [([row.id], True, NOON)]


async def test_what_was_written_under_a_lock_is_told_when_it_is_committed(
    ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    write = await paid(ledger, row)
    async with ledger.locked([row.id]) as arbiter:
        assert (await arbiter.write([write])).done == {row.id}
        assert changes == []
    assert changes == [(row_as_read(write), write.change)]


async def test_what_was_written_under_a_lock_is_undone_by_an_exception(
    ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    write = await paid(ledger, row)

    async def fails() -> None:
        async with ledger.locked([row.id]) as arbiter:
            await arbiter.write([write])
            raise Left

    with pytest.raises(Left):
        await fails()
    assert changes == []
    assert (await ledger.look([], [row.id])).sights[row.id] == write.sight
    assert (await ledger.write([write])).done == {row.id}


async def test_limits_are_nothing_to_wait_for_the_disk_for(database: Database, ledger: PostgresLedger) -> None:
    """Within their transaction alone: what a payment comes to waits as before."""
    async with ledger.limits(["shop-a"]):
        pass
    async with database.connection() as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"


def row_as_read(write: Write) -> Payment:
    return write.sight.case.payment
