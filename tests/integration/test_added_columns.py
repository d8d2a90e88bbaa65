"""A newer release adds columns while this release runs: no statement that was prepared before fails."""

from __future__ import annotations

from consumers.commands.reopen import ReadyToOpen
from schemas.checks import Checks
from schemas.requests import ListQuery
from tests.integration.conformance_ledger import OVER, a_payment
from worker.postgres.database import Database, connect
from worker.postgres.ledger.failures import PostgresFailures, read_failing
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.reads.find import find_payments
from worker.postgres.reads.reading import read_page, read_payment
from worker.postgres.reads.snapshots import read_dossier
from worker.postgres.reads.work_list import read_work

TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""


async def worked(database: Database) -> None:
    """Run every statement that reads a payment or its failures, on the pool's one connection."""
    ledger, payment = PostgresLedger(database), a_payment()
    made = await ledger.create(payment, {"a": "body"}, OVER)
    assert isinstance(made, ReadyToOpen)
    again = await ledger.create(payment, {"a": "body"}, OVER)
    assert isinstance(again, ReadyToOpen)
    async with ledger.batch([payment.id]) as batch:
        assert list(batch.cases) == [payment.id]
    assert list((await ledger.look([], [payment.id])).readings) == [payment.id]
    assert await ledger.holder("shop-a", "none") is None
    await PostgresFailures(database).count(payment.id, "shop-a", "ValueError")
    async with database.connection() as connection, connection.transaction():
        assert await read_failing(connection, payment.id) is not None
    assert await read_payment(database, "shop", payment.id) == again.payment
    assert len((await read_page(database, "shop", ListQuery(limit=1), None)).payments) == 1
    assert (await read_work(database, "shop", ListQuery(hold="any", limit=1))).held == []
    assert len(await find_payments(database, payment.id, ["shop"])) == 1
    assert await read_dossier(database, payment.id, None, Checks()) is not None


async def test_statements_go_on_when_a_newer_release_adds_a_column_to_every_table(dsn: str) -> None:
    async with connect(dsn, size=1) as database:
        await worked(database)
        for row in await database.fetch(TABLES):
            await database.execute(f"ALTER TABLE {row['relname']} ADD COLUMN added_later int")
        await worked(database)
