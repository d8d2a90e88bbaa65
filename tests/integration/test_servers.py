"""The database continues on another server, which may have committed more than this process has read."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.ports.readings import Reading
from consumers.ports.unavailable import DatabaseUnavailable
from schemas.payments import Payment
from schemas.words import Status
from tests.contract import ROOT
from tests.integration.conformance_ledger import a_payment
from tests.integration.conformance_looking import a_write
from tests.integration.test_paging import filled
from tests.processes import directory
from worker.postgres.database import Database, connect
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.server.cluster import Cluster
from worker.postgres.server.migrate import apply_migrations
from worker.postgres.server.restored import raise_versions

ANOTHER = "UPDATE servers SET name = '7000000000000000000/00000001'"


@pytest.fixture
def ledger(database: Database) -> PostgresLedger:
    return PostgresLedger(database)


@pytest.fixture
async def row(ledger: PostgresLedger) -> Payment:
    payment = a_payment()
    await ledger.create(payment, {}, timedelta(seconds=45))
    return payment


async def reading_of(ledger: PostgresLedger, row: Payment) -> Reading:
    return (await ledger.look([], [row.id])).readings[row.id]


async def test_the_first_server_took_over_from_none(database: Database, ledger: PostgresLedger, row: Payment) -> None:
    assert (await reading_of(ledger, row)).since is None
    (met,) = await database.fetch("SELECT name, since FROM servers")
    system = await database.fetch("SELECT system_identifier::text || '/00000001' AS name FROM pg_control_system()")
    assert (met["name"], met["since"]) == (system[0]["name"], None)


async def test_whoever_looks_first_notes_that_another_server_took_over(
    database: Database, ledger: PostgresLedger, row: Payment
) -> None:
    await ledger.look([], [row.id])
    await database.execute(ANOTHER)
    (before,) = await database.fetch("SELECT clock_timestamp() AS now")
    with capture_logs() as logged:
        looked = await ledger.look([], [row.id])
        assert looked.readings[row.id].since is not None
        assert before["now"] < looked.readings[row.id].since < looked.now
        assert (await reading_of(ledger, row)).since == looked.readings[row.id].since
    assert [one["event"] for one in logged] == ["server.taken_over"]


async def test_what_was_decided_on_one_server_is_not_written_on_another(
    database: Database, ledger: PostgresLedger, row: Payment
) -> None:
    """The revision there may be the same by chance."""
    seen = await reading_of(ledger, row)
    await database.execute(ANOTHER)
    assert (await ledger.write([a_write(seen, success_at=row.opened_at)])).done == frozenset()
    again = await reading_of(ledger, row)
    assert (again.revision, again.case.payment.success_at) == (seen.revision, None)
    assert (await ledger.write([a_write(seen, success_at=row.opened_at)])).done == frozenset()
    assert (await ledger.write([a_write(again, success_at=row.opened_at)])).done == {row.id}


async def test_a_payment_that_is_locked_is_read_on_the_new_server_too(
    database: Database, ledger: PostgresLedger, row: Payment
) -> None:
    await ledger.look([], [row.id])
    await database.execute(ANOTHER)
    async with ledger.locked([row.id]) as locked:
        seen = (await locked.look([])).readings[row.id]
        assert (await locked.write([a_write(seen, success_at=row.opened_at)])).done == {row.id}
    assert seen.since is not None
    assert (await reading_of(ledger, row)).since == seen.since


async def test_a_look_tells_which_attempts_of_an_order_nobody_heard_of_since_another_server_took_over(
    database: Database, ledger: PostgresLedger
) -> None:
    rows = [a_payment(order_ref="b-1", account=f"shop-{n}") for n in range(6)]
    rows.append(a_payment(account="shop-6", order_ref="b-2"))
    for row in rows:
        await ledger.create(row, {}, timedelta(seconds=45))
    seen = await reading_of(ledger, rows[0])
    assert (seen.since, seen.order.unheard) == (None, frozenset())
    await database.execute(ANOTHER)
    since = (await reading_of(ledger, rows[0])).since
    assert since is not None
    early, late = since + timedelta(seconds=59), since + timedelta(seconds=60)
    changes: dict[int, dict[str, Any]] = {
        1: {"fact_asked_at": early},
        2: {"fact_asked_at": late},
        3: {"opened_at": since + timedelta(seconds=1)},
        4: {"status": Status.FAILED},
    }
    for number, fields in changes.items():
        written = await ledger.write([a_write(await reading_of(ledger, rows[number]), **fields)])
        assert written.done == {rows[number].id}
    assert (await reading_of(ledger, rows[0])).order.unheard == {"shop-1", "shop-5"}
    assert (await reading_of(ledger, rows[6])).order.unheard == frozenset()


async def test_a_backup_that_was_restored_counts_as_another_server(
    database: Database, ledger: PostgresLedger, row: Payment
) -> None:
    assert (await reading_of(ledger, row)).since is None
    await raise_versions(database)
    since = (await reading_of(ledger, row)).since
    assert since is not None
    await raise_versions(database)
    assert (await reading_of(ledger, row)).since != since


async def test_versions_and_positions_rise_once_for_a_server_also_where_an_older_program_noted_it_first(
    database: Database, ledger: PostgresLedger, row: Payment
) -> None:
    """A program of the last release notes the name alone."""
    await ledger.look([], [row.id])
    assert await floor(database) == 0
    await database.execute(ANOTHER)
    for _ in range(2):
        await ledger.look([], [row.id])
    assert await floor(database) == 1000
    await database.execute(f"{ANOTHER}, raised_for = '7000000000000000000/00000001'")
    await database.execute("UPDATE servers SET name = server_name(), since = clock_timestamp()")
    async with connect(database._dsn) as another:
        await another.fetch("SELECT")
    assert await floor(database) == 2000
    assert (await reading_of(ledger, row)).case.version_floor == 2000


async def test_the_floor_begins_above_what_restored_backups_have_raised(database: Database) -> None:
    """As the migration finds it: each time the newest event went up by a billion, and all versions by 1,000."""
    (migration,) = (ROOT / "schemas/sql").glob("0034_*.sql")
    (statement,) = re.findall(r"^update servers set .*?;", migration.read_text(), re.DOTALL | re.MULTILINE)
    await filled(database, 3)
    await raise_versions(database)
    await raise_versions(database)
    await database.execute("UPDATE servers SET version_floor = 0")
    await database.execute(statement)
    assert await floor(database) == 2000


async def floor(database: Database) -> int:
    (met,) = await database.fetch("SELECT version_floor FROM servers")
    value: int = met["version_floor"]
    return value


async def test_a_standby_that_is_promoted_counts_as_another_server() -> None:
    """The same data on another timeline, as after every failover."""
    with directory() as home:
        home.chmod(0o755)
        cluster = Cluster(home / "data")
        await asyncio.to_thread(cluster.create)
        await asyncio.to_thread(cluster.start)
        try:
            url = cluster.url.replace("/payproof?", "/postgres?")
            await apply_migrations(url)
            async with connect(url) as database:
                assert (await noted(database)).endswith("/00000001 None")
            await asyncio.to_thread(cluster.stop)
            (cluster.home / "standby.signal").touch(mode=0o644)
            await asyncio.to_thread(cluster.start)
            async with connect(url) as database:
                with pytest.raises(DatabaseUnavailable):
                    await noted(database)
                await database.execute("SELECT pg_promote()")
                assert not (await noted(database)).endswith("/00000001 None")
        finally:
            await asyncio.to_thread(cluster.stop)


async def noted(database: Database) -> str:
    """What the first look records of the server."""
    await PostgresLedger(database).look([])
    (row,) = await database.fetch("SELECT name, since FROM servers")
    return f"{row['name']} {row['since']}"
